"""One picture of an AirflowCluster: everything is read afresh, nothing is remembered."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_operator.airflow.releases import RELEASES
from airflow_operator.api import AirflowClusterSpec, parse_cluster
from airflow_operator.domain import labels, names
from airflow_operator.domain.errors import InvalidSpec
from airflow_operator.domain.kinds import (
    AIRFLOW_CLUSTER,
    CHILD_KINDS,
    CONFIG_MAP,
    NAMESPACE,
    OPTIONAL_KINDS,
    PERSISTENT_VOLUME_CLAIM,
    POD,
    SECRET,
    SERVICE_ACCOUNT,
)
from airflow_operator.domain.manifest import Kind, Live, dig
from airflow_operator.kube.errors import NotFound
from airflow_operator.reconcile import redaction, references, refused_pods
from airflow_operator.reconcile.address import base_path
from airflow_operator.reconcile.base_access import base_of
from airflow_operator.reconcile.observe_base import lists, look_at_base, look_beside_base
from airflow_operator.reconcile.types import Health, SeenCluster

if TYPE_CHECKING:
    from airflow_operator.kube.protocol import Kube
    from airflow_operator.runtime.context import Context


async def observe(ctx: Context, namespace: str, name: str) -> SeenCluster | None:
    """The picture; None where the resource is gone."""
    kube = ctx.kube
    resource = await kube.get(AIRFLOW_CLUSTER, namespace, name)
    if resource is None:
        return None
    spec = _spec_of(resource)
    wanted = {(reference.kind, reference.name) for reference in references.of_spec(spec)} if spec else set()
    # Registered before they are read: a change in between is then not missed.
    ctx.references.set(namespace, name, wanted)
    own_namespace, base, (children, beside, absent), found = await asyncio.gather(
        kube.get(NAMESPACE, "", namespace),
        look_at_base(kube, resource),
        _children(kube, namespace, name, with_base=base_of(resource)[0] == namespace),
        _read_references(kube, namespace, wanted),
    )
    own = dig(own_namespace, "metadata", default={})
    base = await look_beside_base(kube, resource, base, own.get("labels", {}), beside)
    secret = redaction.values_of([*children, *base.provisioning, *found.values()])
    children = redaction.redacted(await refused_pods.told(kube, namespace, children), secret)
    pods = [item for item in children if item["kind"] == "Pod"]
    return SeenCluster(
        resource=resource,
        namespace_uid=own.get("uid", ""),
        base=base.live,
        children=tuple(item for item in children if item["kind"] != "Pod"),
        pods=tuple(pods),
        provisioning=tuple(redaction.redacted(base.provisioning, secret)),
        base_claims=base.claims,
        references=found,
        health=_without(await _health(ctx, namespace, name, spec, pods), secret),
        commits=ctx.news.commits(namespace, name),
        now=ctx.now(),
        absent=absent,
        namespace_going="deletionTimestamp" in own,
        namespace_labels=own.get("labels", {}),
        base_refused=base.refused,
        base_ca=base.ca,
        base_namespace_going=base.namespace_going or (beside is not None and "deletionTimestamp" in own),
    )


def _spec_of(resource: Live) -> AirflowClusterSpec | None:
    """The spec; None where it cannot be read, of which others tell."""
    try:
        return parse_cluster(resource).spec
    except InvalidSpec:
        return None


async def _children(kube: Kube, namespace: str, name: str, *, with_base: bool) -> tuple[list[Live], list[Live] | None, frozenset[Kind]]:
    """All children and pods; what is kept beside the base, where that is `with_base` here; the kinds that this Kubernetes lacks."""
    selector = f"{labels.CLUSTER}={name}" + ("" if with_base else f",!{labels.CLUSTER_NAMESPACE}")

    async def optional(kind: Kind) -> Sequence[Live] | None:
        try:
            return await kube.list(kind, namespace, labels=selector)
        except NotFound:
            return None

    usual, *others = await asyncio.gather(
        lists(kube, (*CHILD_KINDS, POD), namespace, selector), *(optional(kind) for kind in OPTIONAL_KINDS)
    )
    absent = frozenset(kind for kind, items in zip(OPTIONAL_KINDS, others, strict=True) if items is None)
    found: dict[str, list[Live]] = {}
    for item in (*(usual or ()), *(item for items in others for item in items or ())):
        found.setdefault(dig(item, "metadata", "labels", labels.CLUSTER_NAMESPACE, default=""), []).append(item)
    return found.get("", []), found.get(namespace, []) if with_base else None, absent


async def _read_references(kube: Kube, namespace: str, wanted: set[tuple[str, str]]) -> dict[tuple[str, str], Live | None]:
    kinds = {kind.kind: kind for kind in (SECRET, CONFIG_MAP, PERSISTENT_VOLUME_CLAIM, SERVICE_ACCOUNT)}
    ordered = sorted(wanted)
    found = await asyncio.gather(*(kube.get(kinds[kind], namespace, name) for kind, name in ordered))
    return dict(zip(ordered, found, strict=True))


async def _health(ctx: Context, namespace: str, name: str, spec: AirflowClusterSpec | None, pods: Iterable[Live]) -> Health:
    """Asked once an API server pod is ready: before that there is nobody to answer."""
    if not ctx.settings.health_probe:
        return Health(asked=False)
    serving = any(
        dig(pod, "metadata", "labels", labels.COMPONENT) == "api-server"
        and any(item["type"] == "Ready" and item["status"] == "True" for item in dig(pod, "status", "conditions", default=[]))
        for pod in pods
    )
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
