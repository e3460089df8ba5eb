"""Reading a health endpoint that means no good, on a real socket."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from airflow_operator.reconcile.types import Health
from airflow_operator.runtime import health
from airflow_operator.runtime.health import HttpHealthProbe, NoHealthProbe, Unreadable, components_of
from airflow_operator.runtime.webhook import serving

WELL = {
    "metadatabase": {"status": "healthy"},
    "scheduler": {"status": "healthy", "latest_scheduler_heartbeat": "2026-11-23T04:00:00+00:00"},
    "triggerer": {"status": "unhealthy", "latest_triggerer_heartbeat": None},
    "dag_processor": {"status": None, "latest_dag_processor_heartbeat": None},
}
HEALTHY = {"metadatabase": {"status": "healthy"}, "scheduler": {"status": "healthy"}}

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Bench:
    """A probe with a clock that the test turns, and a server that answers as the test says."""

    def __init__(self, url: str, session: aiohttp.ClientSession, answer: Answer) -> None:
        self.url = url
        self.time = 0.0
        self.requests: list[str] = []
        self.answer = answer
        self.probe = HttpHealthProbe(session, lambda: self.time)

    async def read(self, after: float = 0.0) -> Health:
        self.time += after
        return await self.probe.read(self.url)


@asynccontextmanager
async def bench(answer: object) -> AsyncIterator[Bench]:
    async def handle(request: web.Request) -> web.StreamResponse:
        made.requests.append(request.path)
        return await made.answer(request)

    app = web.Application()
    app.router.add_get("/{path:.*}", handle)
    async with health.client(10) as session, serving(app, 0, "127.0.0.1") as port:
        made = Bench(f"http://127.0.0.1:{port}/api/v2/monitor/health", session, answer if callable(answer) else plain(answer))
        yield made


def plain(document: object, status: int = 200) -> Answer:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text=document if isinstance(document, str) else json.dumps(document))

    return answer


async def redirect(_: web.Request) -> web.StreamResponse:
    raise web.HTTPFound("/elsewhere")


async def oversize(_: web.Request) -> web.StreamResponse:
    return web.Response(text=json.dumps({**WELL, "padding": "x" * health.MOST_BYTES}))


async def bomb(_: web.Request) -> web.StreamResponse:
    packed = gzip.compress(json.dumps({**WELL, "padding": "x" * 50_000_000}).encode())
    assert len(packed) < health.MOST_BYTES
    return web.Response(body=packed, headers={"Content-Encoding": "gzip"})


async def endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b"x" * 4096)


async def hanging(_: web.Request) -> web.StreamResponse:
    await asyncio.sleep(60)
    raise AssertionError("unreachable")


async def dripping(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    for _ in range(600):
        await response.write(b" ")
        await asyncio.sleep(0.1)
    raise AssertionError("unreachable")


async def test_reads_the_components() -> None:
    async with bench(WELL) as made:
        assert await made.read() == Health(
            reachable=True, components={"metadatabase": "healthy", "scheduler": "healthy", "triggerer": "unhealthy"}
        )


@pytest.mark.parametrize(
    "answer", [redirect, oversize, bomb, endless, plain("no JSON"), plain([1]), plain({}), plain(WELL, 500), plain("[" * 5000)]
)
async def test_answer_that_cannot_be_used_is_a_miss(answer: Answer) -> None:
    async with bench(answer) as made:
        assert await made.read() == Health()
        await made.read(after=20)
        assert await made.read(after=20) == Health(reachable=False)
        assert made.requests == ["/api/v2/monitor/health"] * 3


@pytest.mark.parametrize("answer", [hanging, dripping])
async def test_slow_answer_is_given_up(answer: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "TIMEOUT", 0.3)
    async with bench(answer) as made:
        async with asyncio.timeout(2):
            assert await made.read() == Health()


async def test_nobody_there_is_a_miss() -> None:
    async with bench(WELL) as made:
        made.url = "http://127.0.0.1:1/health"
        assert await made.read() == Health()


async def test_healthy_cluster_is_asked_once_in_fifteen_seconds() -> None:
    async with bench(HEALTHY) as made:
        for _ in range(29):
            await made.read(after=1.0)
        assert len(made.requests) == 2


async def test_cluster_that_is_not_healthy_yet_is_asked_often_but_not_for_ever() -> None:
    async with bench(WELL) as made:
        for _ in range(20):
            await made.read(after=1.0)
        assert len(made.requests) == 10
        await made.read(after=health.EAGER_FOR)
        made.requests.clear()
        for _ in range(29):
            await made.read(after=1.0)
        assert len(made.requests) == 1


async def test_many_readers_share_one_request() -> None:
    async with bench(HEALTHY) as made:
        await asyncio.gather(*(made.read() for _ in range(20)))
        assert len(made.requests) == 1


async def test_two_misses_change_nothing_and_the_third_does() -> None:
    async with bench(HEALTHY) as made:
        well = await made.read()
        made.answer = plain(WELL, 503)
        assert await made.read(after=15) == well
        assert await made.read(after=15) == well
        assert await made.read(after=15) == Health(reachable=False)
        made.answer = plain(HEALTHY)
        assert await made.read(after=15) == well


async def test_forgets_who_is_not_asked_for_any_more() -> None:
    async with bench(HEALTHY) as made:
        first = made.url
        await made.read()
        made.time += health.FORGET_AFTER + 1
        await made.probe.read(first + "?other")
        made.answer = plain(WELL, 500)
        assert await made.probe.read(first) == Health()


async def test_no_probe_says_that_it_does_not_ask() -> None:
    assert not (await NoHealthProbe().read("http://x")).asked


def test_names_and_words_are_cut() -> None:
    assert components_of(json.dumps({"n" * 999: {"status": "s" * 999}}).encode()) == {"n" * 64: "s" * 64}
    with pytest.raises(Unreadable):
        components_of(b"\xff\xfe")
