"""Sees that the finalizer comes and goes.

kopf puts it on and takes it off, but a refusal (rights that are not there yet, a webhook that is down) it takes for the last word until it
hears of the object again: that can be ten minutes later.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from airflow_operator.domain.labels import FINALIZER
from airflow_operator.domain.manifest import Live, dig
from airflow_operator.kube.errors import ApiError
from airflow_operator.kube.protocol import Kube
from airflow_operator.runtime.leader import NotLeading
from airflow_operator.runtime.wakeups import Resource

log = logging.getLogger("airflow_operator.finalizers")

PAUSE = 5.0
"""Seconds that kopf is given; doubled after each refusal."""
LONGEST_PAUSE = 60.0


class Finalizers:
    """One look some seconds later at each object whose finalizer is about to come or to go, and was not seen to."""

    def __init__(self, kube: Kube) -> None:
        self._kube = kube
        self._looks: dict[tuple[str, bool], asyncio.Task[None]] = {}

    def see_to(self, resource: Resource, uid: str, *, present: bool) -> None:
        """Have the finalizer there, or away, soon."""
        mark = (uid, present)

        def ended(look: asyncio.Task[None]) -> None:
            if self._looks.get(mark) is look:
                del self._looks[mark]

        if mark not in self._looks:
            self._looks[mark] = asyncio.create_task(self._insist(resource, uid, present), name=f"finalizer of {resource}")
            self._looks[mark].add_done_callback(ended)

    def settled(self, uid: str, *, present: bool) -> None:
        """It was seen there, or away with its object: no look is needed."""
        if look := self._looks.pop((uid, present), None):
            look.cancel()

    def close(self) -> None:
        """Look no more."""
        for look in list(self._looks.values()):
            look.cancel()

    async def _insist(self, resource: Resource, uid: str, present: bool) -> None:
        pause = PAUSE
        while True:
            await asyncio.sleep(pause)
            try:
                live = await self._kube.get(resource.kind, resource.namespace, resource.name)
                if live is None or live["metadata"]["uid"] != uid or has_finalizer(live) == present or (present and is_going(live)):
                    return
                await self._kube.patch(resource.kind, resource.namespace, resource.name, _change(live, present))
            except (ApiError, NotLeading) as error:
                pause = min(2 * pause, LONGEST_PAUSE)
                log.warning("%s: its finalizer could not be %s: %s; next try in %.0f s", resource, _words(present), error, pause)


def has_finalizer(live: Live) -> bool:
    """Whether the object bears the operator's finalizer."""
    return FINALIZER in dig(live, "metadata", "finalizers", default=())


def is_going(live: Live) -> bool:
    """Whether the object is marked for deletion."""
    return dig(live, "metadata", "deletionTimestamp") is not None


def _change(live: Live, present: bool) -> list[dict[str, Any]]:
    """As a JSON patch, for the object as it was read and no other."""
    others = [item for item in dig(live, "metadata", "finalizers", default=()) if item != FINALIZER]
    return [
        {"op": "test", "path": "/metadata/resourceVersion", "value": live["metadata"]["resourceVersion"]},
        {"op": "add", "path": "/metadata/finalizers", "value": [*others, *([FINALIZER] if present else [])]},
    ]


def _words(present: bool) -> str:
    return "put on" if present else "taken off"
