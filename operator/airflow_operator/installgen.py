"""Writes the RBAC manifests of the installs from `domain.permissions`; with `--check` says which files are stale."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

import yaml

from airflow_operator.domain import permissions
from airflow_operator.domain.manifest import Manifest
from airflow_operator.domain.permissions import RBAC, Rule
from airflow_operator.generated import write_or_check

NOTICE = "# Made by `make generate` from operator/airflow_operator/domain/permissions.py: change it there.\n"
OPERATOR = "airflow-operator"
AGGREGATE = f"{RBAC}/aggregate-to-"


def generated() -> dict[str, str]:
    """Path below the root of the repository to the text that belongs there."""
    documents = {
        "roles/airflow.yaml": [
            _role("ClusterRole", permissions.EXECUTOR_ROLE, permissions.EXECUTOR),
            _role("ClusterRole", permissions.LOG_READER_ROLE, permissions.LOG_READER),
            *(_role("ClusterRole", permissions.LAUNCHER_ROLES[name], rules) for name, rules in permissions.LAUNCHERS.items()),
        ],
        "roles/users.yaml": [
            _role("ClusterRole", f"{OPERATOR}-view", permissions.VIEW, ("view",)),
            _role("ClusterRole", f"{OPERATOR}-edit", permissions.EDIT, ("edit", "admin")),
        ],
        "base/leader.yaml": [_role("Role", f"{OPERATOR}-leader", permissions.LEADER), _binding("Role", f"{OPERATOR}-leader")],
        "cluster-wide/rbac.yaml": [_role("ClusterRole", OPERATOR, permissions.OPERATOR), _binding("ClusterRole")],
        "single-namespace/rbac.yaml": [_role("Role", OPERATOR, permissions.OPERATOR), _binding("Role")],
        "opt-in/rbac.yaml": [
            _role("ClusterRole", OPERATOR, permissions.WATCHER),
            _binding("ClusterRole"),
            _role("Role", f"{OPERATOR}-own-pod", permissions.OWN_POD),
            _binding("Role", f"{OPERATOR}-own-pod"),
            _role("ClusterRole", permissions.GRANTED_ROLE, permissions.GRANTED),
            _role("ClusterRole", f"{OPERATOR}-grant", permissions.GRANT, ("admin",)),
        ],
        "grant/rolebinding.yaml": [_grant()],
    }
    return {f"manifests/install/{name}": NOTICE + _yaml(items) for name, items in documents.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 1 when `--check` finds anything."""
    return write_or_check("airflow_operator.installgen", __doc__, generated(), arguments)


def _role(kind: str, name: str, rules: Iterable[Rule], added_to: Iterable[str] = ()) -> Manifest:
    metadata: Manifest = {"name": name}
    if labels := {f"{AGGREGATE}{role}": "true" for role in added_to}:
        metadata["labels"] = labels
    return {"apiVersion": f"{RBAC}/v1", "kind": kind, "metadata": metadata, "rules": [rule.manifest() for rule in rules]}


def _binding(role: str, name: str = OPERATOR) -> Manifest:
    # The namespace of the subject is filled in by the kustomization.
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": f"{role}Binding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": RBAC, "kind": role, "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": OPERATOR}],
    }


def _grant() -> Manifest:
    """What a namespace's administrator applies there."""
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": OPERATOR},
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": permissions.GRANTED_ROLE},
        "subjects": [{"kind": "ServiceAccount", "name": OPERATOR, "namespace": OPERATOR}],
    }


def _yaml(documents: Iterable[Manifest]) -> str:
    return str(yaml.safe_dump_all(documents, sort_keys=False, width=140))


if __name__ == "__main__":
    sys.exit(main())
