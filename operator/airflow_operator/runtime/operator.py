"""The operator without its framework: it is told what happened to which object, and keeps a loop for each resource."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

from airflow_operator.domain.kinds import AIRFLOW_BASE, AIRFLOW_CLUSTER
from airflow_operator.domain.manifest import Kind, Live, dig
from airflow_operator.reconcile.base_access import offer_of
from airflow_operator.reconcile.types import LookAgain
from airflow_operator.runtime.context import Context
from airflow_operator.runtime.finalizers import Finalizers, has_finalizer, is_going
from airflow_operator.runtime.loop import Loop, Timing, delete
from airflow_operator.runtime.pace import Turn
from airflow_operator.runtime.wakeups import Resource, Wakeups

log = logging.getLogger("airflow_operator.operator")

ReconcileFn = Callable[[Context, str, str], Awaitable[LookAgain]]
DeleteFn = Callable[[Context, str, str], Awaitable[LookAgain | None]]


@dataclass(frozen=True)
class Duties:
    """What is done for resources of one kind; both take the context, the namespace and the name.

    `delete` is called again and again until it answers None; it raises `Waiting` while somebody needs the resource.
    """

    reconcile: ReconcileFn
    delete: DeleteFn


@dataclass(frozen=True)
class _Served:
    uid: str
    loop: Loop


class Operator:
    """Every loop of this process."""

    def __init__(self, ctx: Context, wakeups: Wakeups, duties: Mapping[Kind, Duties], frameworks: Turn = nullcontext) -> None:
        """`duties` by the kind of resource; `frameworks` is the turn of a write that the framework does by itself."""
        self.ctx = ctx
        self.wakeups = wakeups
        self._duties = duties
        self._frameworks = frameworks
        self._timing = Timing.of(ctx.settings)
        self._slots = asyncio.Semaphore(ctx.settings.concurrency)
        self._served: dict[Resource, _Served] = {}
        self._seen: dict[Resource, Any] = {}
        self._offers: dict[Resource, Any] = {}
        self._finalizers = Finalizers(ctx.kube)

    async def serve(self, resource: Resource, uid: str, live: Callable[[], Live], until: Awaitable[Any]) -> None:
        """Keep one object in its declared state until `until` is done. `live` answers the object as last seen.

        Nothing happens before the object bears our finalizer: what was made for it could otherwise never be undone.
        """
        await self._end(resource)  # a namesake whose deletion nobody saw
        loop = Loop(
            str(resource),
            partial(self._duties[resource.kind].reconcile, self.ctx, resource.namespace, resource.name),
            flag=self.wakeups.flag(resource),
            timing=self._timing,
            slots=self._slots,
            may_begin=lambda: has_finalizer(live()) and not is_going(live()),
            after=self.ctx.inventory.wait,
        )
        served = _Served(uid, loop)
        self._served[resource] = served
        task = asyncio.create_task(loop.run(), name=f"loop of {resource}")
        try:
            await until
        finally:
            await loop.stop()
            await asyncio.gather(task, return_exceptions=True)
            if self._served.get(resource) is served:
                del self._served[resource]

    async def noticed(self, resource: Resource, event: str | None, live: Live) -> None:
        """Something happened to one of our resources.

        Returns only when the object may be let go: until then the framework leaves the finalizer where it is.
        """
        uid = dig(live, "metadata", "uid", default="")
        if event == "DELETED":
            await self._gone(resource, uid)
            return
        if resource.kind == AIRFLOW_CLUSTER:
            self.wakeups.tie(resource, base_of(live))
        if is_going(live):
            if has_finalizer(live):
                await self._clean_up(resource, live)
                await self._framework_may_write()
                self._finalizers.see_to(resource, uid, present=False)
            return
        if has_finalizer(live):
            self._finalizers.settled(uid, present=True)
        else:
            await self._framework_may_write()
            self._finalizers.see_to(resource, uid, present=True)
        marks = fingerprint(live)
        # Our own writes of status change nothing that a reconciliation would have to answer.
        if self._seen.get(resource) != marks:
            self._seen[resource] = marks
            self.wakeups.wake(resource)
        if resource.kind == AIRFLOW_BASE and self._offers.get(resource) != (offer := (marks, offer_of(live))):
            self._offers[resource] = offer
            self.wakeups.wake_clusters_of(resource)

    def close(self) -> None:
        """End what goes on beside the loops."""
        self._finalizers.close()

    async def _clean_up(self, resource: Resource, live: Live) -> None:
        await self._end(resource)
        log.info("%s is being deleted", resource)
        step = partial(self._duties[resource.kind].delete, self.ctx, resource.namespace, resource.name)
        obstacle = await delete(str(resource), step, flag=self.wakeups.flag(resource), timing=self._timing)
        if obstacle is not None:
            log.error("%s: the clean-up was given up: %s", resource, obstacle)
            words = f"The clean-up was given up after {self._timing.deletion_timeout:.0f} s; some of it may be left. Last: {obstacle}"
            await self.ctx.events.post(live, "Warning", "CleanUpGivenUp", words)

    async def _framework_may_write(self) -> None:
        """Hold the framework back, which puts the finalizer on or takes it off once it knows that it was noticed."""
        async with self._frameworks():
            return

    async def _end(self, resource: Resource) -> None:
        served = self._served.get(resource)
        if served is not None:
            await served.loop.stop()

    async def _gone(self, resource: Resource, uid: str) -> None:
        self._finalizers.settled(uid, present=False)
        served = self._served.get(resource)
        if served is not None and served.uid == uid:
            await served.loop.stop()
        self._offers.pop(resource, None)
        seen = self._seen.pop(resource, None)
        if seen is not None and seen[0] != uid:
            self._seen[resource] = seen  # a new object of the same name is known already
            return
        self.wakeups.wake_base_of(resource)
        self.wakeups.forget(resource)
        self.ctx.references.set(resource.namespace, resource.name, (), kind=resource.kind)
        if resource.kind == AIRFLOW_CLUSTER:
            self.ctx.news.forget(resource.namespace, resource.name)
            self.ctx.health.forget(resource.namespace, resource.name)


def base_of(cluster: Live) -> Resource | None:
    """The base that an AirflowCluster names."""
    name = dig(cluster, "spec", "baseRef", "name")
    if not isinstance(name, str):
        return None
    return Resource(AIRFLOW_BASE, dig(cluster, "spec", "baseRef", "namespace", default=cluster["metadata"]["namespace"]), name)


def fingerprint(live: Live) -> tuple[Any, ...]:
    """Everything of a resource that a reconciliation depends on: all but its status."""
    meta = live["metadata"]
    return (
        meta.get("uid"),
        meta.get("generation"),
        tuple(meta.get("finalizers", ())),
        tuple(sorted(meta.get("labels", {}).items())),
        tuple(sorted(meta.get("annotations", {}).items())),
    )
