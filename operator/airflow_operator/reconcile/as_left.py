"""Whether a cluster is as its last complete look left it.

An operator that starts again, or takes over, would otherwise read and build everything of every cluster to find that nothing changed. The
status holds a digest of all that the last complete look saw. What it saw of the children is compared with the first lists of the watches,
the rest is read again: one list less for each kind.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING

from airflow_operator.domain import labels
from airflow_operator.domain.hashing import digest, together, version_of
from airflow_operator.domain.kinds import AIRFLOW_CLUSTER
from airflow_operator.domain.manifest import Live, ObjectKey, dig, key_of
from airflow_operator.reconcile.around import look_around, marks
from airflow_operator.reconcile.observe import health_of, spec_of
from airflow_operator.reconcile.report import OBSERVED_DIGEST, told
from airflow_operator.reconcile.types import Health, SeenCluster

if TYPE_CHECKING:
    from airflow_operator.runtime.context import Context


async def is_as_left(ctx: Context, namespace: str, name: str) -> bool:
    """Whether nothing at all changed since then; False where that cannot be told without a complete look."""
    children = ctx.inventory.sum_of(namespace, name)
    if children is None:
        return False
    resource = await ctx.kube.get(AIRFLOW_CLUSTER, namespace, name)
    left = dig(resource, "status", OBSERVED_DIGEST, default="")
    if resource is None or not left.startswith(_of_children(ctx.program, children)):
        return False
    spec = spec_of(resource)
    around = await look_around(ctx, resource, spec)
    rows = dig(resource, "status", "components", default=[])
    serving = any(row["name"] == "api-server" and row["ready"] for row in rows)
    health = await health_of(ctx, namespace, name, spec, serving=serving)
    return bool(left == _digest(ctx.program, resource, resource["status"], children, around.version, health))


def digest_of(program: str, seen: SeenCluster, written: Iterable[Live], gone: Container[ObjectKey]) -> Callable[[Live], str]:
    """The digest of a look, by the status that it leaves; `written` are the API server's answers to its writes, the oldest first."""

    def digest_with(status: Live) -> str:
        left = {key_of(child): child for child in (*seen.children, *seen.pods, *seen.provisioning, *written)}
        children = together(version_of(child["metadata"]) for key, child in left.items() if key not in gone and labels.is_watched(child))
        return _digest(program, seen.resource, status, children, seen.around, seen.health)

    return digest_with


def _digest(program: str, resource: Live, status: Live, children: int, around: str, health: Health) -> str:
    return _of_children(program, children) + digest([marks(resource["metadata"]), told(status), around, asdict(health)], 16)


def _of_children(program: str, children: int) -> str:
    return digest([program, children], 16)
