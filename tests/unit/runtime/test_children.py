"""Whom the watches of children wake: owners, for all but the operator's own writes."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, cast

import pytest

from airflow_operator.domain.kinds import AIRFLOW_BASE, AIRFLOW_CLUSTER, ALL_CHILD_KINDS, CONFIG_MAP, POD
from airflow_operator.domain.labels import BASE, CLUSTER, CLUSTER_NAMESPACE, MANAGED_BY, MANAGER, watched
from airflow_operator.domain.manifest import key_of
from airflow_operator.kube.protocol import Kube
from airflow_operator.runtime.children import Children
from airflow_operator.runtime.inventory import Inventory
from airflow_operator.runtime.wakeups import A_WHILE, Resource, Wakeups

MARKS = {MANAGED_BY: MANAGER, CLUSTER: "c"}


class Bench:
    def __init__(self) -> None:
        wakeups = Wakeups()
        self.flag = wakeups.flag(Resource(AIRFLOW_CLUSTER, "team", "c"))
        self.base = wakeups.flag(Resource(AIRFLOW_BASE, "team", "b"))
        self.children = Children(wakeups, Inventory())

    def wakes(self, event: str, live: dict[str, Any]) -> bool:
        self.flag.clear()
        self.children.noticed(event, live)
        return self.flag.is_set()

    def write(self, live: dict[str, Any]) -> None:
        with self.children.writing(key_of(live)) as wrote:
            wrote(live)


def child(version: str, uid: str = "u", marks: dict[str, str] = MARKS) -> dict[str, Any]:
    meta = {"namespace": "team", "name": "c-config", "uid": uid, "resourceVersion": version, "labels": marks}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta}


def test_what_others_do_wakes_the_owner() -> None:
    bench = Bench()
    assert [bench.wakes(event, child("1")) for event in ("ADDED", "MODIFIED", "DELETED")] == [True, True, True]
    assert not bench.wakes("MODIFIED", child("1", marks={MANAGED_BY: MANAGER, CLUSTER: "another"}))


def test_an_own_write_wakes_nobody_once() -> None:
    bench = Bench()
    bench.write(child("5"))
    assert not bench.wakes("ADDED", child("5"))
    assert bench.wakes("MODIFIED", child("5")), "told again, by a list after a broken watch: somebody may have looked in between"


@pytest.mark.looptime
async def test_what_a_cluster_keeps_beside_its_base_wakes_the_base_in_a_while() -> None:
    bench = Bench()
    of_base = {MANAGED_BY: MANAGER, BASE: "b"}
    for number in range(3):
        beside = child(f"{number}", uid=f"{number}", marks={**of_base, CLUSTER: "c", CLUSTER_NAMESPACE: "team"})
        bench.write(beside)
        assert (bench.wakes("ADDED", beside), bench.base.is_set()) == (False, False)
        await asyncio.sleep(A_WHILE / 4)
    await asyncio.sleep(A_WHILE / 4 + 0.01)
    assert bench.base.is_set()
    bench.base.clear()
    await asyncio.sleep(2 * A_WHILE)
    assert not bench.base.is_set(), "once for all three"
    bench.write(child("6", marks=of_base))
    assert (bench.wakes("ADDED", child("6", marks=of_base)), bench.base.is_set()) == (False, False)
    assert (bench.wakes("MODIFIED", child("7", marks=of_base)), bench.base.is_set()) == (False, True)


def test_what_others_do_before_or_after_an_own_write_still_wakes() -> None:
    bench = Bench()
    bench.write(child("5"))
    bench.write(child("7"))
    assert [bench.wakes("MODIFIED", child(version)) for version in ("5", "6", "7", "8")] == [True, True, False, True]
    bench.write(child("9"))
    assert bench.wakes("DELETED", child("9"))
    assert bench.wakes("ADDED", child("9", uid="another"))


@pytest.mark.parametrize(("told", "wakes"), [(["5"], False), (["4", "5"], True), (["5", "6"], True), ([], False)])
def test_an_echo_that_comes_before_the_answer_is_known_by_it(told: list[str], wakes: bool) -> None:
    bench = Bench()
    with bench.children.writing(key_of(child("5"))) as wrote:
        assert not any(bench.wakes("MODIFIED", child(version)) for version in told)
        wrote(child("5"))
    assert bench.flag.is_set() == wakes


def test_news_of_a_write_without_an_answer_wake() -> None:
    bench = Bench()
    with suppress(TimeoutError), bench.children.writing(key_of(child("5"))):
        bench.wakes("MODIFIED", child("5"))
        raise TimeoutError
    assert bench.flag.is_set()


def test_nothing_is_kept_of_what_is_gone_or_not_watched() -> None:
    bench = Bench()
    bench.write(child("5"))
    bench.wakes("DELETED", child("6"))
    bench.write(child("7", marks={}))
    kept = {name: value for name, value in vars(bench.children).items() if isinstance(value, dict)}
    assert kept
    assert not any(kept.values())


def test_children_are_selected_by_the_server() -> None:
    ours = f"{MANAGED_BY}={MANAGER}"
    assert [watched(kind) for kind in (CONFIG_MAP, POD)] == [ours, f"{ours},app.kubernetes.io/component!=task"]
    watches = Bench().children.watches(cast("Kube", None), "team")
    assert len(watches) == len(ALL_CHILD_KINDS) + 1
    for watch in watches:
        watch.close()
