"""One process of the operator: every part made, joined and run until it is told to stop."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import secrets
import signal
import socket
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import kopf

from airflow_operator import handlers
from airflow_operator.domain.kinds import AIRFLOW_BASE, AIRFLOW_CLUSTER, POD
from airflow_operator.domain.manifest import Kind, dig
from airflow_operator.kube.client import Client
from airflow_operator.kube.errors import Forbidden, NotFound, Unavailable
from airflow_operator.kube.protocol import FIELD_MANAGER, Kube
from airflow_operator.kube.transport import Session, Transport, credentials
from airflow_operator.kube.wrapped import Guarded
from airflow_operator.runtime import health, liveness, webhook
from airflow_operator.runtime.children import Children
from airflow_operator.runtime.context import Context, utc_now
from airflow_operator.runtime.events import COMPONENT, Events
from airflow_operator.runtime.gitsync import GitSyncNews
from airflow_operator.runtime.grants import Grants
from airflow_operator.runtime.health import HealthProbe, HttpHealthProbe, NoHealthProbe
from airflow_operator.runtime.health_turns import HealthTurns
from airflow_operator.runtime.inventory import Inventory
from airflow_operator.runtime.lag import LagMeter
from airflow_operator.runtime.leader import Leader, Timing
from airflow_operator.runtime.login import Login
from airflow_operator.runtime.loop import RESYNC_JITTER
from airflow_operator.runtime.operator import Duties, Operator
from airflow_operator.runtime.pace import Pace, Turn
from airflow_operator.runtime.program import program
from airflow_operator.runtime.reflector import Reflector
from airflow_operator.runtime.wakeups import References, Wakeups
from airflow_operator.settings import InvalidSetting, Settings, variable

log = logging.getLogger("airflow_operator")

CRD_POLL = 5.0
FRAMEWORK_WRITES_WITHIN = 1.0
"""Seconds in which the framework writes once it may: a finalizer comes or goes."""


@dataclass
class Process:
    """The operator with its parts; those that a test replaces are fields."""

    settings: Settings
    kubeconfig: str | None = None
    """None: the pod's service account, else what kubectl would use."""
    context: str | None = None
    duties: Mapping[Kind, Duties] | None = None
    health: HealthProbe | None = None
    around_kube: Callable[[Kube], Kube] = lambda kube: kube
    """Puts something between the operator and the API server."""
    webhook_port: int = 0
    """The port that was taken, once the process runs."""

    async def run(self, *, stop: asyncio.Event | None = None, watching: asyncio.Event | None = None) -> None:
        """Serve until SIGTERM or `stop`; `watching` is set when the watches begin."""
        watching, end = watching or asyncio.Event(), stop or asyncio.Event()
        if stop is None:
            _raised_by_signals(end)
        async with AsyncExitStack() as stack:
            transport = await stack.enter_async_context(
                Transport(credentials(self.kubeconfig, self.context), FIELD_MANAGER, self.settings.requests_at_once)
            )
            kube = self.around_kube(Client(transport))
            lag, wakeups, news = LagMeter(), Wakeups(), GitSyncNews()
            leader = leader_of(self.settings, kube, os.environ)
            await stack.enter_async_context(_background(lag.run()))
            ready = (lambda: True) if leader else watching.is_set
            await stack.enter_async_context(webhook.serving(liveness.application(lag, ready), self.settings.health_port))
            app = webhook.application(news, wakeups, leader)
            self.webhook_port = await stack.enter_async_context(webhook.serving(app, self.settings.webhook_port))
            if leader:
                if not await _before(end, leader.take()):
                    return
                await stack.enter_async_context(_leading(leader))
            pace = Pace(self.settings.writes_per_second) if self.settings.writes_per_second else None
            children = Children(wakeups, Inventory(good_for=RESYNC_JITTER[0] * self.settings.resync))
            kube = Guarded(kube, turns(pace, leader), children.writing)
            if await crds_installed(kube, self.settings.namespaces, end):
                operator, grants = await self._assemble(kube, stack, children, wakeups, news, pace)
                tasks = asyncio.all_tasks()
                framework = await self._framework(operator, grants, Session(transport), pace, end, watching)
                if stop is None:
                    _raised_by_signals(end)  # the framework has just taken them for itself
                await kopf.run_tasks(framework, ignored=tasks)

    async def _assemble(
        self, kube: Kube, stack: AsyncExitStack, children: Children, wakeups: Wakeups, news: GitSyncNews, pace: Pace | None
    ) -> tuple[Operator, Grants | None]:
        settings = await with_own_image(self.settings, kube, os.environ)
        health = HealthTurns(self.health or await _health_probe(settings, stack), wakeups.wake)
        await stack.enter_async_context(_background(health.run()))
        ctx = Context(
            kube=kube,
            settings=settings,
            health=health,
            news=news,
            references=References(),
            inventory=children.inventory,
            program=program(settings),
            events=Events(kube, utc_now, os.environ.get("POD_NAME", COMPONENT)),
        )
        frameworks = partial(pace.turn, handlers.SECOND_TRY_AFTER + FRAMEWORK_WRITES_WITHIN) if pace else nullcontext
        reflector = Reflector(ctx.references, wakeups)
        duties = self.duties or real_duties()
        if settings.opt_in:
            grants = Grants(kube, await kube.whoami(), reflector, children)
            return Operator(ctx, wakeups, grants.guarded(duties), frameworks), grants
        for namespace in settings.namespaces or ("",):
            for watch in (*reflector.watches(kube, namespace), *children.watches(kube, namespace)):
                await stack.enter_async_context(_background(watch))
        return Operator(ctx, wakeups, duties, frameworks), None

    async def _framework(
        self, operator: Operator, grants: Grants | None, session: Session, pace: Pace | None, end: asyncio.Event, watching: asyncio.Event
    ) -> Collection[asyncio.Task[Any]]:
        registry = kopf.OperatorRegistry()
        handlers.register(registry, operator, Login(session), grants)
        namespaces = self.settings.namespaces
        log.info("serving %s", f"the namespaces {', '.join(namespaces)}" if namespaces else "all namespaces")
        return await kopf.spawn_tasks(
            registry=registry,
            settings=handlers.kopf_settings(partial(pace.later, late=FRAMEWORK_WRITES_WITHIN)) if pace else handlers.kopf_settings(),
            clusterwide=not namespaces,
            namespaces=namespaces,
            stop_flag=end,
            ready_flag=watching,
        )


