"""Writes the tables of the documentation from the code that they are about; with `--check` says which files are stale.

A table stands between `<!-- table NAME -->` and `<!-- end -->`; the words around it are written by hand.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path

from airflow_operator.cli import shown
from airflow_operator.domain import reasons
from airflow_operator.generated import write_or_check
from airflow_operator.settings import Settings, explained, variable

FILES = ("docs/settings.md", "docs/troubleshooting.md")
_PLACE = re.compile(r"(<!-- table (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def generated(root: Path) -> dict[str, str]:
    """Path below the root of the repository to the text that belongs there."""
    return {name: filled((root / name).read_text(encoding="utf-8")) for name in FILES}


def filled(text: str) -> str:
    """A document with every table as it should be."""
    return _PLACE.sub(lambda found: f"{found[1]}{TABLES[found[2]]()}{found[3]}", text)


def _conditions() -> str:
    return _table(("condition", "true when"), ((f"`{name}`", meaning) for name, meaning in reasons.CONDITIONS.items()))


def _reasons() -> str:
    parts = []
    for title, group in reasons.GROUPS.items():
        rows = ((f"`{name}`", advice.meaning, advice.todo) for name, advice in sorted(group.items()))
        parts.append(f"\n### {title}\n\n{_table(('reason', 'what it means', 'what to do'), rows)}")
    return "".join(parts)


def _settings() -> str:
    texts = explained()
    rows = (
        (f"`--{item.name.replace('_', '-')}`", f"`{variable(item.name)}`", shown(item.default), texts[item.name])
        for item in fields(Settings)
    )
    return _table(("flag", "environment", "default", "what it does"), rows)


TABLES: Mapping[str, Callable[[], str]] = {"conditions": _conditions, "reasons": _reasons, "settings": _settings}


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 1 when `--check` finds anything."""
    return write_or_check("airflow_operator.docgen", __doc__, generated(Path.cwd()), arguments)


if __name__ == "__main__":
    sys.exit(main())
