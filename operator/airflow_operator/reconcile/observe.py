"""One picture of an AirflowCluster: everything is read afresh, nothing is remembered."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from airflow_operator.airflow.releases import RELEASES
from airflow_operator.api import AirflowClusterSpec, parse_cluster
from airflow_operator.domain import labels, names
from airflow_operator.domain.errors import InvalidSpec
from airflow_operator.domain.kinds import (
    AIRFLOW_CLUSTER,
    CHILD_KINDS,
    JOB,
    OPTIONAL_KINDS,
    POD,
    SECRET,
)
from airflow_operator.domain.manifest import Kind, Live, dig
from airflow_operator.kube.errors import NotFound
from airflow_operator.reconcile import redaction, refused_pods
from airflow_operator.reconcile.address import base_path
from airflow_operator.reconcile.around import look_around
from airflow_operator.reconcile.base_access import base_of
from airflow_operator.reconcile.observe_base import look_beside_base
from airflow_operator.reconcile.types import Health, SeenCluster

if TYPE_CHECKING:
    from airflow_operator.kube.protocol import Kube
    from airflow_operator.runtime.context import Context

KINDS = (*CHILD_KINDS, POD, *OPTIONAL_KINDS)
FIRST_KINDS = (SECRET, JOB)
"""What shows whether anything was ever made for a cluster: its keys, and the evidence of its database."""


async def observe(ctx: Context, namespace: str, name: str) -> SeenCluster | None:
    """The picture; None where the resource is gone."""
    kube = ctx.kube
    resource = await kube.get(AIRFLOW_CLUSTER, namespace, name)
    if resource is None:
        return None
    spec = spec_of(resource)
    around, listed = await asyncio.gather(
        look_around(ctx, resource, spec), _children(kube, resource, routes=spec is None or spec.gateway is not None)
    )
    own = around.own
    base = await look_beside_base(kube, resource, around.base, listed.beside_base)
    secret = redaction.values_of([*listed.children, *base.provisioning, *around.references.values()])
    children = redaction.redacted(await refused_pods.told(kube, namespace, listed.children), secret)
    pods = [item for item in children if item["kind"] == "Pod"]
    return SeenCluster(
        resource=resource,
        namespace_uid=own.get("uid", ""),
        base=base.live,
        children=tuple(item for item in children if item["kind"] != "Pod"),
        pods=tuple(pods),
        provisioning=tuple(redaction.redacted(base.provisioning, secret)),
        base_claims=base.claims,
        references=around.references,
        health=_without(await health_of(ctx, namespace, name, spec, serving=any(map(_serves, pods))), secret),
        commits=ctx.news.commits(namespace, name),
        now=ctx.now(),
        absent=listed.absent,
        first=listed.nothing_yet,
        namespace_going="deletionTimestamp" in own,
        namespace_labels=own.get("labels", {}),
        base_refused=base.refused,
        base_ca=base.ca,
        base_namespace_going=base.namespace_going or (listed.beside_base is not None and "deletionTimestamp" in own),
        around=around.version,
    )


def spec_of(resource: Live) -> AirflowClusterSpec | None:
    """The spec; None where it cannot be read, of which others tell."""
    try:
        return parse_cluster(resource).spec
    except InvalidSpec:
        return None


@dataclass(frozen=True)
class _Listed:
    children: list[Live]
    """And pods."""
    beside_base: list[Live] | None
    """What is kept beside the base, where that is in the same namespace."""
    absent: frozenset[Kind]
    """The kinds that this Kubernetes lacks."""
    nothing_yet: bool
    """Nothing was ever made for the cluster, and no Secret has a name of those that are made once."""


async def _children(kube: Kube, resource: Live, *, routes: bool) -> _Listed:
    """`routes`: whether the spec asks for some."""
    namespace, name = resource["metadata"]["namespace"], resource["metadata"]["name"]
    with_base = base_of(resource)[0] == namespace
    selector = f"{labels.CLUSTER}={name}" + ("" if with_base else f",!{labels.CLUSTER_NAMESPACE}")

    async def listed(kinds: Iterable[Kind]) -> dict[Kind, Sequence[Live] | None]:
        kinds = tuple(kinds)
        return dict(zip(kinds, await asyncio.gather(*(_list(kube, kind, namespace, selector) for kind in kinds)), strict=True))

    nothing_yet = False
    found: dict[Kind, Sequence[Live] | None] = {}
    if with_base and not resource.get("status") and "deletionTimestamp" not in resource["metadata"]:
        # The copy of the keys, beside the base, is made before all else, and stays: without it there is nothing to list.
        made_once = (names.keys(name), names.keys_copy(namespace, name), names.admin(name))
        found, unlabelled = await asyncio.gather(
            listed((*FIRST_KINDS, *(OPTIONAL_KINDS if routes else ()))),
            asyncio.gather(*(kube.get(SECRET, namespace, secret) for secret in made_once)),
        )
        nothing_yet = not any(found.values()) and not any(unlabelled)
    if not nothing_yet:
        found |= await listed(kind for kind in KINDS if kind not in found)
    split: dict[str, list[Live]] = {}
    for item in (item for kind in KINDS for item in found.get(kind) or ()):
        split.setdefault(dig(item, "metadata", "labels", labels.CLUSTER_NAMESPACE, default=""), []).append(item)
    absent = frozenset(kind for kind, items in found.items() if items is None)
    return _Listed(split.get("", []), split.get(namespace, []) if with_base else None, absent, nothing_yet)


async def _list(kube: Kube, kind: Kind, namespace: str, selector: str) -> Sequence[Live] | None:
    """None where this Kubernetes does not know the kind, and need not."""
    try:
        return await kube.list(kind, namespace, labels=selector)
    except NotFound:
        if kind not in OPTIONAL_KINDS:
            raise
        return None


def _serves(pod: Live) -> bool:
    ready = any(item["type"] == "Ready" and item["status"] == "True" for item in dig(pod, "status", "conditions", default=[]))
    return ready and dig(pod, "metadata", "labels", labels.COMPONENT) == "api-server"


async def health_of(ctx: Context, namespace: str, name: str, spec: AirflowClusterSpec | None, *, serving: bool) -> Health:
    """What Airflow says; asked once a pod of its API server is ready: before that there is nobody to answer."""
    if not ctx.settings.health_probe:
        return Health(asked=False)
    if spec is None or not serving:
        ctx.health.forget(namespace, name)
        return Health()
    release = RELEASES[spec.version]
    port = next(iter(release.api_server.ports.values()))
    return await ctx.health.read(
        namespace, name, f"http://{names.api_server(name)}.{namespace}.svc:{port}{base_path(spec)}{release.health_path}"
    )


def _without(health: Health, secret: Sequence[str]) -> Health:
    """What an image says of itself, without what it was given."""
    hidden = {redaction.hide(name, secret): redaction.hide(status, secret) for name, status in health.components.items()}
    return replace(health, components=hidden)
