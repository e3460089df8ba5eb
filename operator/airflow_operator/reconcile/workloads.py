"""What workloads and their pods say about themselves, in words for a condition."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from airflow_operator.domain import labels
from airflow_operator.domain.manifest import Live, dig
from airflow_operator.reconcile import rollout
from airflow_operator.reconcile.types import REPLICA_FAILURE, Condition

CRASHES = "ContainerCrashes"
UNSCHEDULABLE = "Unschedulable"
POD_REFUSED = "PodRefused"

STUCK = {
    "ImagePullBackOff": "ImageCannotBePulled",
    "ErrImagePull": "ImageCannotBePulled",
    "InvalidImageName": "ImageCannotBePulled",
    "CreateContainerConfigError": "ContainerCannotStart",
    "CreateContainerError": "ContainerCannotStart",
    "RunContainerError": "ContainerCannotStart",
    "CrashLoopBackOff": CRASHES,
}
"""Reasons for which a container waits and will not start by itself soon, and what a condition calls them."""

GIT_SYNC = "git-sync"
RESTARTS = 2
"""A container that ended this often is not just starting."""


def availability(condition: str, title: str, workload: Live | None, pods: Sequence[Live], *, held: bool = False) -> Condition:
    """Whether a workload runs what it should: its counts where all is well, what keeps it where it is not."""
    if workload is None:
        return Condition(condition, "False", "NotCreated", f"The {title} has not been created yet.", waiting=True)
    desired = dig(workload, "spec", "replicas", default=1)
    if rollout.settled(workload) and not held:
        if desired == 0:
            return Condition(condition, "True", "ScaledToZero", f"The {title} is scaled to zero.")
        return Condition(condition, "True", "Available", f"Every {title} pod is ready.")
    if trouble := _trouble(workload, pods):
        return Condition(condition, "False", trouble[0], f"The {title} cannot run: {trouble[1]}")
    if held:
        return Condition(condition, "False", "WaitingForTurn", f"The {title} is changed once the components before it are.", waiting=True)
    if rollout.ready_of(workload) < desired:
        return Condition(condition, "False", "Starting", f"Not every {title} pod is ready yet.", waiting=True)
    return Condition(condition, "False", "RollingOut", f"The {title} is being replaced.", waiting=True)


def pods_of(pods: Iterable[Live], component: str) -> list[Live]:
    """The pods of one component."""
    return [pod for pod in pods if dig(pod, "metadata", "labels", labels.COMPONENT) == component]


def _trouble(workload: Live, pods: Sequence[Live]) -> tuple[str, str] | None:
    """(reason, sentence) of what will not mend itself."""
    if refused := refusal(workload):
        return refused
    return next((found for pod in pods if "deletionTimestamp" not in pod["metadata"] and (found := obstacle(pod))), None)


def refusal(maker: Live) -> tuple[str, str] | None:
    """(reason, sentence) of a workload or Job that cannot make its pods."""
    for item in dig(maker, "status", "conditions", default=[]):
        if item.get("type") == REPLICA_FAILURE and item.get("status") == "True":
            return POD_REFUSED, item.get("message", "")
    return None


def owns(job: Live, pod: Live) -> bool:
    """Whether a pod is one of a Job's."""
    return bool(dig(pod, "metadata", "labels", "batch.kubernetes.io/controller-uid") == dig(job, "metadata", "uid"))


def obstacle(pod: Live) -> tuple[str, str] | None:
    """(reason, sentence) of what keeps a pod from running; what git-sync says is told elsewhere."""
    for status in _containers(pod):
        if GIT_SYNC not in status["name"] and (found := _stuck(status)):
            return found
    scheduled = _condition(pod, "PodScheduled")
    # Its other reason, SchedulerError, is a moment's conflict that the scheduler tries again.
    if scheduled.get("status") == "False" and scheduled.get("reason") == UNSCHEDULABLE:
        return UNSCHEDULABLE, f"no node takes the pod: {scheduled.get('message', '')}"
    return None


def _stuck(status: Live) -> tuple[str, str] | None:
    waiting = dig(status, "state", "waiting", default={})
    reason = STUCK.get(waiting.get("reason", ""))
    # One that runs past its startup probe and is not ready for a moment is not crashing, however often it once did.
    up = status.get("ready") or (status.get("started") and dig(status, "state", "running"))
    if reason is None and not up and status.get("restartCount", 0) >= RESTARTS:
        reason = CRASHES
    if reason != CRASHES:
        return (reason, f"container {status['name']}: {waiting.get('message') or waiting.get('reason')}") if reason else None
    ended = dig(status, "state", "terminated") or dig(status, "lastState", "terminated") or {}
    words = (ended.get("message") or f"exit code {ended.get('exitCode')}").strip()[-400:]
    return CRASHES, f"container {status['name']} ends again and again: {words}"


def _containers(pod: Live) -> list[Live]:
    return [*dig(pod, "status", "initContainerStatuses", default=[]), *dig(pod, "status", "containerStatuses", default=[])]


def _condition(pod: Live, kind: str) -> Live:
    return next((item for item in dig(pod, "status", "conditions", default=[]) if item["type"] == kind), {})
