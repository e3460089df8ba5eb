"""Pods that could not be made. A Deployment says so itself; of Jobs and StatefulSets only Events tell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from airflow_operator.domain.kinds import EVENT
from airflow_operator.domain.manifest import Live, dig
from airflow_operator.kube.errors import Forbidden
from airflow_operator.reconcile.types import REPLICA_FAILURE
from airflow_operator.reconcile.workloads import owns

if TYPE_CHECKING:
    from airflow_operator.kube.protocol import Kube

AGAIN = 5.0
"""Seconds until the next look at something that has no pod: no Event wakes the operator."""


def lacking(objects: Sequence[Live]) -> list[Live]:
    """Jobs without any pod, and StatefulSets with fewer than they should have."""
    pods = [item for item in objects if item["kind"] == "Pod"]
    found = []
    for item in objects:
        status = dig(item, "status", default={})
        going = dig(item, "metadata", "deletionTimestamp") or status.get("conditions")
        if item["kind"] == "Job" and not going and not any(owns(item, pod) for pod in pods):
            found.append(item)
        if item["kind"] == "StatefulSet" and status.get("replicas", 0) < dig(item, "spec", "replicas", default=1):
            found.append(item)
    return found


async def told(kube: Kube, namespace: str, objects: Sequence[Live]) -> list[Live]:
    """The same objects; what lacks pods has the condition that a Deployment would have, in the API server's words."""
    without = {dig(item, "metadata", "uid") for item in lacking(objects)}
    if not without:
        return list(objects)
    try:
        events = await kube.list(EVENT, namespace, fields="reason=FailedCreate")
    except Forbidden:
        # Rights of an older install: then nobody knows why.
        return list(objects)
    said = _last_words(events)
    return [_with(item, said[uid]) if (uid := dig(item, "metadata", "uid")) in without and uid in said else item for item in objects]


def _last_words(events: Iterable[Live]) -> Mapping[str, str]:
    ordered = sorted(events, key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime") or ""))
    return {dig(event, "involvedObject", "uid", default=""): str(event.get("message", "")) for event in ordered}


def _with(item: Live, message: str) -> Live:
    status = dig(item, "status", default={})
    condition = {"type": REPLICA_FAILURE, "status": "True", "reason": "FailedCreate", "message": message}
    return {**item, "status": {**status, "conditions": [*status.get("conditions", []), condition]}}
