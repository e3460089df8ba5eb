"""Kubernetes Events of our resources: posted when a condition turns, never repeated."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Literal

from airflow_operator.domain.hashing import digest
from airflow_operator.domain.manifest import Live, Manifest, dig
from airflow_operator.kube.errors import AlreadyExists, ApiError
from airflow_operator.kube.protocol import Kube

log = logging.getLogger("airflow_operator.events")

COMPONENT = "airflow-operator"
LONGEST_MESSAGE = 1024
"""In bytes: the API server refuses longer ones."""
QUIET_TIME = 300.0
"""A condition that flutters is told once in so many seconds."""
REMEMBERED = 4096

Severity = Literal["Normal", "Warning"]
Condition = Mapping[str, Any]

UNWANTED = frozenset({"Degraded"})
"""Conditions whose True is bad news."""
SILENT = frozenset({"Progressing"})
"""Conditions that turn with every change and say nothing that another one does not."""


class Events:
    """Posts Events; a failure to post is logged and never disturbs a reconciliation."""

    def __init__(self, kube: Kube, now: Callable[[], datetime], instance: str = COMPONENT) -> None:
        """`instance` is the name of the operator's pod."""
        self._kube = kube
        self._now = now
        self._instance = instance
        self._told: OrderedDict[str, datetime] = OrderedDict()

    async def transitions(self, resource: Live, before: Iterable[Condition], after: Iterable[Condition]) -> None:
        """One Event for each condition whose status or reason changed."""
        known = {condition["type"]: condition for condition in before}
        for condition in after:
            severity = severity_of(known.get(condition["type"]), condition)
            if severity is not None:
                await self.post(resource, severity, condition["reason"], condition.get("message", ""))

    async def post(self, resource: Live, severity: Severity, reason: str, message: str) -> None:
        """One Event about a resource, unless the same was told a short while ago."""
        message = clip(message or reason)
        mark = digest([dig(resource, "metadata", "uid", default=""), severity, reason, message], 16)
        now = self._now()
        told = self._told.get(mark)
        if told is not None and (now - told).total_seconds() < QUIET_TIME:
            return
        self._told[mark] = now
        self._told.move_to_end(mark)
        while len(self._told) > REMEMBERED:
            self._told.popitem(last=False)
        try:
            await self._kube.create(self._manifest(resource, severity, reason, message, mark, now))
        except AlreadyExists:
            return
        except ApiError as error:
            # A namespace that goes takes in nothing more, and nobody will look for the event.
            level = logging.DEBUG if "is being terminated" in error.message else logging.WARNING
            log.log(level, "event %s could not be posted: %s", reason, error)

    def _manifest(self, resource: Live, severity: Severity, reason: str, message: str, mark: str, now: datetime) -> Manifest:
        meta = resource["metadata"]
        stamp = now.strftime("%Y-%m-%dT%H:%M:%SZ")
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{meta['name'][:200]}.{mark}{int(now.timestamp()):x}", "namespace": meta["namespace"]},
            "involvedObject": {
                "apiVersion": resource["apiVersion"],
                "kind": resource["kind"],
                "namespace": meta["namespace"],
                "name": meta["name"],
                "uid": meta.get("uid", ""),
                "resourceVersion": meta.get("resourceVersion", ""),
            },
            "type": severity,
            "reason": reason,
            "message": message,
            "source": {"component": COMPONENT},
            "reportingComponent": COMPONENT,
            "reportingInstance": self._instance,
            "firstTimestamp": stamp,
            "lastTimestamp": stamp,
            "count": 1,
        }


def severity_of(before: Condition | None, after: Condition) -> Severity | None:
    """Whether a condition's turn is worth an Event, and which; None where it is not.

    A condition that is met for the first time is no news: the resource was only just made, or could not be looked at for a while.
    """
    if after["type"] in SILENT:
        return None
    bad = "True" if after["type"] in UNWANTED else "False"
    if before is None:
        return "Warning" if after["status"] == bad and after["type"] in UNWANTED else None
    if (before["status"], before["reason"]) == (after["status"], after["reason"]):
        return None
    if after["status"] == bad:
        return "Warning" if before["status"] != bad or after["type"] in UNWANTED else "Normal"
    return "Normal" if before["status"] != after["status"] else None


def clip(message: str) -> str:
    """The message, cut to what an Event may hold."""
    data = message.encode()
    return message if len(data) <= LONGEST_MESSAGE else data[: LONGEST_MESSAGE - 3].decode(errors="ignore") + "..."
