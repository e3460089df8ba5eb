"""Serving a namespace only once its administrator granted it: who may be served, what is watched there, what is said until then.

Nothing is remembered: whether a namespace is granted is asked of the API server at each reconciliation, by a review that is no attempt. So
a grant is found within seconds, and one that was taken back costs the refused requests of a look under way and no others.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from airflow_operator.domain.kinds import AIRFLOW_CLUSTER, SECRET
from airflow_operator.domain.manifest import Kind, Live, dig
from airflow_operator.domain.permissions import GRANTED_ROLE
from airflow_operator.reconcile.report import report, unchanged_but
from airflow_operator.reconcile.status import summary
from airflow_operator.reconcile.types import Condition, LookAgain
from airflow_operator.runtime.children import Children
from airflow_operator.runtime.operator import Duties
from airflow_operator.runtime.reflector import Reflector

if TYPE_CHECKING:
    from airflow_operator.kube.protocol import Kube
    from airflow_operator.runtime.context import Context

log = logging.getLogger("airflow_operator.grants")

ASK_AGAIN = 5.0
"""Seconds between two questions while a namespace is not granted: nothing in it may be watched that would tell."""
PATIENCE = 10.0
"""Seconds for which a resource that is being deleted waits for a grant: an API server that just started may not know of one yet."""


class Grants:
    """The namespaces that were granted to this operator, and the watches in them."""

    def __init__(self, kube: Kube, me: str, reflector: Reflector, children: Children) -> None:
        """`me` is the operator's user name; `reflector` wakes the users of Secrets and ConfigMaps that change, `children` the owners."""
        self._kube = kube
        self._me = me
        self._reflector = reflector
        self._children = children
        self._watches: dict[str, list[asyncio.Task[None]]] = {}

    def guarded(self, duties: Mapping[Kind, Duties]) -> Mapping[Kind, Duties]:
        """The same duties, done only where the namespaces that they touch are granted."""
        return {kind: self._guarded(kind, each) for kind, each in duties.items()}

    async def close(self) -> None:
        """End every watch."""
        for namespace in list(self._watches):
            await self._leave(namespace)

    def _guarded(self, kind: Kind, duties: Duties) -> Duties:
        async def reconcile(ctx: Context, namespace: str, name: str) -> LookAgain:
            resource = await ctx.kube.get(kind, namespace, name)
            if resource is None or not (closed := await self._closed(resource)):
                return await duties.reconcile(ctx, namespace, name) if resource else LookAgain()
            return await self._tell(ctx, resource, closed)

        async def delete(ctx: Context, namespace: str, name: str) -> LookAgain | None:
            resource = await ctx.kube.get(kind, namespace, name)
            if resource is None or not (closed := await self._closed(resource)):
                return await duties.delete(ctx, namespace, name) if resource else None
            since = datetime.fromisoformat(resource["metadata"]["deletionTimestamp"])
            if (ctx.now() - since).total_seconds() < PATIENCE:
                return LookAgain(ASK_AGAIN)
            words = f"{self._message(closed)} The resource goes without a clean-up: its database, keys and logs are left."
            await ctx.events.post(resource, "Warning", "NotGranted", words)
            return None

        return Duties(reconcile, delete)

    async def _closed(self, resource: Live) -> str:
        """A namespace that the resource needs and that is not granted; empty where all are. Those that are granted are watched."""
        closed = ""
        for namespace in namespaces_of(resource):
            if await self._is_granted(namespace):
                self._enter(namespace)
            else:
                await self._leave(namespace)
                closed = closed or namespace
        return closed

    async def _tell(self, ctx: Context, resource: Live, namespace: str) -> LookAgain:
        found = Condition("AccessGranted", "False", "NotGranted", self._message(namespace), waiting=True)
        made = unchanged_but(dig(resource, "status"), [*summary([found]), found], "Waiting")
        await report(ctx, resource, made)
        return LookAgain(ASK_AGAIN)

    def _message(self, namespace: str) -> str:
        return f"The operator may not act in namespace {namespace}. Its administrator grants it by: {command(self._me, namespace)}"

    def _enter(self, namespace: str) -> None:
        tasks = self._watches.get(namespace, [])
        if tasks and not any(task.done() for task in tasks):
            return
        for task in tasks:
            task.cancel()
        log.info("namespace %s is granted", namespace)
        may = partial(self._is_granted, namespace)
        # Two of Secrets and of ConfigMaps: that of the owners' children notices too that one of them lost its labels.
        of_children = self._children.watches(self._kube, namespace, may=may, late=True)
        of_others = self._reflector.watches(self._kube, namespace, may=may)
        self._watches[namespace] = [asyncio.create_task(watch) for watch in (*of_children, *of_others)]

    async def _leave(self, namespace: str) -> None:
        tasks = self._watches.pop(namespace, [])
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _is_granted(self, namespace: str) -> bool:
        return await self._kube.allowed("list", SECRET, namespace)


def namespaces_of(resource: Live) -> tuple[str, ...]:
    """The namespaces in which the operator acts for a resource: its own, and that of a cluster's base."""
    own = resource["metadata"]["namespace"]
    if resource["kind"] != AIRFLOW_CLUSTER.kind:
        return (own,)
    return tuple(dict.fromkeys((own, str(dig(resource, "spec", "baseRef", "namespace", default=own)))))


def command(me: str, namespace: str) -> str:
    """What a namespace's administrator runs to have it served."""
    account = me.removeprefix("system:serviceaccount:")
    subject = f"--serviceaccount={account}" if account != me else f"--user={me}"
    return f"kubectl create rolebinding airflow-operator --namespace={namespace} --clusterrole={GRANTED_ROLE} {subject}"
