"""Write crds/ and docs/reference/; with `--check` say which of them are not what the models make."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from airflow_operator.api.registry import RESOURCES
from airflow_operator.crdgen.emit import crd_files
from airflow_operator.crdgen.reference import reference


def generated() -> dict[str, str]:
    """Path below the root of the repository to the text that belongs there."""
    crds = {f"crds/{name}": text for name, text in crd_files().items()}
    pages = {f"docs/reference/{resource.singular}.md": reference(resource) for resource in RESOURCES}
    return {**crds, **pages}


def stale(root: Path) -> list[str]:
    """The generated files that are missing or different."""
    return [name for name, text in generated().items() if not (root / name).is_file() or (root / name).read_text() != text]


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 1 when `--check` finds anything."""
    parser = argparse.ArgumentParser(prog="python -m airflow_operator.crdgen", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 with the names of stale files")
    parser.add_argument("--root", type=Path, default=Path.cwd(), help="root of the repository (default: this folder)")
    options = parser.parse_args(arguments)
    names = stale(options.root)
    if options.check:
        for name in names:
            print(f"{name} is not what the models make: run `make generate`", file=sys.stderr)
        return 1 if names else 0
    for name in names:
        path = options.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(generated()[name])
        print(f"wrote {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
