"""Every kopf decorator of the operator, and the settings that keep kopf small. Nothing else.

kopf's part: watching our resources, one task for each, the finalizer. It writes one finalizer to a resource and nothing more.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from itertools import chain, repeat
from typing import Any

import kopf

from airflow_operator.domain.kinds import AIRFLOW_BASE, AIRFLOW_CLUSTER, GROUP
from airflow_operator.domain.labels import FINALIZER
from airflow_operator.domain.manifest import Kind
from airflow_operator.runtime.grants import Grants
from airflow_operator.runtime.operator import Operator
from airflow_operator.runtime.wakeups import Resource

RESOURCES = (AIRFLOW_BASE, AIRFLOW_CLUSTER)
Login = Callable[[], Awaitable[Mapping[str, Any]]]
"""Gives the session to ask the API server with, in the words of kopf.AiohttpSession."""


def register(registry: kopf.OperatorRegistry, operator: Operator, login: Login, grants: Grants | None = None) -> None:
    """Put every handler into `registry`."""
    for kind in RESOURCES:
        _serve(registry, operator, kind)
    _close(registry, operator, grants)

    @kopf.on.login(registry=registry, errors=kopf.ErrorsMode.TEMPORARY, backoff=5.0)
    async def log_in(**_: Any) -> kopf.AiohttpSession:
        return kopf.AiohttpSession(**await login())


def _serve(registry: kopf.OperatorRegistry, operator: Operator, kind: Kind) -> None:
    """A daemon that keeps the object in its state, and a watch that tells of its changes.

    The watch comes first in kopf's cycle and is waited for, so the clean-up runs there and not in the daemon: kopf starts
    no daemon for an object that is already being deleted when the operator starts, and would drop the finalizer at once.
    """

    @kopf.daemon(*_selector(kind), id="loop", registry=registry)
    async def loop(body: kopf.Body, namespace: str | None, name: str, uid: str, stopped: kopf.DaemonStopped, **_: Any) -> None:
        await operator.serve(Resource(kind, namespace or "", name), uid, lambda: body, until=stopped.wait())

    @kopf.on.event(*_selector(kind), id="changes", registry=registry)
    async def changed(type: str | None, body: kopf.Body, namespace: str | None, name: str, **_: Any) -> None:
        await operator.noticed(Resource(kind, namespace or "", name), type, body)


def _close(registry: kopf.OperatorRegistry, operator: Operator, grants: Grants | None) -> None:
    """Ends what kopf would otherwise wait for at its own end."""

    @kopf.on.cleanup(registry=registry)
    async def close(**_: Any) -> None:
        operator.close()
        if grants is not None:
            await grants.close()


def _selector(kind: Kind) -> tuple[str, str, str]:
    group, _, version = kind.api_version.rpartition("/")
    return group, version, kind.plural


Again = Callable[[float], float]
SECOND_TRY_AFTER = 1.0
"""Seconds."""


def kopf_settings(again: Again = lambda seconds: seconds) -> kopf.OperatorSettings:
    """Own names, no writes but the finalizer, small memory, watches that notice a dead connection; `again`: see `Patience`."""
    settings = kopf.OperatorSettings()
    settings.persistence.finalizer = FINALIZER
    settings.persistence.diffbase_storage = NoDiffBase()
    settings.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=GROUP, v1=False)
    settings.persistence.consistency_timeout = 0
    settings.posting.enabled = False
    settings.peering.standalone = True
    # Watching CRDs and namespaces would take rights that nothing else needs.
    settings.scanning.disabled = True
    settings.watching.connect_timeout = 10
    settings.watching.server_timeout = 600
    settings.watching.client_timeout = 630
    settings.watching.chunk_size = 500
    settings.networking.error_backoffs = Patience(again)
    settings.networking.request_timeout = 60
    settings.networking.connect_timeout = 10
    settings.queueing.idle_timeout = 0.1
    # A daemon that is told to stop is waited for in memory; otherwise kopf would poll by patching the object.
    settings.background.instant_exit_timeout = 5.0
    return settings


class Patience:
    """Pauses in seconds between the tries of one request, without end: kopf would otherwise end the operator after a minute's outage."""

    def __init__(self, again: Again) -> None:
        """`again` makes a pause longer where another try has to wait for its turn; the turn of a finalizer has room for a second one."""
        self._again = again

    def __iter__(self) -> Iterator[float]:
        """From the start, for each request. kopf asks for a pause before the try that it comes after."""
        yield SECOND_TRY_AFTER
        for seconds in chain((1, 2, 3, 5), repeat(8.0)):
            yield self._again(seconds)


class NoDiffBase(kopf.DiffBaseStorage):
    """Keeps and compares nothing: without change handlers kopf's two deep copies of each event serve nobody."""

    def build(self, *, body: kopf.Body, extra_fields: Any = None) -> kopf.BodyEssence:
        """Always empty."""
        return kopf.BodyEssence()

    def fetch(self, *, body: kopf.Body) -> kopf.BodyEssence | None:
        """Always absent."""
        return None

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: kopf.BodyEssence) -> None:
        """Never asked for without change handlers."""
