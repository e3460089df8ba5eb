"""What finished Jobs prove. A Job's result is the JSON that its container left as termination message."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from airflow_operator.domain import labels
from airflow_operator.domain.kinds import GROUP
from airflow_operator.domain.manifest import Live, ObjectKey, dig, key_of
from airflow_operator.reconcile.types import SeenCluster
from airflow_operator.reconcile.workloads import UNSCHEDULABLE, obstacle, refusal

DATABASE = f"{GROUP}/database"
IMAGE = f"{GROUP}/image"
REQUEST = f"{GROUP}/request"
OWNER = f"{GROUP}/owner"
SUPERSEDES = f"{GROUP}/supersedes"
"""Annotations of a Job: which database it spoke of, with which image, what exactly it was asked, for which namespace (its UID), and
which Jobs' answers are void once it has ended (UIDs, with commas)."""

RETRY_AFTER = timedelta(seconds=20)
"""How long a failed Job is shown before it is tried again."""

RECHECK_AFTER = timedelta(minutes=2)
"""How long an answer that only others can change (whose database it is, what the image holds) stands before it is asked for again."""

PATIENCE = timedelta(seconds=60)
"""How long a Job whose container cannot be started is left to it before it is made anew from what the spec says by then."""

LAST_WORDS = 600
"""Characters of a Job's last words that go into a condition."""


@dataclass(frozen=True)
class Evidence:
    """One Job as the plan sees it."""

    key: ObjectKey
    uid: str
    component: str
    annotations: Mapping[str, str]
    state: Literal["Running", "Done", "Failed", "Lost"]
    """Running: also one that is being deleted, since its name is not free yet. Lost: it ended, but its result is gone with its pod."""
    result: Mapping[str, Any]
    ended: datetime | None
    created: datetime | None = None
    obstacle: tuple[str, str] | None = None
    """(reason, sentence) of what keeps its pod from starting."""

    @property
    def verdict(self) -> str:
        """The `result` of its JSON, for instance Migrated."""
        return str(self.result.get("result", ""))

    @property
    def last_words(self) -> str:
        """Its message, cut to what a condition can hold."""
        return str(self.result.get("message") or "The container ended without a message.")[-LAST_WORDS:]

    def retry_in(self, now: datetime) -> float:
        """Seconds until a failed Job may be made anew; 0 when it may be now."""
        return max(0.0, ((self.ended or now) + RETRY_AFTER - now).total_seconds())

    def recheck_in(self, now: datetime) -> float:
        """Seconds until an unwelcome answer is asked for again; 0 when it may be now."""
        return max(0.0, ((self.ended or now) + RECHECK_AFTER - now).total_seconds())

    def hopeless(self, now: datetime) -> bool:
        """Whether it has long been kept from starting, so that another attempt may do better. Nodes take their time to come."""
        return bool(self.obstacle and self.obstacle[0] != UNSCHEDULABLE and self.created and now - self.created >= PATIENCE)


def read(objects: Iterable[Live], pods: Iterable[Live]) -> tuple[Evidence, ...]:
    """Every Job among `objects`, with the result that its pod left."""
    by_job: dict[str, list[Live]] = {}
    for pod in pods:
        # Not by the Job's name: a pod of an earlier Job of the same name may linger.
        by_job.setdefault(dig(pod, "metadata", "labels", "batch.kubernetes.io/controller-uid", default=""), []).append(pod)
    return tuple(_evidence(job, by_job.get(job["metadata"]["uid"], [])) for job in objects if job["kind"] == "Job")


def ended(job: Live) -> Live | None:
    """The condition by which a Job ended; None while it runs."""
    conditions = {c["type"]: c for c in dig(job, "status", "conditions", default=[]) if c.get("status") == "True"}
    return conditions.get("Complete") or conditions.get("Failed")


def read_beside_base(seen: SeenCluster) -> tuple[Evidence, ...]:
    """The Jobs that the operator ran for a cluster in the namespace of its base."""
    return read(seen.provisioning, [item for item in seen.provisioning if item["kind"] == "Pod"])


def of_database(seen: SeenCluster, *, beside_base: bool) -> tuple[Evidence, ...]:
    """The Jobs that can tell of the cluster's database.

    One in the cluster's own namespace, where a tenant could put whatever it likes, is asked about the tenant's own database alone.
    """
    if beside_base:
        return read_beside_base(seen)
    return tuple(job for job in read(seen.children, seen.pods) if job.component == "database")


def _evidence(job: Live, pods: list[Live]) -> Evidence:
    meta = job["metadata"]
    end = ended(job)
    result = _result(pods)
    if end is None or "deletionTimestamp" in meta:
        state: Literal["Running", "Done", "Failed", "Lost"] = "Running"
    elif end["type"] == "Failed":
        state, result = "Failed", result or {"message": end.get("message", "")}
    else:
        state = "Done" if result else "Lost"
    return Evidence(
        key=key_of(job),
        uid=meta["uid"],
        component=dig(meta, "labels", labels.COMPONENT, default=""),
        annotations=meta.get("annotations") or {},
        state=state,
        result=result,
        ended=_time(end.get("lastTransitionTime")) if end else None,
        created=_time(meta.get("creationTimestamp")),
        obstacle=None if end or "deletionTimestamp" in meta else _obstacle(job, pods),
    )


def _obstacle(job: Live, pods: list[Live]) -> tuple[str, str] | None:
    return next((found for pod in pods if (found := obstacle(pod))), None) or refusal(job)


def _result(pods: list[Live]) -> Mapping[str, Any]:
    """The result of the newest pod; a plain text message becomes {"message": ...}."""
    newest = max(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp", "")), default=None)
    said = (dig(status, "state", "terminated", "message") for status in dig(newest, "status", "containerStatuses", default=[]))
    # A pod that was ended by its deadline or by its node says so itself.
    message = next((text for text in said if text), None) or dig(newest, "status", "message", default="")
    try:
        parsed = json.loads(message)
    except ValueError:
        return {"message": message.strip()} if message.strip() else {}
    return parsed if isinstance(parsed, dict) else {"message": message}


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
