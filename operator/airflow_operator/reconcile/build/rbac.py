"""ServiceAccounts, and the bindings to the roles that the operator's install ships."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from airflow_operator.domain import names
from airflow_operator.domain.manifest import Manifest
from airflow_operator.reconcile.build import meta
from airflow_operator.reconcile.validate import ValidatedCluster

BINDINGS: Mapping[str, str] = MappingProxyType({"api-server": "airflow-operator-log-reader", "scheduler": "airflow-operator-executor"})
"""Component -> ClusterRole of the install; the operator may bind these and nothing else."""


def bindings(cluster: ValidatedCluster) -> Mapping[str, str]:
    """Component -> role of those that speak to the API server: for the sake of task pods alone."""
    return BINDINGS if cluster.runs_task_pods else {}


def service_accounts(cluster: ValidatedCluster) -> list[Manifest]:
    """One ServiceAccount a component; pods that need the API server mount its token themselves."""
    components = [facts.name for facts in cluster.release.components]
    wanted = [*components, *(["task"] if cluster.runs_task_pods else []), "jobs"]
    return [meta.child(cluster, "v1", "ServiceAccount", name, automountServiceAccountToken=False) for name in wanted]


def role_bindings(cluster: ValidatedCluster) -> list[Manifest]:
    """The scheduler may run task pods, the API server may read their logs, both in this namespace only."""
    made = []
    for component, role in bindings(cluster).items():
        subject: dict[str, Any] = {
            "kind": "ServiceAccount",
            "name": names.child(cluster.name, component),
            "namespace": cluster.namespace,
        }
        ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}
        made.append(meta.child(cluster, "rbac.authorization.k8s.io/v1", "RoleBinding", component, roleRef=ref, subjects=[subject]))
    return made
