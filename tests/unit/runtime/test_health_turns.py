"""A cluster is woken when its health turns, and only then."""

import asyncio

import pytest

from airflow_operator.domain.kinds import AIRFLOW_CLUSTER
from airflow_operator.reconcile.types import Health
from airflow_operator.runtime.health_turns import TICK, HealthTurns
from airflow_operator.runtime.wakeups import Resource

URL = "http://a-api-server.ns.svc:8080/api/v2/monitor/health"
WELL = Health(reachable=True, components={"scheduler": "healthy"})
ILL = Health(reachable=True, components={"scheduler": "unhealthy"})


class Probe:
    def __init__(self) -> None:
        self.says = WELL

    async def read(self, url: str) -> Health:
        assert url == URL
        return self.says


@pytest.mark.looptime
async def test_wakes_once_for_each_turn() -> None:
    probe, woken = Probe(), []
    turns = HealthTurns(probe, woken.append)
    task = asyncio.create_task(turns.run())
    assert await turns.read("ns", "a", URL) == WELL
    await asyncio.sleep(5 * TICK)
    assert woken == []
    probe.says = ILL
    await asyncio.sleep(5 * TICK)
    assert woken == [Resource(AIRFLOW_CLUSTER, "ns", "a")]
    probe.says = WELL
    await asyncio.sleep(5 * TICK)
    assert len(woken) == 2
    task.cancel()


@pytest.mark.looptime
async def test_a_forgotten_cluster_is_not_woken() -> None:
    probe, woken = Probe(), []
    turns = HealthTurns(probe, woken.append)
    task = asyncio.create_task(turns.run())
    await turns.read("ns", "a", URL)
    turns.forget("ns", "a")
    probe.says = ILL
    await asyncio.sleep(5 * TICK)
    assert woken == []
    task.cancel()
