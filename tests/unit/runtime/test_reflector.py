"""The metadata watch: whom it wakes, and that it comes back whatever happens to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any, cast

import pytest

from airflow_operator.domain.kinds import AIRFLOW_CLUSTER, CONFIG_MAP, SECRET
from airflow_operator.domain.manifest import Kind
from airflow_operator.kube.errors import Forbidden, NotFound, Unavailable
from airflow_operator.kube.protocol import Kube, WatchEvent
from airflow_operator.runtime.reflector import Reflector, follow
from airflow_operator.runtime.wakeups import References, Resource, Wakeups

C = Resource(AIRFLOW_CLUSTER, "team", "c")


class Bench:
    def __init__(self) -> None:
        self.references, wakeups = References(), Wakeups()
        self.references.set("team", "c", {("Secret", "git")})
        self.flag = wakeups.flag(C)
        self.reflector = Reflector(self.references, wakeups)

    def tell(self, event: str, version: str, name: str = "git", kind: Kind = SECRET, **meta: Any) -> bool:
        """Whether the cluster was woken."""
        self.flag.clear()
        self.reflector.noticed(kind, event, {"metadata": {"namespace": "team", "name": name, "resourceVersion": version, **meta}})
        return self.flag.is_set()


def test_wakes_for_each_change_once() -> None:
    bench = Bench()
    assert bench.tell("ADDED", "1")
    assert not bench.tell("ADDED", "1"), "a list after a broken watch tells nothing new"
    assert bench.tell("MODIFIED", "2")
    assert bench.tell("DELETED", "3")
    assert bench.tell("ADDED", "4")


def test_wakes_for_nothing_else() -> None:
    bench = Bench()
    assert not bench.tell("ADDED", "1", name="other")
    assert not bench.tell("ADDED", "1", kind=CONFIG_MAP)
    assert not bench.tell("ADDED", "1", labels={"app.kubernetes.io/managed-by": "airflow-operator"})


class Script:
    """Answers a watch with the next thing of a script; then it stays silent."""

    def __init__(self, *script: WatchEvent | Exception | None) -> None:
        self._script: Iterator[Any] = iter(script)
        self.calls: list[tuple[str, str]] = []

    async def watch_metadata(self, kind: Kind, namespace: str, *, labels: str = "", listed: Any = None) -> AsyncIterator[WatchEvent]:
        self.calls.append((kind.plural, namespace))
        for item in self._script:
            if item is None:
                return
            if isinstance(item, Exception):
                raise item
            yield item
        await asyncio.Event().wait()


def secret(version: str) -> WatchEvent:
    return "ADDED", {"metadata": {"namespace": "team", "name": "git", "resourceVersion": version}}


@pytest.mark.looptime
async def test_comes_back_after_every_end() -> None:
    kube = Script(secret("1"), None, Unavailable(500, "x", "x"), Forbidden(403, "x", "x"), RuntimeError("bug"), secret("2"))
    bench = Bench()
    watches = bench.reflector.watches(cast("Kube", kube), "team")
    assert len(watches) == 2, "one a kind"
    first = asyncio.create_task(watches[0])
    watches[1].close()
    await asyncio.sleep(0.1)
    assert bench.flag.is_set()
    bench.flag.clear()
    await asyncio.sleep(600)
    assert bench.flag.is_set()
    assert kube.calls == [("secrets", "team")] * 5
    first.cancel()


@pytest.mark.looptime
async def test_kind_that_is_not_installed_is_looked_for_now_and_then() -> None:
    kube = Script(*[NotFound(404, "NotFound", "the server could not find the requested resource")] * 9)
    watch = asyncio.create_task(follow(cast("Kube", kube), SECRET, "team", lambda event, live: None))
    await asyncio.sleep(1000)
    watch.cancel()
    assert 3 <= len(kube.calls) <= 5
