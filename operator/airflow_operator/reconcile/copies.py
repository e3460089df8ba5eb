"""The copy of a cluster's keys beside its base: what it holds more than the cluster's own Secret, and whom it is for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_operator.domain import labels, names
from airflow_operator.domain.errors import Waiting
from airflow_operator.domain.kinds import SECRET
from airflow_operator.domain.manifest import Live, Manifest, dig
from airflow_operator.reconcile import evidence, keys
from airflow_operator.reconcile.brought import brought_keys, value
from airflow_operator.reconcile.keys import Keys
from airflow_operator.reconcile.validate import ValidatedCluster

if TYPE_CHECKING:
    from airflow_operator.kube.protocol import Kube

BROUGHT = "brought"
"""Begins the members with the user's own keys, each named by a digest, so that a new value never takes the place of an old one."""


def copy_of(cluster: ValidatedCluster, usable: Keys) -> Manifest:
    """The whole copy, where there is none."""
    copy = keys.copy_of(
        cluster.name, cluster.namespace, cluster.base.name, cluster.base.namespace, {**usable.data, **_kept(cluster, usable)}
    )
    if not cluster.base.makes_databases:
        copy["metadata"]["annotations"][evidence.OWNER] = cluster.namespace_uid
    return copy


async def keep_beside_base(kube: Kube, cluster: ValidatedCluster, usable: Keys, copy: Live) -> None:
    """Add what is missing: the namespace that the keys are for, and the keys that the user brings, for the day that they are lost."""
    await _require_heir(kube, cluster, copy)
    missing = {member: text for member, text in _kept(cluster, usable).items() if member not in dig(copy, "data", default={})}
    if missing:
        await _patch(kube, copy, [{"op": "add", "path": f"/data/{member}", "value": text} for member, text in keys.encode(missing).items()])


def _kept(cluster: ValidatedCluster, usable: Keys) -> dict[str, str]:
    """The members with the user's own keys."""
    brought = {member: value(key, cluster.references) for member, key in brought_keys(cluster.spec).items()}
    return {f"{BROUGHT}-{member}-{usable.checksum(text, 8)}": text for member, text in brought.items()}


async def _require_heir(kube: Kube, cluster: ValidatedCluster, copy: Live) -> None:
    """Raises Waiting where the keys are those of an earlier namespace of the name and no server can say whose the database is."""
    owner = dig(copy, "metadata", "annotations", evidence.OWNER)
    if cluster.base.makes_databases or owner == cluster.namespace_uid:
        return
    if owner is not None and not cluster.base.adopts:
        message = (
            f"Secret {names.keys_copy(cluster.namespace, cluster.name)} beside AirflowBase {cluster.base.name} holds the keys of an "
            f"earlier namespace {cluster.namespace}. If this one may have them, the base's owner adds {{namespace: {cluster.namespace}, "
            f"uid: {cluster.namespace_uid}}} to its spec.allowedClusters.adopt."
        )
        raise Waiting("OwnershipConflict", message)
    notes = {**labels.KEPT_BY_ARGO_CD, **dig(copy, "metadata", "annotations", default={}), evidence.OWNER: cluster.namespace_uid}
    await _patch(kube, copy, [{"op": "add", "path": "/metadata/annotations", "value": notes}])


async def _patch(kube: Kube, copy: Live, operations: list[dict[str, Any]]) -> None:
    await kube.patch(SECRET, copy["metadata"]["namespace"], copy["metadata"]["name"], operations)
