"""Files that are made from code and committed: written anew, or compared."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path


def stale(files: Mapping[str, str], root: Path) -> list[str]:
    """The names of generated files that are missing or different below `root`."""
    return [name for name, text in files.items() if not (root / name).is_file() or (root / name).read_text() != text]


def write_or_check(program: str, purpose: str | None, files: Mapping[str, str], arguments: Sequence[str] | None = None) -> int:
    """Command line of a generator: write what is stale; with `--check` only name it. Exit code 1 when that finds anything."""
    parser = argparse.ArgumentParser(prog=f"python -m {program}", description=purpose)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 with the names of stale files")
    parser.add_argument("--root", type=Path, default=Path.cwd(), help="root of the repository (default: this folder)")
    options = parser.parse_args(arguments)
    names = stale(files, options.root)
    if options.check:
        for name in names:
            print(f"{name} is stale: run `make generate`", file=sys.stderr)
        return 1 if names else 0
    for name in names:
        path = options.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(files[name])
        print(f"wrote {name}")
    return 0
