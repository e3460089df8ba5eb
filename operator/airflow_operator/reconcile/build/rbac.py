"""Identities of the pods in Kubernetes, and their rights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from airflow_operator.api.pods import ServiceAccount
from airflow_operator.domain import names
from airflow_operator.domain.manifest import Manifest
from airflow_operator.domain.permissions import EXECUTOR_ROLE, LAUNCHER_ROLES, LOG_READER_ROLE
from airflow_operator.reconcile.build import meta
from airflow_operator.reconcile.validate import ValidatedCluster

InUse = Mapping[str, Iterable[str]]
"""Component -> ServiceAccounts that its pods run with at present."""


def account_name(cluster: ValidatedCluster, component: str) -> str:
    """The ServiceAccount that a component's pods run with."""
    return _settings(cluster, component).name or names.child(cluster.name, component)


def service_accounts(cluster: ValidatedCluster) -> list[Manifest]:
    """One ServiceAccount a component that does not bring its own; pods that need the API server mount its token themselves."""
    made = []
    components = [facts.name for facts in cluster.release.components]
    others = [*(["task"] if cluster.runs_task_pods else []), "jobs", *([names.STATSD] if cluster.metrics else [])]
    for component in (*components, *others):
        settings = _settings(cluster, component)
        if settings.name is None:
            account = meta.child(cluster, "v1", "ServiceAccount", component, automountServiceAccountToken=False)
            if settings.annotations:
                account["metadata"]["annotations"] = dict(settings.annotations)
            made.append(account)
    return made


def needs_token(cluster: ValidatedCluster, component: str) -> bool:
    """Whether a component's pods speak to the API server."""
    return component in {bound for bound, _, _ in _rights(cluster)}


def role_bindings(cluster: ValidatedCluster, in_use: InUse | None = None) -> list[Manifest]:
    """The scheduler may run task pods, the API server may read their logs, tasks and triggers do what the spec permits.

    In this namespace only. Pods that still run with another account keep their rights until they are replaced.
    """
    made = []
    for component, suffix, role in _rights(cluster):
        accounts = dict.fromkeys([account_name(cluster, component), *sorted((in_use or {}).get(component, ()))])
        subjects: list[dict[str, Any]] = [{"kind": "ServiceAccount", "name": name, "namespace": cluster.namespace} for name in accounts]
        ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}
        binding = meta.child(cluster, "rbac.authorization.k8s.io/v1", "RoleBinding", component, roleRef=ref, subjects=subjects)
        binding["metadata"]["name"] = names.child(cluster.name, f"{component}{suffix}")
        made.append(binding)
    return made


def _rights(cluster: ValidatedCluster) -> list[tuple[str, str, str]]:
    """(component, what its binding's name ends with, ClusterRole of the install)."""
    permitted = {"triggerer": cluster.spec.triggerer.permissions}
    rights = []
    if cluster.runs_task_pods:
        permitted["task"] = cluster.spec.task_pods.permissions
        rights = [("api-server", "", LOG_READER_ROLE), ("scheduler", "", EXECUTOR_ROLE)]
    for component, wanted in permitted.items():
        rights += [(component, f"-{permission.lower()}", LAUNCHER_ROLES[permission]) for permission in dict.fromkeys(wanted)]
    return rights


def _settings(cluster: ValidatedCluster, component: str) -> ServiceAccount:
    own = {"task": cluster.spec.task_pods, "jobs": cluster.spec.jobs, names.STATSD: cluster.metrics}.get(component) or cluster.settings_of(
        component
    )
    return own.service_account or cluster.spec.service_account or ServiceAccount()
