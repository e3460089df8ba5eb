"""An operator that is killed at any moment and started again ends where one ends that is left alone."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import Any

import pytest

from airflow_operator.domain.kinds import AIRFLOW_CLUSTER
from airflow_operator.domain.manifest import dig
from tests.integration.scenario import CLUSTER, Stage, base, cluster

pytestmark = pytest.mark.integration

FLEET = 50


async def killed_at_each(stage: Stage, writes: int, done: Any) -> int:
    """Start operators that are killed before their n-th write, until `done`; answers how many there were."""
    for count in range(1, 60):
        async with stage.operator(hang_before_write=writes + 1) as op:

            async def hanging_or_done(op: Any = op) -> bool:
                return bool(op.kube.hanging.is_set()) or await done()

            await stage.until(hanging_or_done)
            finished = await done()
            op.kill()
        if finished:
            return count
    raise AssertionError("it never came to an end")


async def test_killed_after_every_few_writes(stage: Stage) -> None:
    await stage.apply(base(), cluster())

    async def ready() -> bool:
        return (await stage.condition("Ready")).get("status") == "True"

    operators = await killed_at_each(stage, 4, ready)
    assert operators > 5
    async with stage.operator():
        await stage.ready()
        await stage.quiet()
    assert stage.world.asked == ["provision", "migrate", "users"]
    written = Counter(item for item in stage.audit.writes() if "events" not in item and "/status" not in item)
    assert set(written.values()) == {1}, written


async def test_killed_during_a_deletion(stage: Stage) -> None:
    async with stage.operator():
        await stage.up(cluster(deletionPolicy="Delete"))
    await stage.delete(AIRFLOW_CLUSTER, CLUSTER)

    async def gone() -> bool:
        return await stage.get(AIRFLOW_CLUSTER, CLUSTER) is None

    await killed_at_each(stage, 3, gone)
    assert stage.world.databases == {}


@pytest.mark.timeout(420)
async def test_restart_over_a_converged_fleet_writes_nothing(stage: Stage) -> None:
    names = [f"c{number}" for number in range(FLEET)]
    # Without pods of Airflow there is less to play; what is compared are the children.
    idle: dict[str, Any] = {part: {"replicas": 0} for part in ("apiServer", "scheduler", "dagProcessor", "triggerer")}
    await stage.apply(base())

    async def all_ready() -> bool:
        found = await stage.admin.list(AIRFLOW_CLUSTER, stage.namespace)
        ready = [item for item in found if dig(item, "status", "phase") == "Running"]
        return len(ready) == FLEET

    async with stage.operator():
        documents = [cluster(name, **idle) for name in names]
        fleet = json.dumps({"apiVersion": "v1", "kind": "List", "items": documents})
        await asyncio.to_thread(stage.kubectl, "create", "-f", "-", input=fleet)
        await stage.until(all_ready, within=240)
        await stage.settled()
    stage.audit.reset()
    async with stage.operator(resync=5.0):

        async def all_looked_at_twice() -> bool:
            seen = Counter(stage.audit.requests())
            await asyncio.sleep(0.5)
            return all(seen[f"get airflowclusters/{name}"] >= 2 for name in names)

        await stage.until(all_looked_at_twice, within=120)
    assert stage.audit.writes() == []
    assert stage.audit.writes(client="kopf") == []
