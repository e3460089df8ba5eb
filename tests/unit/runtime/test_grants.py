"""Serving a namespace only once it is granted: what is done, said and watched before, with and after the grant."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any, cast

import pytest

from airflow_operator.domain.kinds import AIRFLOW_BASE, AIRFLOW_CLUSTER, ALL_CHILD_KINDS, SECRET
from airflow_operator.domain.labels import watched
from airflow_operator.domain.manifest import Kind, Live
from airflow_operator.kube.protocol import Kube, WatchEvent
from airflow_operator.reconcile.types import LookAgain
from airflow_operator.runtime.children import Children
from airflow_operator.runtime.context import Context
from airflow_operator.runtime.events import Events
from airflow_operator.runtime.gitsync import GitSyncNews
from airflow_operator.runtime.grants import ASK_AGAIN, PATIENCE, Grants, command, namespaces_of
from airflow_operator.runtime.health import NoHealthProbe
from airflow_operator.runtime.health_turns import HealthTurns
from airflow_operator.runtime.inventory import Inventory
from airflow_operator.runtime.operator import Duties
from airflow_operator.runtime.reflector import REFERENCED, Reflector
from airflow_operator.runtime.wakeups import References, Resource, Wakeups
from airflow_operator.settings import Settings
from tests.unit.factory import NOW, at

ME = "system:serviceaccount:ops:airflow-operator"


def resource(kind: Kind, **meta: Any) -> dict[str, Any]:
    spec = {"baseRef": {"name": "b", "namespace": "shared"}} if kind == AIRFLOW_CLUSTER else {}
    identity = {"name": "x", "namespace": "team", "uid": "u", "generation": 1}
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {**identity, **meta}, "spec": spec}


class World:
    """The API server as far as grants need it."""

    def __init__(self, live: Live | None, *granted: str) -> None:
        self.live = live
        self.granted = set(granted)
        self.statuses: list[Live] = []
        self.events: list[Live] = []
        self.watching: list[tuple[str, str, str]] = []
        self.news: defaultdict[str, asyncio.Queue[WatchEvent]] = defaultdict(asyncio.Queue)
        """Of Secrets, by the selector of the watch."""

    async def get(self, kind: Kind, namespace: str, name: str) -> Live | None:
        return self.live

    async def allowed(self, verb: str, kind: Kind, namespace: str) -> bool:
        assert (verb, kind) == ("list", SECRET)
        return namespace in self.granted

    async def apply_status(self, manifest: Live) -> Live:
        self.statuses.append(manifest)
        return manifest

    async def create(self, manifest: Live) -> Live:
        self.events.append(manifest)
        return manifest

    async def watch_metadata(self, kind: Kind, namespace: str, *, labels: str = "", listed: Any = None) -> AsyncIterator[WatchEvent]:
        self.watching.append((namespace, kind.plural, labels))
        try:
            if kind == SECRET:
                while True:
                    yield await self.news[labels].get()
            await asyncio.Event().wait()
        finally:
            self.watching.remove((namespace, kind.plural, labels))


class Bench:
    def __init__(self, world: World) -> None:
        self.done: list[str] = []
        kube = cast("Kube", world)
        self.wakeups = Wakeups()
        self.ctx = Context(
            kube,
            Settings(),
            HealthTurns(NoHealthProbe(), lambda _: None),
            GitSyncNews(),
            References(),
            Events(kube, lambda: NOW),
            now=lambda: NOW,
        )
        self.grants = Grants(kube, ME, Reflector(self.ctx.references, self.wakeups), Children(self.wakeups, Inventory()))

        async def reconcile(ctx: Context, namespace: str, name: str) -> LookAgain:
            self.done.append("reconcile")
            return LookAgain(7)

        async def delete(ctx: Context, namespace: str, name: str) -> LookAgain | None:
            self.done.append("delete")
            return None

        duties = Duties(reconcile, delete)
        self.duties = self.grants.guarded({AIRFLOW_BASE: duties, AIRFLOW_CLUSTER: duties})

    async def reconcile(self, kind: Kind = AIRFLOW_CLUSTER) -> LookAgain:
        return await self.duties[kind].reconcile(self.ctx, "team", "x")

    async def delete(self, kind: Kind = AIRFLOW_CLUSTER) -> LookAgain | None:
        return await self.duties[kind].delete(self.ctx, "team", "x")


def test_a_cluster_needs_its_own_namespace_and_that_of_its_base() -> None:
    assert namespaces_of(resource(AIRFLOW_CLUSTER)) == ("team", "shared")
    assert namespaces_of({**resource(AIRFLOW_CLUSTER), "spec": {"baseRef": {"name": "b"}}}) == ("team",)
    assert namespaces_of(resource(AIRFLOW_BASE)) == ("team",)


@pytest.mark.parametrize(
    ("me", "subject"), [(ME, "--serviceaccount=ops:airflow-operator"), ("kubernetes-admin", "--user=kubernetes-admin")]
)
def test_the_command_names_who_the_operator_is(me: str, subject: str) -> None:
    words = f"kubectl create rolebinding airflow-operator --namespace=team --clusterrole=airflow-operator-namespace {subject}"
    assert command(me, "team") == words


@pytest.mark.parametrize(("granted", "missing"), [((), "team"), (("team",), "shared"), (("shared",), "team")])
async def test_nothing_is_done_until_every_namespace_is_granted(granted: tuple[str, ...], missing: str) -> None:
    world = World(resource(AIRFLOW_CLUSTER), *granted)
    bench = Bench(world)
    assert await bench.reconcile() == LookAgain(ASK_AGAIN)
    assert bench.done == []
    (told,) = world.statuses
    by_type = {item["type"]: item for item in told["status"]["conditions"]}
    assert (by_type["AccessGranted"]["status"], by_type["Ready"]["status"]) == ("False", "False")
    assert command(ME, missing) in by_type["AccessGranted"]["message"]
    assert {namespace for namespace, _, _ in world.watching} <= set(granted)
    await bench.grants.close()


async def test_granted_namespaces_are_watched_until_the_grant_is_taken_back() -> None:
    world = World(resource(AIRFLOW_CLUSTER), "team", "shared")
    bench = Bench(world)
    assert await bench.reconcile() == LookAgain(7)
    await bench.reconcile()
    await asyncio.sleep(0.01)
    assert len(world.watching) == len(set(world.watching)) == 2 * (len(ALL_CHILD_KINDS) + 1 + len(REFERENCED)), "each once"
    assert ("team", "secrets", "") in world.watching
    assert ("team", "services", "app.kubernetes.io/managed-by=airflow-operator") in world.watching

    world.granted = {"shared"}
    await bench.reconcile()
    assert bench.done == ["reconcile", "reconcile"]
    assert {namespace for namespace, _, _ in world.watching} == {"shared"}
    await bench.grants.close()
    assert world.watching == []


async def test_a_change_wakes_the_owner_and_those_who_refer_to_it() -> None:
    world = World(resource(AIRFLOW_BASE), "team")
    bench = Bench(world)
    await bench.reconcile(AIRFLOW_BASE)
    owner, user = (Resource(AIRFLOW_CLUSTER, "team", name) for name in ("owner", "user"))
    bench.ctx.references.set("team", "user", {("Secret", "git")})
    flags = {it: bench.wakeups.flag(it) for it in (owner, user)}

    async def told(name: str, *, stripped: bool = False, **marks: str) -> set[Resource]:
        meta = {"namespace": "team", "name": name, "uid": name, "resourceVersion": "1"}
        with_marks = {"apiVersion": "v1", "kind": "Secret", "metadata": {**meta, "labels": marks}}
        # To a selector one that lost its labels is gone, and is told as it was before.
        world.news[""].put_nowait(("MODIFIED", {**with_marks, "metadata": meta} if stripped else with_marks))
        if marks:
            world.news[watched(SECRET)].put_nowait(("DELETED" if stripped else "MODIFIED", with_marks))
        await asyncio.sleep(0.01)
        woken = {it for it, flag in flags.items() if flag.is_set()}
        for flag in flags.values():
            flag.clear()
        return woken

    ours = {"app.kubernetes.io/managed-by": "airflow-operator", "airflow-operator.dev/cluster": "owner"}
    assert await told("owner-connection", **ours) == {owner}
    assert await told("owner-keys", stripped=True, **ours) == {owner}
    assert await told("git") == {user}
    assert await told("other") == set()
    await bench.grants.close()


async def test_without_a_grant_a_resource_is_let_go_after_a_moment_and_an_event_says_what_is_left() -> None:
    world = World(resource(AIRFLOW_CLUSTER, deletionTimestamp=at(0)))
    bench = Bench(world)
    assert await bench.delete() == LookAgain(ASK_AGAIN)
    assert world.events == []
    bench.ctx = replace(bench.ctx, now=lambda: NOW + timedelta(seconds=PATIENCE))
    assert await bench.delete() is None
    assert [item["reason"] for item in world.events] == ["NotGranted"]
    assert bench.done == []


async def test_with_a_grant_a_resource_is_deleted_as_everywhere() -> None:
    bench = Bench(World(resource(AIRFLOW_BASE, deletionTimestamp=at(0)), "team"))
    assert await bench.delete(AIRFLOW_BASE) is None
    assert bench.done == ["delete"]
    await bench.grants.close()


async def test_a_resource_that_is_gone_asks_for_nothing() -> None:
    bench = Bench(World(None))
    assert await bench.reconcile() == LookAgain()
    assert await bench.delete() is None
    assert bench.done == []
