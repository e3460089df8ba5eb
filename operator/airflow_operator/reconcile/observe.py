"""One picture of an AirflowCluster: everything is read afresh, nothing is remembered."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from airflow_operator.airflow.releases import RELEASES
from airflow_operator.api import AirflowClusterSpec, parse_cluster
from airflow_operator.domain import labels, names
from airflow_operator.domain.errors import InvalidSpec
from airflow_operator.domain.kinds import (
    AIRFLOW_BASE,
    AIRFLOW_CLUSTER,
    CHILD_KINDS,
    CONFIG_MAP,
    JOB,
    NAMESPACE,
    PERSISTENT_VOLUME_CLAIM,
    POD,
    SECRET,
)
from airflow_operator.domain.manifest import Kind, Live, dig
from airflow_operator.reconcile import references
from airflow_operator.reconcile.types import Health, SeenCluster
from airflow_operator.reconcile.validate import base_path

if TYPE_CHECKING:
    from airflow_operator.kube.protocol import Kube
    from airflow_operator.runtime.context import Context


async def observe(ctx: Context, namespace: str, name: str) -> SeenCluster | None:
    """The picture; None where the resource is gone."""
    kube = ctx.kube
    resource = await kube.get(AIRFLOW_CLUSTER, namespace, name)
    if resource is None:
        return None
    try:
        spec: AirflowClusterSpec | None = parse_cluster(resource).spec
    except InvalidSpec:
        spec = None
    wanted = {(reference.kind, reference.name) for reference in references.of_spec(spec)} if spec else set()
    # Registered before they are read: a change in between is then not missed.
    ctx.references.set(namespace, name, wanted)
    base_name = dig(resource, "spec", "baseRef", "name", default="")
    beside = f"{labels.CLUSTER}={name},{labels.CLUSTER_NAMESPACE}={namespace}"
    own_namespace, base, children, provisioning, claims, found = await asyncio.gather(
        kube.get(NAMESPACE, "", namespace),
        kube.get(AIRFLOW_BASE, namespace, base_name),
        lists(kube, (*CHILD_KINDS, POD), namespace, f"{labels.CLUSTER}={name},!{labels.CLUSTER_NAMESPACE}"),
        lists(kube, (JOB, SECRET, POD), namespace, beside),
        kube.list(PERSISTENT_VOLUME_CLAIM, namespace, labels=f"{labels.BASE}={base_name},{labels.COMPONENT}=postgres"),
        _read_references(kube, namespace, wanted),
    )
    pods = [item for item in children if item["kind"] == "Pod"]
    return SeenCluster(
        resource=resource,
        namespace_uid=dig(own_namespace, "metadata", "uid", default=""),
        base=base,
        children=tuple(item for item in children if item["kind"] != "Pod"),
        pods=tuple(pods),
        provisioning=tuple(provisioning),
        base_claims=tuple(claim for claim in claims if claim["metadata"]["name"] == names.postgres_claim(base_name)),
        references=found,
        health=await _health(ctx, namespace, name, spec, pods),
        commits=ctx.news.commits(namespace, name),
        now=ctx.now(),
        namespace_going="deletionTimestamp" in dig(own_namespace, "metadata", default={}),
    )


async def lists(kube: Kube, kinds: Iterable[Kind], namespace: str, selector: str) -> list[Live]:
    """All objects of several kinds that a selector matches, in the order of the kinds."""
    found: Sequence[Sequence[Live]] = await asyncio.gather(*(kube.list(kind, namespace, labels=selector) for kind in kinds))
    return [item for items in found for item in items]


async def _read_references(kube: Kube, namespace: str, wanted: set[tuple[str, str]]) -> dict[tuple[str, str], Live | None]:
    kinds = {kind.kind: kind for kind in (SECRET, CONFIG_MAP, PERSISTENT_VOLUME_CLAIM)}
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
