"""What the operator does with what it is told: whom it serves, whom it wakes, what it lets go. Without a framework."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from typing import Any, cast
from unittest.mock import AsyncMock

import pytest

from airflow_operator.domain.kinds import AIRFLOW_BASE, AIRFLOW_CLUSTER
from airflow_operator.domain.labels import FINALIZER
from airflow_operator.kube.protocol import Kube
from airflow_operator.reconcile.types import LookAgain
from airflow_operator.runtime.context import Context, utc_now
from airflow_operator.runtime.events import Events
from airflow_operator.runtime.gitsync import GitSyncNews
from airflow_operator.runtime.health import NoHealthProbe
from airflow_operator.runtime.health_turns import HealthTurns
from airflow_operator.runtime.operator import Duties, Operator, base_of, fingerprint
from airflow_operator.runtime.pace import Pace, Turn
from airflow_operator.runtime.wakeups import References, Resource, Wakeups
from airflow_operator.settings import Settings

pytestmark = pytest.mark.looptime

CLUSTER = Resource(AIRFLOW_CLUSTER, "ns", "c")
BASE = Resource(AIRFLOW_BASE, "ns", "b")


class Bench:
    """An operator whose reconciliations are written down."""

    def __init__(self, frameworks: Turn = nullcontext, kube: Kube | None = None) -> None:
        self.reconciled: list[str] = []
        self.deleted: list[str] = []
        self.deletions: list[LookAgain | None] = [None]
        self.running = 0
        self.most_running = 0
        kube = cast("Kube", kube)
        self.ctx = Context(
            kube, Settings(), HealthTurns(NoHealthProbe(), lambda resource: None), GitSyncNews(), References(), Events(kube, utc_now)
        )
        self.wakeups = Wakeups()
        duties = Duties(self._reconcile, self._delete)
        self.operator = Operator(self.ctx, self.wakeups, {AIRFLOW_BASE: duties, AIRFLOW_CLUSTER: duties}, frameworks)

    async def _reconcile(self, ctx: Context, namespace: str, name: str) -> LookAgain:
        assert (ctx, namespace) == (self.ctx, "ns")
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        await asyncio.sleep(0.5)
        self.running -= 1
        self.reconciled.append(name)
        return LookAgain()

    async def _delete(self, ctx: Context, namespace: str, name: str) -> LookAgain | None:
        assert self.running == 0, "a reconciliation ran beside the deletion"
        self.deleted.append(name)
        return self.deletions.pop(0) if len(self.deletions) > 1 else self.deletions[0]

    @asynccontextmanager
    async def serving(self, resource: Resource, live: dict[str, Any]) -> AsyncIterator[None]:
        stop = asyncio.Event()
        task = asyncio.create_task(self.operator.serve(resource, live["metadata"]["uid"], lambda: live, stop.wait()))
        await asyncio.sleep(0)
        yield
        stop.set()
        await task


def live(resource: Resource, uid: str = "u1", **meta: Any) -> dict[str, Any]:
    spec = {"baseRef": {"name": "b"}} if resource.kind == AIRFLOW_CLUSTER else {}
    identity = {"namespace": resource.namespace, "name": resource.name, "uid": uid, "generation": 1, "finalizers": [FINALIZER]}
    return {
        "apiVersion": resource.kind.api_version,
        "kind": resource.kind.kind,
        "metadata": {**identity, **meta},
        "spec": spec,
        "status": {},
    }


async def test_waits_for_its_finalizer() -> None:
    bench = Bench()
    seen = live(CLUSTER, finalizers=["example.org/other"])
    async with bench.serving(CLUSTER, seen):
        await asyncio.sleep(30)
        assert bench.reconciled == []
        seen["metadata"]["finalizers"] = [FINALIZER]
        await bench.operator.noticed(CLUSTER, "MODIFIED", seen)
        await asyncio.sleep(2)
        assert bench.reconciled == ["c"]


async def test_a_finalizer_that_comes_and_goes_in_time_is_not_looked_for() -> None:
    kube = AsyncMock()
    bench = Bench(kube=kube)
    await bench.operator.noticed(CLUSTER, "ADDED", live(CLUSTER, finalizers=[]))
    await bench.operator.noticed(CLUSTER, "MODIFIED", live(CLUSTER))
    await bench.operator.noticed(CLUSTER, "MODIFIED", live(CLUSTER, deletionTimestamp="2026-01-01T00:00:00Z"))
    await bench.operator.noticed(CLUSTER, "DELETED", live(CLUSTER))
    await asyncio.sleep(100)
    assert kube.mock_calls == []
    # One that comes and is taken off at once is looked for as ever.
    for finalizers in ([], [FINALIZER], []):
        await bench.operator.noticed(CLUSTER, "MODIFIED", live(CLUSTER, "u2", finalizers=finalizers))
    kube.get.return_value = None
    await asyncio.sleep(100)
    kube.get.assert_awaited_once_with(CLUSTER.kind, "ns", "c")


async def test_the_frameworks_finalizers_take_their_turns_too() -> None:
    clock = asyncio.get_running_loop().time
    bench, began = Bench(Pace(1, clock=clock).turn), clock()
    # Bearing it already, it costs none.
    await bench.operator.noticed(Resource(AIRFLOW_CLUSTER, "ns", "c"), "ADDED", live(CLUSTER))
    assert clock() == began
    for number in range(3):
        await bench.operator.noticed(Resource(AIRFLOW_CLUSTER, "ns", f"n{number}"), "ADDED", live(CLUSTER, f"n{number}", finalizers=[]))
    assert clock() == began + 2.0
    await bench.operator.noticed(CLUSTER, "MODIFIED", live(CLUSTER, deletionTimestamp="2026-01-01T00:00:00Z"))
    assert clock() >= began + 3.0
    bench.operator.close()


async def test_status_change_wakes_nobody_and_a_change_of_spec_does() -> None:
    bench = Bench()
    seen = live(CLUSTER)
    await bench.operator.noticed(CLUSTER, None, seen)
    async with bench.serving(CLUSTER, seen):
        await asyncio.sleep(5)
        bench.reconciled.clear()
        seen["status"] = {"phase": "Running"}
        seen["metadata"]["resourceVersion"] = "7"
        await bench.operator.noticed(CLUSTER, "MODIFIED", seen)
        await asyncio.sleep(5)
        assert bench.reconciled == []
        seen["metadata"]["generation"] = 2
        await bench.operator.noticed(CLUSTER, "MODIFIED", seen)
        await asyncio.sleep(5)
        assert bench.reconciled == ["c"]


async def test_base_wakes_its_clusters_also_for_its_status_but_not_for_their_number() -> None:
    bench = Bench()
    await bench.operator.noticed(CLUSTER, None, live(CLUSTER))
    await bench.operator.noticed(BASE, None, live(BASE))
    async with bench.serving(CLUSTER, live(CLUSTER)):
        await asyncio.sleep(5)
        bench.reconciled.clear()
        for status in ({"phase": "Running"}, {"phase": "Running", "clusters": 2}, {"phase": "Running", "clusters": 3}):
            await bench.operator.noticed(BASE, "MODIFIED", {**live(BASE), "status": status})
            await asyncio.sleep(5)
            assert bench.reconciled == ["c"]
        await bench.operator.noticed(BASE, "MODIFIED", {**live(BASE, generation=2), "status": {"phase": "Running"}})
        await asyncio.sleep(5)
        assert bench.reconciled == ["c", "c"]


async def test_deletion_ends_the_loop_first_and_returns_when_it_is_done() -> None:
    bench = Bench()
    bench.deletions = [LookAgain(1.0), LookAgain(1.0), None]
    seen = live(CLUSTER)
    async with bench.serving(CLUSTER, seen):
        await asyncio.sleep(0.1)  # in the middle of the first reconciliation
        seen["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        await bench.operator.noticed(CLUSTER, "MODIFIED", seen)
        assert bench.deleted == ["c"] * 3
        bench.wakeups.wake(CLUSTER)
        await asyncio.sleep(30)
        assert bench.reconciled == ["c"]


async def test_deletion_that_was_asked_for_before_the_start_is_done_without_a_loop() -> None:
    bench = Bench()
    await bench.operator.noticed(CLUSTER, None, live(CLUSTER, deletionTimestamp="2026-01-01T00:00:00Z"))
    assert bench.deleted == ["c"]


async def test_object_that_waits_for_somebody_elses_finalizer_is_left_alone() -> None:
    bench = Bench()
    await bench.operator.noticed(CLUSTER, None, live(CLUSTER, deletionTimestamp="2026-01-01T00:00:00Z", finalizers=["example.org/x"]))
    assert bench.deleted == []


async def test_namesake_whose_predecessor_vanished_unseen_is_the_only_one_served() -> None:
    """kopf does not notice objects that vanish while its watch is broken: their loops go on."""
    bench = Bench()
    async with bench.serving(CLUSTER, live(CLUSTER, uid="old")):
        await asyncio.sleep(5)
        async with bench.serving(CLUSTER, live(CLUSTER, uid="new")):
            for _ in range(10):
                bench.wakeups.wake(CLUSTER)
                await asyncio.sleep(0.3)
    assert bench.most_running == 1


async def test_gone_cluster_is_forgotten_and_wakes_its_base() -> None:
    bench = Bench()
    bench.ctx.references.set("ns", "c", {("Secret", "git")})
    bench.ctx.news.expect("ns", "c", {"etl": "token"})
    await bench.operator.noticed(CLUSTER, None, live(CLUSTER))
    async with bench.serving(BASE, live(BASE, uid="u2")):
        await asyncio.sleep(5)
        bench.reconciled.clear()
        await bench.operator.noticed(CLUSTER, "DELETED", live(CLUSTER))
        await asyncio.sleep(5)
        assert bench.reconciled == ["b"]
    assert bench.ctx.references.users("Secret", "ns", "git") == ()
    assert bench.ctx.news.record("ns", "c", "etl", "token", "0" * 40) == "unexpected"


async def test_late_news_of_an_old_object_do_not_disturb_the_new_one() -> None:
    bench = Bench()
    await bench.operator.noticed(CLUSTER, "ADDED", live(CLUSTER, uid="new"))
    async with bench.serving(CLUSTER, live(CLUSTER, uid="new")):
        await asyncio.sleep(5)
        await bench.operator.noticed(CLUSTER, "DELETED", live(CLUSTER, uid="old"))
        bench.reconciled.clear()
        bench.wakeups.wake(CLUSTER)
        await asyncio.sleep(5)
        assert bench.reconciled == ["c"]


async def test_end_of_the_process_ends_the_loop_and_deletes_nothing() -> None:
    bench = Bench()
    async with bench.serving(CLUSTER, live(CLUSTER)):
        await asyncio.sleep(5)
    bench.reconciled.clear()
    bench.wakeups.wake(CLUSTER)
    await asyncio.sleep(5)
    assert bench.reconciled == bench.deleted == []


def test_base_of_a_cluster() -> None:
    assert base_of(live(CLUSTER)) == BASE
    assert base_of({"metadata": {"namespace": "ns"}, "spec": {"baseRef": {"name": "b", "namespace": "other"}}}) == Resource(
        AIRFLOW_BASE, "other", "b"
    )
    assert base_of({"metadata": {"namespace": "ns"}, "spec": {}}) is None


@pytest.mark.parametrize(
    "change", [{"generation": 2}, {"labels": {"a": "b"}}, {"annotations": {"a": "b"}}, {"uid": "u9"}, {"finalizers": []}]
)
def test_fingerprint_sees_all_but_the_status(change: dict[str, Any]) -> None:
    assert fingerprint(live(CLUSTER)) != fingerprint(live(CLUSTER, **change))
    assert fingerprint(live(CLUSTER)) == fingerprint({**live(CLUSTER, resourceVersion="9", managedFields=[]), "status": {"phase": "x"}})
