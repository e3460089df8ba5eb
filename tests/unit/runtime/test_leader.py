"""Who works, of several replicas: the rules of the Lease."""

from __future__ import annotations

import asyncio
from copy import deepcopy
from typing import Any, cast

import aiohttp
import pytest

from airflow_operator.domain.manifest import Kind
from airflow_operator.kube.errors import AlreadyExists, ApiError, Conflict, Unavailable
from airflow_operator.kube.protocol import Kube
from airflow_operator.kube.wrapped import Guarded
from airflow_operator.process import turns
from airflow_operator.runtime.gitsync import GitSyncNews
from airflow_operator.runtime.leader import Leader, NotLeading, Timing
from airflow_operator.runtime.pace import Pace
from airflow_operator.runtime.wakeups import Wakeups
from airflow_operator.runtime.webhook import application, serving

TIMING = Timing(15.0, 10.0, 2.0)
COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Shelf:
    """A Lease in the API server's hands; `broken` answers every request."""

    def __init__(self) -> None:
        self.lease: dict[str, Any] | None = None
        self.broken: ApiError | None = None
        self.written: list[str] = []

    async def get(self, kind: Kind, namespace: str, name: str) -> Any:
        self._answer()
        return deepcopy(self.lease)

    async def create(self, manifest: Any) -> Any:
        self._answer()
        if self.lease is not None:
            raise AlreadyExists(409, "AlreadyExists", "it is there")
        self._write({**manifest, "metadata": {**manifest["metadata"], "resourceVersion": "0"}})

    async def patch(self, kind: Kind, namespace: str, name: str, operations: Any) -> Any:
        self._answer()
        assert self.lease is not None
        guard, notes, spec = operations
        if guard["value"] != self.lease["metadata"]["resourceVersion"]:
            raise Conflict(409, "Conflict", "it has changed")
        self._write({**self.lease, "metadata": {**self.lease["metadata"], "annotations": notes["value"]}, "spec": spec["value"]})

    async def delete(self, *_: Any, **__: Any) -> None:
        self.written.append("delete")

    def _write(self, lease: dict[str, Any]) -> None:
        lease["metadata"]["resourceVersion"] = str(int(lease["metadata"]["resourceVersion"]) + 1)
        self.lease = lease

    def _answer(self) -> None:
        if self.broken:
            raise self.broken


class Times:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Bench:
    def __init__(self) -> None:
        self.shelf, self.clock = Shelf(), Times()
        self.one, self.other = (self.replica(name) for name in ("one", "other"))

    def replica(self, name: str) -> Leader:
        return Leader(cast("Kube", self.shelf), "system", name, TIMING, webhook=f"http://{name}:8090", clock=self.clock)

    @property
    def holder(self) -> str:
        assert self.shelf.lease is not None
        return str(self.shelf.lease["spec"]["holderIdentity"])


async def tried(leader: Leader) -> bool:
    """One look at the Lease."""
    try:
        async with asyncio.timeout(0.01):
            await leader.take()
    except TimeoutError:
        return False
    return True


async def test_one_takes_it_and_the_other_stands_by() -> None:
    bench = Bench()
    assert await tried(bench.one)
    assert not await tried(bench.other)
    assert (bench.one.leads(), bench.other.leads(), bench.holder) == (True, False, "one")
    assert bench.other.holder_webhook == "http://one:8090"


async def test_a_silent_holder_is_replaced_after_its_duration_as_seen_by_the_other() -> None:
    bench = Bench()
    await tried(bench.one)
    bench.clock.now = 100.0
    assert not await tried(bench.other), "it has only begun to look: clocks of two nodes are never compared"
    bench.clock.now = 100.0 + TIMING.duration - 0.1
    assert not await tried(bench.other)
    bench.clock.now = 100.0 + TIMING.duration
    assert await tried(bench.other)
    assert bench.holder == "other"
    assert bench.shelf.lease
    assert bench.shelf.lease["spec"]["leaseTransitions"] == 1


async def test_a_holder_that_renews_stays() -> None:
    bench = Bench()
    await tried(bench.one)
    for _ in range(10):
        assert not await tried(bench.other)
        bench.clock.now += TIMING.duration / 2
        assert await tried(bench.one)
    assert bench.holder == "one"


async def test_a_holder_stops_working_before_another_may_begin() -> None:
    bench = Bench()
    await tried(bench.one)
    assert not await tried(bench.other)
    bench.clock.now = TIMING.renew_deadline
    assert not bench.one.leads()
    guarded = Guarded(cast("Kube", bench.shelf), turns(Pace(1000), bench.one))
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"namespace": "a", "name": "b"}}
    for write in (
        guarded.apply(secret),
        guarded.apply_status(secret),
        guarded.create(secret),
        guarded.patch(Kind("v1", "Secret", "secrets"), "a", "b", []),
        guarded.delete(Kind("v1", "Secret", "secrets"), "a", "b"),
    ):
        with pytest.raises(NotLeading):
            await write
    assert bench.shelf.written == []


async def test_losing_it_ends_the_keeping(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    await tried(bench.one)

    async def pass_time(seconds: float) -> None:
        bench.clock.now += seconds

    monkeypatch.setattr(asyncio, "sleep", pass_time)
    bench.shelf.broken = Unavailable(503, "", "the API server is away")
    await bench.one.keep()
    assert bench.clock.now == TIMING.renew_deadline


async def test_two_that_write_at_once_do_not_both_hold_it() -> None:
    bench = Bench()
    await tried(bench.one)
    bench.clock.now = 100.0
    await tried(bench.other)
    bench.clock.now = 200.0
    third = bench.replica("third")
    await tried(third)
    bench.clock.now = 300.0
    taken = await asyncio.gather(tried(bench.other), tried(third))
    assert sum(taken) == 1


async def test_giving_up_lets_the_next_begin_at_once() -> None:
    bench = Bench()
    await tried(bench.one)
    await bench.one.give_up()
    assert not bench.one.leads()
    assert await tried(bench.other)


async def test_a_replica_that_stands_by_passes_calls_of_git_sync_on() -> None:
    bench = Bench()
    news = GitSyncNews()
    news.expect("team", "c", {"etl": "t" * 32})
    news.keep("team", "c", {"etl": COMMIT})
    async with serving(application(news, Wakeups(), bench.one), 0, "127.0.0.1") as leading, aiohttp.ClientSession() as session:
        bench.one._webhook = f"http://127.0.0.1:{leading}"
        await tried(bench.one)
        await tried(bench.other)
        async with serving(application(GitSyncNews(), Wakeups(), bench.other), 0, "127.0.0.1") as standing_by:

            async def post(**headers: str) -> int:
                url = f"http://127.0.0.1:{standing_by}/git-sync/team/c/etl/{'t' * 32}"
                async with session.post(url, headers={"Gitsync-Hash": COMMIT, **headers}) as answer:
                    return answer.status

            assert await post() == 200
            assert news.commit("team", "c", "etl") == COMMIT
            assert await post(**{"X-Passed-On": "1"}) == 503, "never round and round"
        assert bench.one.leads()
    async with (
        serving(application(GitSyncNews(), Wakeups(), bench.other), 0, "127.0.0.1") as standing_by,
        aiohttp.ClientSession() as session,
        session.post(f"http://127.0.0.1:{standing_by}/git-sync/team/c/etl/{'t' * 32}") as answer,
    ):
        assert answer.status == 503, "a leader that does not answer: git-sync asks again"
