"""ServiceAccounts, and the bindings to the roles that the operator's install ships."""

from __future__ import annotations

from typing import Any

from airflow_operator.domain import names
from airflow_operator.domain.manifest import Manifest
from airflow_operator.reconcile.build import meta
from airflow_operator.reconcile.validate import ValidatedCluster

ACCOUNTS = ("api-server", "scheduler", "dag-processor", "triggerer", "task", "jobs")

BINDINGS = {"api-server": "airflow-operator-log-reader", "scheduler": "airflow-operator-executor"}
"""Component -> ClusterRole of the install; the operator may bind these and nothing else."""


def service_accounts(cluster: ValidatedCluster) -> list[Manifest]:
    """One ServiceAccount a component; pods that need the API server mount its token themselves."""
    return [meta.child(cluster, "v1", "ServiceAccount", name, automountServiceAccountToken=False) for name in ACCOUNTS]


def role_bindings(cluster: ValidatedCluster) -> list[Manifest]:
    """The scheduler may run task pods, the API server may read their logs, both in this namespace only."""
    made = []
    for component, role in BINDINGS.items():
        subject: dict[str, Any] = {
            "kind": "ServiceAccount",
            "name": names.child(cluster.name, component),
            "namespace": cluster.namespace,
        }
        ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}
        made.append(meta.child(cluster, "rbac.authorization.k8s.io/v1", "RoleBinding", component, roleRef=ref, subjects=[subject]))
    return made
