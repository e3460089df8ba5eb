"""What a cluster sees of its base, which may lie in another namespace."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from airflow_operator.domain import labels, names
from airflow_operator.domain.kinds import AIRFLOW_BASE, CONFIG_MAP, JOB, NAMESPACE, PERSISTENT_VOLUME_CLAIM, POD, SECRET
from airflow_operator.domain.manifest import Kind, Live, dig
from airflow_operator.kube.errors import Forbidden
from airflow_operator.reconcile import refused_pods
from airflow_operator.reconcile.base_access import admits, base_of

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
    admitted: bool = False
    """The base lets the cluster's namespace use it, which is another's: the operator may look around there."""


async def look_at_base(kube: Kube, resource: Live) -> SeenBase:
    """The base of an AirflowCluster as it is now, and nothing else of a namespace that may be somebody else's."""
    namespace, name = base_of(resource)
    if namespace == resource["metadata"]["namespace"]:
        live, claims = await asyncio.gather(kube.get(AIRFLOW_BASE, namespace, name), _claims(kube, namespace, name))
        return SeenBase(live=live, claims=claims)
    try:
        there, live = await asyncio.gather(kube.get(NAMESPACE, "", namespace), kube.get(AIRFLOW_BASE, namespace, name))
    except Forbidden as error:
        return SeenBase(refused=error.message)
    return SeenBase(live=live, namespace_going="deletionTimestamp" in dig(there, "metadata", default={}))


async def look_around_base(kube: Kube, resource: Live, base: SeenBase, own_labels: Mapping[str, str]) -> SeenBase:
    """The same with the volume and the certificates of its server, where the base lets the cluster look."""
    namespace, name = base_of(resource)
    if namespace == resource["metadata"]["namespace"]:
        return replace(base, ca=await read_ca(kube, namespace, base.live))
    if base.refused or not admits(base.live, resource, own_labels):
        return base
    try:
        claims, ca = await asyncio.gather(_claims(kube, namespace, name), read_ca(kube, namespace, base.live))
    except Forbidden as error:
        return SeenBase(refused=error.message)
    return replace(base, claims=claims, ca=ca, admitted=True)


async def look_beside_base(kube: Kube, resource: Live, base: SeenBase, beside: Sequence[Live] | None) -> SeenBase:
    """The same with what the operator keeps there for the cluster, where the base lets it; of one that goes the Jobs at any rate.

    `beside` is that, where the base is in the cluster's own namespace; None where it is to be listed.
    """
    namespace = base_of(resource)[0]
    own = resource["metadata"]
    if beside is not None:
        return replace(base, provisioning=tuple(await refused_pods.told(kube, namespace, beside)))
    selector = f"{labels.CLUSTER}={own['name']},{labels.CLUSTER_NAMESPACE}={own['namespace']}"
    if not base.admitted:
        # What an earlier grant left there is still cleared away.
        going = "deletionTimestamp" in own and not base.refused
        return replace(base, provisioning=tuple(await kube.list(JOB, namespace, labels=selector))) if going else base
    try:
        provisioning = await refused_pods.told(kube, namespace, await lists(kube, (JOB, SECRET, POD), namespace, selector))
    except Forbidden as error:
        return SeenBase(refused=error.message)
    return replace(base, provisioning=tuple(provisioning))


async def _claims(kube: Kube, namespace: str, name: str) -> tuple[Live, ...]:
    """The volume of a base's own database, as far as it is there."""
    listed = await kube.list(PERSISTENT_VOLUME_CLAIM, namespace, labels=f"{labels.BASE}={name},{labels.COMPONENT}=postgres")
    return tuple(claim for claim in listed if claim["metadata"]["name"] == names.postgres_claim(name))


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
