"""Every right that an install grants, and to whom: the single source of its RBAC manifests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from airflow_operator.domain.kinds import AIRFLOW_BASE, AIRFLOW_CLUSTER, ALL_CHILD_KINDS, EVENT, GROUP, NAMESPACE, POD
from airflow_operator.domain.manifest import Kind, Manifest

EXECUTOR_ROLE = "airflow-operator-executor"
LOG_READER_ROLE = "airflow-operator-log-reader"
GRANTED_ROLE = "airflow-operator-namespace"

OPERATOR_LEASE = "airflow-operator"

LAUNCHER_ROLES: Mapping[str, str] = MappingProxyType(
    {
        "Pods": "airflow-operator-pod-launcher",
        "Jobs": "airflow-operator-job-launcher",
        "SparkApplications": "airflow-operator-spark-launcher",
        "ArgoWorkflows": "airflow-operator-argo-launcher",
    }
)
"""What a spec may permit tasks to start, and the role that says so."""

BOUND_ROLES = (EXECUTOR_ROLE, LOG_READER_ROLE, *LAUNCHER_ROLES.values())
"""Roles that the operator may bind, and nothing else."""


RBAC = "rbac.authorization.k8s.io"
READ = ("get", "list", "watch")


@dataclass(frozen=True)
class Rule:
    """One row: verbs on resources of one API group."""

    group: str
    resources: tuple[str, ...]
    verbs: tuple[str, ...]
    names: tuple[str, ...] = ()

    def manifest(self) -> Manifest:
        """As a PolicyRule."""
        rule: Manifest = {"apiGroups": [self.group], "resources": list(self.resources), "verbs": list(self.verbs)}
        return {**rule, "resourceNames": list(self.names)} if self.names else rule


def group_of(kind: Kind) -> str:
    """The API group of a kind; empty for the core group."""
    return kind.api_version.rpartition("/")[0]


def _children() -> tuple[Rule, ...]:
    by_group: dict[str, list[str]] = {}
    for kind in ALL_CHILD_KINDS:
        by_group.setdefault(group_of(kind), []).append(kind.plural)
    return tuple(Rule(group, tuple(plurals), (*READ, "create", "patch", "delete")) for group, plurals in by_group.items())


_OURS = (AIRFLOW_BASE.plural, AIRFLOW_CLUSTER.plural)

_OWN_KINDS = (
    # patch: the finalizer.
    Rule(GROUP, _OURS, (*READ, "patch")),
    Rule(GROUP, tuple(f"{plural}/status" for plural in _OURS), ("patch",)),
    # Owner references that block deletion need this where OwnerReferencesPermissionEnforcement is on.
    Rule(GROUP, tuple(f"{plural}/finalizers" for plural in _OURS), ("update",)),
    Rule("", (EVENT.plural,), ("create",)),
    # The UID of a namespace tells a new one from an old one of the same name.
    Rule("", (NAMESPACE.plural,), ("get",)),
)

GRANTED = (
    *_children(),
    Rule("", (POD.plural,), READ),
    # Why a Job or StatefulSet has no pods stands in Events alone.
    Rule("", (EVENT.plural,), ("list",)),
    # Lets it hand out these roles without having their rights.
    Rule(RBAC, ("clusterroles",), ("bind",), BOUND_ROLES),
)
"""What the operator does in a namespace beside its own resources: where namespaces opt in, their administrators grant it."""

OPERATOR = (*_OWN_KINDS, *GRANTED)
"""What the operator may do in the namespaces that it serves."""

WATCHER = (
    *_OWN_KINDS,
    # Both are Kubernetes' default for everybody; some clusters take it away.
    Rule("authorization.k8s.io", ("selfsubjectaccessreviews",), ("create",)),
    Rule("authentication.k8s.io", ("selfsubjectreviews",), ("create",)),
)
"""What the operator may do everywhere where namespaces opt in: see its own resources, tell of them, ask what it may do."""

OWN_POD = (Rule("", (POD.plural,), ("get",)),)
"""In the operator's own namespace: its pod tells which image it runs."""

GRANT = (Rule(RBAC, ("clusterroles",), ("bind",), (GRANTED_ROLE,)),)
"""Added to Kubernetes' role `admin`: who administers a namespace may grant it to the operator, and nothing beyond it."""

EXECUTOR = (
    Rule("", ("pods",), ("create", "delete", "get", "list", "patch", "watch")),
    Rule("", ("pods/log",), ("get",)),
    Rule("", ("events",), ("list", "watch")),
)
"""What KubernetesExecutor does: bound to the ServiceAccount of schedulers that run it."""

LOG_READER = (
    Rule("", ("pods",), READ),
    Rule("", ("pods/log",), ("get", "list")),
)
"""What the API server needs to show the log of a running task pod."""

LEADER = (
    Rule("coordination.k8s.io", ("leases",), ("create",)),
    Rule("coordination.k8s.io", ("leases",), ("get", "patch"), (OPERATOR_LEASE,)),
)
"""What replicas of the operator need in its own namespace to agree on who works."""

_LAUNCH = (*READ, "create", "delete", "patch")
_FOLLOW = (
    Rule("", ("pods/log",), ("get", "list")),
    Rule("", ("events",), READ),
)
_OUTPUT = Rule("", ("pods/exec",), ("create", "get"))
"""How KubernetesPodOperator and KubernetesJobOperator fetch the XCom that a container leaves behind."""

LAUNCHERS: Mapping[str, tuple[Rule, ...]] = MappingProxyType(
    {
        "Pods": (Rule("", ("pods",), _LAUNCH), *_FOLLOW, _OUTPUT),
        "Jobs": (
            Rule("batch", ("jobs",), _LAUNCH),
            Rule("batch", ("jobs/status",), ("get",)),
            Rule("", ("pods",), READ),
            *_FOLLOW,
            _OUTPUT,
        ),
        "SparkApplications": (
            Rule("sparkoperator.k8s.io", ("sparkapplications",), _LAUNCH),
            Rule("sparkoperator.k8s.io", ("sparkapplications/status",), ("get",)),
            # The operator marks the driver's pod.
            Rule("", ("pods",), (*READ, "patch")),
            *_FOLLOW,
        ),
        "ArgoWorkflows": (Rule("argoproj.io", ("workflows",), _LAUNCH), Rule("", ("pods",), READ), *_FOLLOW),
    }
)
"""What tasks and triggers may do that start such objects; bound where `permissions` asks for it."""

SCALE = (f"{AIRFLOW_CLUSTER.plural}/scale",)

VIEW = (
    Rule(GROUP, _OURS, READ),
    Rule(GROUP, (*(f"{plural}/status" for plural in _OURS), *SCALE), ("get",)),
)
"""Added to Kubernetes' role `view`."""

EDIT = (
    Rule(GROUP, _OURS, ("create", "delete", "deletecollection", "patch", "update")),
    Rule(GROUP, SCALE, ("patch", "update")),
)
"""Added to Kubernetes' roles `edit` and `admin`, which hold `view` already."""
