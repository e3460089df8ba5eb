"""A finalizer that was refused is put on or taken off later, and only then."""

from __future__ import annotations

import asyncio
from copy import deepcopy
from typing import Any, cast

import pytest

from airflow_operator.domain.kinds import AIRFLOW_CLUSTER
from airflow_operator.domain.labels import FINALIZER
from airflow_operator.kube.errors import Forbidden
from airflow_operator.kube.protocol import Kube
from airflow_operator.runtime.finalizers import PAUSE, Finalizers
from airflow_operator.runtime.wakeups import Resource

pytestmark = pytest.mark.looptime

CLUSTER = Resource(AIRFLOW_CLUSTER, "ns", "c")


class Store:
    """One object, and how often a change of it is refused."""

    def __init__(self, finalizers: list[str], refusals: int = 0, **meta: Any) -> None:
        self.live: dict[str, Any] | None = {"metadata": {"uid": "1", "resourceVersion": "7", "finalizers": finalizers, **meta}}
        self.refusals = refusals
        self.reads = 0

    async def get(self, *_: Any) -> dict[str, Any] | None:
        self.reads += 1
        return deepcopy(self.live)

    async def patch(self, kind: Any, namespace: str, name: str, operations: list[dict[str, Any]]) -> None:
        assert operations[0] == {"op": "test", "path": "/metadata/resourceVersion", "value": "7"}
        self.refusals -= 1
        if self.refusals >= 0:
            raise Forbidden(403, "Forbidden", "not yet")
        assert self.live is not None
        self.live["metadata"]["finalizers"] = operations[1]["value"]

    @property
    def finalizers(self) -> list[str]:
        assert self.live is not None
        return list(self.live["metadata"]["finalizers"])


def looking(store: Store) -> Finalizers:
    return Finalizers(cast("Kube", store))


async def test_put_on_beside_those_of_others() -> None:
    store = Store(["example.com/other"], refusals=3)
    looking(store).see_to(CLUSTER, "1", present=True)
    await asyncio.sleep(PAUSE - 0.1)
    assert store.reads == 0, "it is kopf's to do first"
    await asyncio.sleep(40 * PAUSE)
    assert store.finalizers == ["example.com/other", FINALIZER]
    reads = store.reads
    await asyncio.sleep(1000)
    assert store.reads == reads, "nothing is looked at any more"


async def test_taken_off_and_the_others_left() -> None:
    store = Store([FINALIZER, "example.com/other"], deletionTimestamp="now")
    looking(store).see_to(CLUSTER, "1", present=False)
    await asyncio.sleep(1.1 * PAUSE)
    assert store.finalizers == ["example.com/other"]


@pytest.mark.parametrize(
    ("store", "uid"),
    [(Store([FINALIZER]), "1"), (Store([]), "another"), (Store([], deletionTimestamp="now"), "1")],
    ids=["there", "namesake", "going"],
)
async def test_one_look_where_there_is_nothing_to_do(store: Store, uid: str) -> None:
    before = deepcopy(store.live)
    looking(store).see_to(CLUSTER, uid, present=True)
    await asyncio.sleep(1000)
    assert (store.reads, store.live) == (1, before)


async def test_asked_twice_it_looks_once_and_after_the_end_no_more() -> None:
    store = Store([], refusals=99)
    finalizers = looking(store)
    for _ in range(2):
        finalizers.see_to(CLUSTER, "1", present=True)
    await asyncio.sleep(1.1 * PAUSE)
    assert store.reads == 1
    finalizers.close()
    await asyncio.sleep(1000)
    assert store.reads == 1


async def test_what_was_seen_settled_is_not_looked_at() -> None:
    store = Store([])
    finalizers = looking(store)
    finalizers.see_to(CLUSTER, "1", present=True)
    finalizers.settled("1", present=False)
    finalizers.settled("2", present=True)
    finalizers.see_to(CLUSTER, "2", present=False)
    finalizers.settled("2", present=False)
    await asyncio.sleep(1.1 * PAUSE)
    assert (store.reads, store.finalizers) == (1, [FINALIZER])
