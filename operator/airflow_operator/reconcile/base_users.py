"""Who uses a base: its own namespace's clusters, and those of others that it ever served."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_operator.domain import labels
from airflow_operator.domain.kinds import AIRFLOW_CLUSTER, SECRET
from airflow_operator.domain.manifest import Live, dig
from airflow_operator.reconcile.base_access import base_of

if TYPE_CHECKING:
    from airflow_operator.runtime.context import Context


async def clusters_of(ctx: Context, namespace: str, name: str) -> list[str]:
    """The AirflowClusters on a base, as `NAME`, or `NAMESPACE/NAME` where they live elsewhere.

    One in another namespace counts once its keys have a copy beside the base: whoever merely names a base cannot hold it.
    """
    kept = await ctx.kube.list(SECRET, namespace, labels=f"{labels.BASE}={name},{labels.CLUSTER},{labels.CLUSTER_NAMESPACE}")
    served = {(dig(copy, "metadata", "labels", labels.CLUSTER_NAMESPACE), dig(copy, "metadata", "labels", labels.CLUSTER)) for copy in kept}
    # Everybody's clusters are a long list, which a base that serves its own namespace alone does not ask for.
    places = (ctx.settings.namespaces or ("",)) if any(place != namespace for place, _ in served) else (namespace,)
    found = [item for place in places for item in await ctx.kube.list(AIRFLOW_CLUSTER, place)]
    users = [item["metadata"] for item in found if _stands_on(item, namespace, name, served)]
    return sorted(meta["name"] if meta["namespace"] == namespace else f"{meta['namespace']}/{meta['name']}" for meta in users)


def _stands_on(cluster: Live, namespace: str, name: str, served: set[tuple[str | None, str | None]]) -> bool:
    meta = cluster["metadata"]
    return base_of(cluster) == (namespace, name) and (meta["namespace"] == namespace or (meta["namespace"], meta["name"]) in served)
