"""Labels and annotations, and the one place where they are composed."""

from __future__ import annotations

from airflow_operator.domain.kinds import GROUP, POD
from airflow_operator.domain.manifest import Kind, Live, dig

MANAGER = "airflow-operator"

MANAGED_BY = "app.kubernetes.io/managed-by"
NAME = "app.kubernetes.io/name"
INSTANCE = "app.kubernetes.io/instance"
COMPONENT = "app.kubernetes.io/component"
PART_OF = "app.kubernetes.io/part-of"
VERSION = "app.kubernetes.io/version"

CLUSTER = f"{GROUP}/cluster"
CLUSTER_NAMESPACE = f"{GROUP}/cluster-namespace"
BASE = f"{GROUP}/base"
RETAINED = f"{GROUP}/retained"

TEMPLATE = f"{GROUP}/template"
"""Digest of the pod template that a workload was given, by which a roll in order knows where it stands."""
CHECKSUM = f"{GROUP}/checksum"
FINALIZER = f"{GROUP}/finalizer"
SET_PASSWORD = f"{GROUP}/set-password"
"""Annotation of a password that the server does not have yet; on its pods, the UID of the Secret that it is taken from."""

TASK = "task"
"""Component of task pods: there may be thousands, and none of them changes what the operator does."""

KEPT_BY_ARGO_CD = {"argocd.argoproj.io/sync-options": "Prune=false,Delete=false"}
"""Annotation of retained objects: Argo CD neither prunes nor deletes them."""


def of_cluster(name: str, component: str) -> dict[str, str]:
    """Labels of a child of an AirflowCluster that goes with it."""
    return {
        NAME: "airflow",
        INSTANCE: name,
        COMPONENT: component,
        MANAGED_BY: MANAGER,
        CLUSTER: name,
    }


def of_base(name: str, component: str) -> dict[str, str]:
    """Labels of a child of an AirflowBase that goes with it."""
    return {
        NAME: "airflow-base",
        INSTANCE: name,
        COMPONENT: component,
        MANAGED_BY: MANAGER,
        BASE: name,
    }


def retained(labels: dict[str, str]) -> dict[str, str]:
    """The same labels for an object that outlives its resource.

    Without the instance label: Argo CD's label tracking takes an object that carries it for its own and prunes it.
    """
    kept = {key: value for key, value in labels.items() if key != INSTANCE}
    return {**kept, RETAINED: "true"}


def watched(kind: Kind) -> str:
    """The label selector by which children of a kind are watched."""
    ours = f"{MANAGED_BY}={MANAGER}"
    return f"{ours},{COMPONENT}!={TASK}" if kind == POD else ours


def is_watched(child: Live) -> bool:
    """Whether an object is one of those."""
    marks = dig(child, "metadata", "labels", default={})
    return marks.get(MANAGED_BY) == MANAGER and not (child["kind"] == POD.kind and marks.get(COMPONENT) == TASK)


def selector(name: str, component: str) -> dict[str, str]:
    """Labels by which a workload of a cluster finds its pods: never changed, since selectors are immutable."""
    return {CLUSTER: name, COMPONENT: component}
