"""What a cluster sees of its base, which may lie in another namespace."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_operator.domain import labels, names
from airflow_operator.domain.kinds import AIRFLOW_BASE, CONFIG_MAP, JOB, NAMESPACE, PERSISTENT_VOLUME_CLAIM, POD, SECRET
from airflow_operator.domain.manifest import Kind, Live, dig
from airflow_operator.kube.errors import Forbidden
from airflow_operator.reconcile import refused_pods
from airflow_operator.reconcile.base_access import base_of

if TYPE_CHECKING:
    from airflow_operator.kube.protocol import Kube


@dataclass(frozen=True)
class SeenBase:
    """The base, and what the operator keeps beside it for the cluster."""

    live: Live | None = None
    provisioning: tuple[Live, ...] = ()
    claims: tuple[Live, ...] = ()
    ca: Live | None = None
    namespace_going: bool = False
    refused: str = ""


async def observe_base(kube: Kube, resource: Live) -> SeenBase:
    """The base of an AirflowCluster as it is now."""
    namespace, name = base_of(resource)
    own = resource["metadata"]
    beside = f"{labels.CLUSTER}={own['name']},{labels.CLUSTER_NAMESPACE}={own['namespace']}"
    try:
        there, live, provisioning, claims = await asyncio.gather(
            kube.get(NAMESPACE, "", namespace),
            kube.get(AIRFLOW_BASE, namespace, name),
            lists(kube, (JOB, SECRET, POD), namespace, beside),
            kube.list(PERSISTENT_VOLUME_CLAIM, namespace, labels=f"{labels.BASE}={name},{labels.COMPONENT}=postgres"),
        )
        ca = await read_ca(kube, namespace, live)
    except Forbidden as error:
        if namespace == own["namespace"]:
            raise
        return SeenBase(refused=error.message)
    return SeenBase(
        live=live,
        provisioning=tuple(await refused_pods.told(kube, namespace, provisioning)),
        claims=tuple(claim for claim in claims if claim["metadata"]["name"] == names.postgres_claim(name)),
        ca=ca,
        namespace_going="deletionTimestamp" in dig(there, "metadata", default={}),
    )


async def read_ca(kube: Kube, namespace: str, base: Live | None) -> Live | None:
    """The Secret or ConfigMap that an external server's certificates are in."""
    ca = dig(base, "spec", "database", "external", "tls", "ca", default={})
    for field, kind in (("secretKeyRef", SECRET), ("configMapKeyRef", CONFIG_MAP)):
        if name := dig(ca, field, "name"):
            return await kube.get(kind, namespace, name)
    return None


async def lists(kube: Kube, kinds: Iterable[Kind], namespace: str, selector: str) -> list[Live]:
    """All objects of several kinds that a selector matches, in the order of the kinds."""
    found: Sequence[Sequence[Live]] = await asyncio.gather(*(kube.list(kind, namespace, labels=selector) for kind in kinds))
    return [item for items in found for item in items]
