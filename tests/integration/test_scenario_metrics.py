"""The StatsD exporter beside a deployment: it comes and goes alone, and nothing ever waits for it."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_operator.domain.kinds import CONFIG_MAP, DEPLOYMENT, SERVICE, SERVICE_ACCOUNT
from airflow_operator.domain.manifest import Live, dig
from tests.integration.players import CrashLoop, Run
from tests.integration.scenario import CLUSTER, Stage, base, cluster

pytestmark = pytest.mark.integration

EXPORTER = f"{CLUSTER}-statsd"
NEXT = "docker.io/apache/airflow:next"


async def exporters(stage: Stage) -> set[str]:
    """UIDs of the exporter's pods."""
    found = [pod for pod in await stage.pods() if dig(pod, "metadata", "labels", "app.kubernetes.io/component") == "statsd"]
    return {pod["metadata"]["uid"] for pod in found}


async def others(stage: Stage) -> dict[str, Any]:
    """Pod templates of everything else."""
    return {name: template for name, template in (await stage.templates()).items() if name != EXPORTER}


def row(resource: Live) -> Live:
    return next(item for item in resource["status"]["components"] if item["name"] == "statsd")


async def test_it_comes_and_goes_with_the_field(stage: Stage) -> None:
    async with stage.operator():
        await stage.up()
        assert await stage.get(DEPLOYMENT, EXPORTER) is None
        await stage.edit_spec(metrics={})
        await stage.says("MetricsAvailable", "True")
        assert row(await stage.ready()) == {"name": "statsd", "desired": 1, "ready": 1}
        await stage.quiet()
        await stage.edit_spec(metrics=None)
        for kind in (DEPLOYMENT, SERVICE, SERVICE_ACCOUNT):
            await stage.gone(kind, EXPORTER)
        made = await stage.ready()
        await stage.quiet()
        assert "statsd" not in {item["name"] for item in made["status"]["components"]}
        assert not [item for item in await stage.children(CONFIG_MAP) if item["metadata"]["name"].startswith(EXPORTER)]


async def test_one_that_crashes_is_told_of_and_holds_nothing_back(stage: Stage) -> None:
    stage.player.play(f"{EXPORTER}-*", CrashLoop("error loading config"))
    async with stage.operator():
        await stage.apply(base(), cluster(metrics={}))
        await stage.says("MetricsAvailable", "False", "ContainerCrashes")
        await stage.says("TriggererAvailable", "True", "Available")
        assert (await stage.condition("SchedulersAvailable"))["status"] == "True"
        before = await others(stage)
        await stage.edit_spec(config={"core": {"parallelism": 7}})

        async def all_changed() -> bool:
            now = await others(stage)
            return all(now[name] != before[name] for name in before)

        await stage.until(all_changed)
        await stage.says("TriggererAvailable", "True", "Available")
        await stage.says("Ready", "False", "ContainerCrashes", words="error loading config")
        stage.player.play(f"{EXPORTER}-*", Run())
        await stage.ready()


async def test_it_goes_on_while_airflow_is_stopped_for_a_migration(stage: Stage) -> None:
    async with stage.operator():
        await stage.up(cluster(metrics={}))
        await stage.quiet()
        before = await exporters(stage)
        stage.world.knows[NEXT] = "heads-2"
        await stage.edit_spec(image={"tag": "next"})
        await stage.ready()
        assert stage.world.databases[CLUSTER].revision == "heads-2"
        assert await exporters(stage) == before != set()
