"""What the first lists of the watches tell of a cluster's children, and for how long it counts."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from airflow_operator.domain.hashing import together, version_of
from airflow_operator.domain.kinds import AIRFLOW_CLUSTER
from airflow_operator.runtime.inventory import Inventory
from airflow_operator.runtime.wakeups import Resource

C, D = Resource(AIRFLOW_CLUSTER, "team", "c"), Resource(AIRFLOW_CLUSTER, "team", "d")


def child(name: str, version: str = "1") -> dict[str, Any]:
    return {"metadata": {"namespace": "team", "name": name, "uid": f"uid of {name}", "resourceVersion": version}}


def sum_of(*children: dict[str, Any]) -> int:
    return together(version_of(item["metadata"]) for item in children)


def test_a_sum_knows_every_object_and_version_in_any_order() -> None:
    a, b = child("a"), child("b")
    assert sum_of(a, b) == sum_of(b, a)
    assert len({sum_of(), sum_of(a), sum_of(b), sum_of(a, b), sum_of(a, a), sum_of(a, child("b", "2"))}) == 6


@pytest.mark.looptime
async def test_is_complete_with_the_last_list() -> None:
    inventory = Inventory(good_for=100)
    first, second = inventory.expect(), inventory.expect()
    waiting = asyncio.create_task(inventory.wait())
    for item in (child("a"), child("b")):
        inventory.noticed("ADDED", C, item)
    first(True)
    # A watch that begins anew is not another one.
    first(True)
    await asyncio.sleep(1)
    assert not waiting.done()
    assert inventory.sum_of("team", "c") is None
    second(True)
    await waiting
    assert inventory.sum_of("team", "c") == sum_of(child("a"), child("b"))
    assert inventory.sum_of("team", "d") is None, "nothing was made for it yet"
    await asyncio.sleep(99)
    assert inventory.sum_of("team", "c") is not None
    await asyncio.sleep(2)
    assert inventory.sum_of("team", "c") is None


@pytest.mark.looptime
@pytest.mark.parametrize("event", ["ADDED", "MODIFIED", "DELETED"])
async def test_what_happens_later_ends_it_for_the_cluster(event: str) -> None:
    inventory = Inventory(good_for=100)
    listed = inventory.expect()
    for cluster in (C, D):
        inventory.noticed("ADDED", cluster, child("a"))
    if event != "ADDED":
        inventory.noticed(event, D, child("a"))
    listed(True)
    assert (inventory.sum_of("team", "d") == sum_of(child("a"))) == (event == "ADDED"), "before the last list has come"
    inventory.noticed(event, C, child("b"))
    assert inventory.sum_of("team", "c") is None


@pytest.mark.looptime
async def test_a_close_look_ends_it_for_the_cluster() -> None:
    inventory = Inventory(good_for=100)
    listed = inventory.expect()
    for cluster in (C, D):
        inventory.noticed("ADDED", cluster, child("a"))
    listed(True)
    inventory.forget("team", "c")
    assert (inventory.sum_of("team", "c"), inventory.sum_of("team", "d")) == (None, sum_of(child("a")))


@pytest.mark.looptime
async def test_nothing_is_known_where_a_list_could_not_be_had() -> None:
    inventory = Inventory(good_for=100)
    refused, other = inventory.expect(), inventory.expect()
    refused(False)
    await inventory.wait()
    other(True)
    refused(True)
    assert inventory.sum_of("team", "c") is None


@pytest.mark.looptime
async def test_without_a_watch_nothing_is_known_and_nothing_waited_for() -> None:
    inventory = Inventory(good_for=100)
    await inventory.wait()
    assert inventory.sum_of("team", "c") is None
