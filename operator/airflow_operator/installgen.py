"""Writes the RBAC manifests of the installs from `domain.permissions`; with `--check` says which files are stale."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import yaml

from airflow_operator.domain import permissions
from airflow_operator.domain.manifest import Manifest
from airflow_operator.domain.permissions import Rule

NOTICE = "# Made by `make generate` from operator/airflow_operator/domain/permissions.py: change it there.\n"
RBAC = "rbac.authorization.k8s.io"
OPERATOR = "airflow-operator"
AGGREGATE = f"{RBAC}/aggregate-to-"


def generated() -> dict[str, str]:
    """Path below the root of the repository to the text that belongs there."""
    documents = {
        "roles/airflow.yaml": [
            _role("ClusterRole", permissions.EXECUTOR_ROLE, permissions.EXECUTOR),
            _role("ClusterRole", permissions.LOG_READER_ROLE, permissions.LOG_READER),
        ],
        "roles/users.yaml": [
            _role("ClusterRole", f"{OPERATOR}-view", permissions.VIEW, ("view",)),
            _role("ClusterRole", f"{OPERATOR}-edit", permissions.EDIT, ("edit", "admin")),
        ],
        "cluster-wide/rbac.yaml": [_role("ClusterRole", OPERATOR, permissions.OPERATOR), _binding("ClusterRole")],
        "single-namespace/rbac.yaml": [_role("Role", OPERATOR, permissions.OPERATOR), _binding("Role")],
    }
    return {f"manifests/install/{name}": NOTICE + _yaml(items) for name, items in documents.items()}


def stale(root: Path) -> list[str]:
    """The generated files that are missing or different."""
    return [name for name, text in generated().items() if not (root / name).is_file() or (root / name).read_text() != text]


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 1 when `--check` finds anything."""
    parser = argparse.ArgumentParser(prog="python -m airflow_operator.installgen", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 with the names of stale files")
    parser.add_argument("--root", type=Path, default=Path.cwd(), help="root of the repository (default: this folder)")
    options = parser.parse_args(arguments)
    names = stale(options.root)
    if options.check:
        for name in names:
            print(f"{name} is stale: run `make generate`", file=sys.stderr)
        return 1 if names else 0
    for name in names:
        path = options.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(generated()[name])
        print(f"wrote {name}")
    return 0


def _role(kind: str, name: str, rules: Iterable[Rule], added_to: Iterable[str] = ()) -> Manifest:
    metadata: Manifest = {"name": name}
    if labels := {f"{AGGREGATE}{role}": "true" for role in added_to}:
        metadata["labels"] = labels
    return {"apiVersion": f"{RBAC}/v1", "kind": kind, "metadata": metadata, "rules": [rule.manifest() for rule in rules]}


def _binding(role: str) -> Manifest:
    # The namespace of the subject is filled in by the kustomization.
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": f"{role}Binding",
        "metadata": {"name": OPERATOR},
        "roleRef": {"apiGroup": RBAC, "kind": role, "name": OPERATOR},
        "subjects": [{"kind": "ServiceAccount", "name": OPERATOR}],
    }


def _yaml(documents: Iterable[Manifest]) -> str:
    return str(yaml.safe_dump_all(documents, sort_keys=False, width=140))


if __name__ == "__main__":
    sys.exit(main())
