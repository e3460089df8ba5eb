"""Volumes with DAGs: whether all the pods that read them can."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from airflow_operator.domain.errors import Waiting
from airflow_operator.domain.manifest import Live, dig
from airflow_operator.reconcile.types import Condition

if TYPE_CHECKING:
    from airflow_operator.reconcile.validate import ValidatedCluster

CLAIM = "PersistentVolumeClaim"
MANY_NODES = frozenset({"ReadWriteMany", "ReadOnlyMany"})
ONE_POD = "ReadWriteOncePod"
MANY = 1000


def shared(cluster: ValidatedCluster) -> Condition | None:
    """DagVolumesShared; None where no DAGs lie on a volume. On one node a ReadWriteOnce claim works, which nobody can tell beforehand."""
    names = [entry.volume.claim_name for entry in cluster.spec.dags if entry.volume]
    if not names:
        return None
    lonely = [name for name in names if not MANY_NODES & _modes(cluster.references.get((CLAIM, name)))]
    readers = _readers(cluster)
    if not lonely or readers == 1:
        return Condition("DagVolumesShared", "True", "Shared", "Every pod that reads DAGs can mount their volumes.")
    message = (
        f"PersistentVolumeClaim {lonely[0]} is for one node at a time (ReadWriteOnce), and {_who(cluster, readers)} mount it: those that "
        "come to another node do not start. Use a ReadWriteMany or ReadOnlyMany claim, or keep the pods on one node by spec.pods."
    )
    return Condition("DagVolumesShared", "False", "OneNodeOnly", message)


def require(cluster: ValidatedCluster) -> None:
    """Raises Waiting for a claim that only one pod can use, which is never enough."""
    for entry in cluster.spec.dags:
        live = cluster.references.get((CLAIM, entry.volume.claim_name)) if entry.volume else None
        if live and _modes(live) == {ONE_POD} and _readers(cluster) != 1:
            message = (
                f"spec.dags[{entry.name}].volume names PersistentVolumeClaim {live['metadata']['name']}, which is {ONE_POD}: one pod alone "
                "can mount it, and several read DAGs. Use a ReadWriteMany or ReadOnlyMany claim."
            )
            raise Waiting("ClaimNotShared", message)


def _modes(live: Live | None) -> set[str]:
    modes: Iterable[str] = dig(live, "spec", "accessModes", default=[])
    return set(modes)


def _readers(cluster: ValidatedCluster) -> int:
    """Pods that read DAGs; task pods count as many."""
    if cluster.runs_task_pods:
        return MANY
    return sum(cluster.settings_of(facts.name).replicas for facts in cluster.release.components if facts.reads_dags)


def _who(cluster: ValidatedCluster, readers: int) -> str:
    return "task pods" if cluster.runs_task_pods else f"{readers} pods"