def serve(process: Process) -> None:
    """Run it as a process of its own, until SIGTERM."""
    process.duties = process.duties or real_duties()
    # What the imports made stays to the end: each time that the collector goes through it everything stands still for 50 ms.
    gc.freeze()
    asyncio.run(process.run())


def real_duties() -> Mapping[Kind, Duties]:
    """What the operator does for each kind of resource."""
    from airflow_operator.reconcile.base import reconcile_base
    from airflow_operator.reconcile.cluster import reconcile_cluster
    from airflow_operator.reconcile.deletion import delete_base, delete_cluster

    return {
        AIRFLOW_BASE: Duties(reconcile_base, delete_base),
        AIRFLOW_CLUSTER: Duties(reconcile_cluster, delete_cluster),
    }


def turns(pace: Pace | None, leader: Leader | None) -> Turn:
    """What each write waits for: its turn, and then whether this replica still leads."""

    @asynccontextmanager
    async def turn() -> AsyncIterator[None]:
        async with pace.turn() if pace else nullcontext():
            if leader:
                leader.require()
            yield

    return turn


def leader_of(settings: Settings, kube: Kube, environ: Mapping[str, str]) -> Leader | None:
    """This replica's claim to lead; None where there is but one."""
    if not settings.leader_election:
        return None
    namespace = environ.get("POD_NAMESPACE")
    if not namespace:
        raise InvalidSetting(f"{variable('leader_election')} needs POD_NAMESPACE: the namespace of the operator, where its Lease is.")
    timing = Timing(settings.lease_duration, settings.lease_renew_deadline, settings.lease_retry_period)
    address = environ.get("POD_IP", "")
    host = f"[{address}]" if ":" in address else address
    identity = f"{environ.get('POD_NAME') or socket.gethostname()}_{secrets.token_hex(4)}"
    return Leader(kube, namespace, identity, timing, webhook=f"http://{host}:{settings.webhook_port}" if host else "")


@asynccontextmanager
async def _leading(leader: Leader) -> AsyncIterator[None]:
    """Keep the Lease while the block runs; without it the process ends at once, as nothing of it may go on."""

    async def keep() -> None:
        await leader.keep()
        log.critical("the Lease is lost: this process ends, and another replica leads")
        logging.shutdown()
        os._exit(1)

    async with _background(keep()):
        yield
    await leader.give_up()


def _raised_by_signals(end: asyncio.Event) -> None:
    """Have SIGTERM and SIGINT raise the flag: as the first process of a container nothing else would end this one."""
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, end.set)


async def _before(end: asyncio.Event, work: Coroutine[None, None, None]) -> bool:
    """Whether the work was done before the end came."""
    tasks = [asyncio.create_task(work), asyncio.create_task(end.wait())]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    done = tasks[0].done() and not end.is_set()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return done


async def with_own_image(settings: Settings, kube: Kube, environ: Mapping[str, str]) -> Settings:
    """The settings with the image that this pod runs, where none is set and this is a pod."""
    name, namespace = environ.get("POD_NAME"), environ.get("POD_NAMESPACE")
    if settings.image or not name or not namespace:
        return settings
    pod = await kube.get(POD, namespace, name)
    return settings.with_changes({"image": dig(pod, "spec", "containers", 0, "image")})


async def crds_installed(kube: Kube, namespaces: tuple[str, ...], stop: asyncio.Event) -> bool:
    """Wait until the API server knows our resources and lets us read them, and say what is missing; False after `stop`."""
    told = ""
    while (complaint := await _missing(kube, namespaces[0] if namespaces else "")) and not stop.is_set():
        if complaint != told:
            log.error("%s Trying again every %.0f s.", complaint, CRD_POLL)
            told = complaint
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), CRD_POLL)
    return not stop.is_set()


async def _missing(kube: Kube, namespace: str) -> str:
    for kind in (AIRFLOW_BASE, AIRFLOW_CLUSTER):
        try:
            await kube.list(kind, namespace)
        except NotFound:
            return f"The CRD of {kind.kind} is not installed: apply the kustomization `crds`."
        except Forbidden as error:
            return f"The operator may not read {kind.plural}: {error.message}"
        except Unavailable as error:
            return f"The API server does not answer: {error.message}"
    return ""


async def _health_probe(settings: Settings, stack: AsyncExitStack) -> HealthProbe:
    if not settings.health_probe:
        return NoHealthProbe()
    return HttpHealthProbe(await stack.enter_async_context(health.client(settings.concurrency)))


@asynccontextmanager
async def _background(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    # All of these begin before kopf does: at its end it takes every younger task for its own, waits for it and cancels it.
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
