"""An operator that starts again looks closely only at a cluster for which something changed while none ran."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from airflow_operator.domain.kinds import AIRFLOW_BASE, AIRFLOW_CLUSTER, CONFIG_MAP, DEPLOYMENT, SERVICE
from airflow_operator.domain.manifest import Live, dig
from airflow_operator.reconcile.types import Health
from tests.integration.rights import OPT_IN
from tests.integration.scenario import BASE, CLUSTER, Stage, cluster

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(OPT_IN, reason="a namespace's watches begin with the first look there, which is a close one"),
]

CHILD, OTHER = f"{CLUSTER}-api-server", f"{CLUSTER}-triggerer"
LEFT_OVER = f"{CLUSTER}-nobody-wants-this"
LISTED = "list cronjobs"
"""Asked by the watch of children once, and once by each close look at the cluster."""


@asynccontextmanager
async def restarted(stage: Stage, **settings: Any) -> Any:
    """An operator that has looked at the cluster and come to rest; yields whether it looked closely."""
    stage.audit.reset()
    async with stage.operator(**settings):
        await stage.looks(1)
        await stage.rest()
        yield stage.audit.requests().count(LISTED) > 1


async def converged(stage: Stage) -> None:
    """The cluster is up, and the last operator has told what it saw."""
    async with stage.operator():
        await stage.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "theirs"}, "data": {"A": "1"}})
        await stage.up(cluster(env=[{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "theirs", "key": "A"}}}]))
        await stage.rest()


async def test_nothing_is_read_of_a_cluster_that_is_as_it_was_left(stage: Stage) -> None:
    await converged(stage)
    async with restarted(stage):
        pass
    async with restarted(stage) as closely:
        assert not closely
        assert stage.audit.writes() == []
        # What happens from now on is noticed.
        await stage.delete(SERVICE, CHILD)
        await stage.there(SERVICE, CHILD)
        await stage.edit_spec(scheduler={"replicas": 2})
        await stage.ready()


async def service_deleted(stage: Stage) -> None:
    await stage.delete(SERVICE, CHILD)


async def field_edited(stage: Stage) -> None:
    await stage.edit(DEPLOYMENT, CHILD, {"spec": {"replicas": 3}})


async def label_taken(stage: Stage) -> None:
    await stage.edit(SERVICE, OTHER, {"metadata": {"labels": {"app.kubernetes.io/managed-by": None}}})


async def left_over_made(stage: Stage) -> None:
    meta = {"name": LEFT_OVER, "labels": (await stage.must_get(SERVICE, CHILD))["metadata"]["labels"]}
    meta["ownerReferences"] = (await stage.must_get(SERVICE, CHILD))["metadata"]["ownerReferences"]
    await stage.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta})


async def referenced_changed(stage: Stage) -> None:
    await stage.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "theirs"}, "data": {"A": "2"}})


async def base_changed(stage: Stage) -> None:
    await stage.edit(AIRFLOW_BASE, BASE, {"metadata": {"labels": {"a": "b"}}})


async def namespace_labelled(stage: Stage) -> None:
    await asyncio.to_thread(stage.kubectl, "label", "namespace", stage.namespace, "a=b")


async def spec_changed(stage: Stage) -> None:
    await stage.edit_spec(apiServer={"replicas": 2})


async def status_stomped(stage: Stage) -> None:
    patch = '{"status": {"phase": "Nonsense"}}'
    await asyncio.to_thread(
        stage.kubectl, "patch", "airflowclusters.airflow-operator.dev", CLUSTER, "--subresource=status", "--type=merge", "-p", patch
    )


async def health_turned(stage: Stage) -> None:
    stage.health.answer = Health(reachable=False)


CHANGES: tuple[Callable[[Stage], Awaitable[None]], ...] = (
    service_deleted,
    field_edited,
    label_taken,
    left_over_made,
    referenced_changed,
    base_changed,
    namespace_labelled,
    spec_changed,
    status_stomped,
    health_turned,
)


async def state(stage: Stage) -> dict[str, Any]:
    """What an operator that looks closely makes as it should be."""
    other, deployment = await stage.must_get(SERVICE, OTHER), await stage.must_get(DEPLOYMENT, CHILD)
    live: Live = await stage.must_get(AIRFLOW_CLUSTER, CLUSTER)
    return {
        "service": await stage.get(SERVICE, CHILD) is not None,
        "left over": await stage.get(CONFIG_MAP, LEFT_OVER) is not None,
        "label": dig(other, "metadata", "labels", "app.kubernetes.io/managed-by"),
        "replicas": dig(deployment, "spec", "replicas") == dig(live, "spec", "apiServer", "replicas", default=1),
        "phase": dig(live, "status", "phase"),
        "current": dig(live, "status", "observedGeneration") == live["metadata"]["generation"],
    }


@pytest.mark.timeout(600)
async def test_whatever_changed_meanwhile_is_looked_at_closely(stage: Stage) -> None:
    await converged(stage)
    right = await state(stage)
    for change in CHANGES:
        async with restarted(stage):
            pass
        async with restarted(stage) as closely:
            assert not closely, f"before {change.__name__}"
        await change(stage)
        async with restarted(stage) as closely:
            assert closely, change.__name__
            assert await state(stage) == {**right, "phase": "Unknown" if change is health_turned else "Running"}, change.__name__


async def test_another_operator_looks_closely(stage: Stage) -> None:
    await converged(stage)
    async with restarted(stage):
        pass
    async with restarted(stage, git_sync_image="registry.example/git-sync:1") as closely:
        assert closely
        assert "registry.example/git-sync:1" in str(await stage.templates())
