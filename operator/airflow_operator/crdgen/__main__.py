"""Write crds/ and docs/reference/; with `--check` say which of them are not what the models make."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from airflow_operator.api.registry import RESOURCES
from airflow_operator.crdgen.emit import crd_files
from airflow_operator.crdgen.reference import reference
from airflow_operator.generated import write_or_check


def generated() -> dict[str, str]:
    """Path below the root of the repository to the text that belongs there."""
    crds = {f"crds/{name}": text for name, text in crd_files().items()}
    pages = {f"docs/reference/{resource.singular}.md": reference(resource) for resource in RESOURCES}
    return {**crds, **pages}


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 1 when `--check` finds anything."""
    return write_or_check("airflow_operator.crdgen", __doc__, generated(), arguments)


if __name__ == "__main__":
    sys.exit(main())
