"""What a workload and its pods say, in words for a condition."""

from __future__ import annotations

import pytest

from airflow_operator.reconcile.build.components import scheduler
from airflow_operator.reconcile.workloads import STUCK, availability, obstacle, pods_of
from tests.unit import factory
from tests.unit.factory import KEYS

CLUSTER = factory.cluster(scheduler={"replicas": 2})
SETTLED = factory.live(scheduler(CLUSTER, KEYS))
STARTING = factory.live(scheduler(CLUSTER, KEYS), ready=1)


def told(workload, *pods, held=False):
    found = availability("SchedulersAvailable", "scheduler", workload, pods, held=held)
    return found.status, found.reason, found.waiting


def container(state, **more):
    return {"name": "scheduler", "state": state, "ready": False, "started": False, "restartCount": 0, **more}


def pod(*statuses, **meta):
    return factory.pod("scheduler", "", *statuses, **meta)


CRASHED = {"terminated": {"exitCode": 1, "message": "no database"}}
RUNNING = {"running": {"startedAt": factory.at(-60)}}


def test_counts_decide():
    assert told(None) == ("False", "NotCreated", True)
    assert told(SETTLED) == ("True", "Available", False)
    assert told(STARTING) == ("False", "Starting", True)
    assert told(SETTLED, held=True) == ("False", "WaitingForTurn", True)
    rolling = factory.live(scheduler(CLUSTER, KEYS), updatedReplicas=1)
    assert told(rolling) == ("False", "RollingOut", True)
    unseen = {**SETTLED, "metadata": {**SETTLED["metadata"], "generation": 2}}
    assert told(unseen)[0] == "False"
    nobody = factory.live(scheduler(factory.cluster(scheduler={"replicas": 0}), KEYS))
    assert told(nobody) == ("True", "ScaledToZero", False)


@pytest.mark.parametrize("waiting", [reason for reason in STUCK if reason != "CrashLoopBackOff"])
def test_a_container_that_cannot_start_is_a_fault(waiting):
    found = availability("X", "scheduler", STARTING, [pod(container({"waiting": {"reason": waiting, "message": "the words"}}))])
    assert (found.reason, found.waiting) == (STUCK[waiting], False)
    assert "container scheduler: the words" in found.message


def test_a_container_that_ends_again_and_again_leaves_its_words():
    for status in (
        container({"waiting": {"reason": "CrashLoopBackOff"}}, lastState=CRASHED, restartCount=1),
        container(RUNNING, lastState=CRASHED, restartCount=2),
        container(CRASHED, restartCount=2),
    ):
        found = availability("X", "scheduler", STARTING, [pod(status)])
        assert found.reason == "ContainerCrashes"
        assert "no database" in found.message


def test_a_crash_without_words_has_its_exit_code():
    status = container({"waiting": {"reason": "CrashLoopBackOff"}}, lastState={"terminated": {"exitCode": 137}})
    assert "exit code 137" in availability("X", "scheduler", STARTING, [pod(status)]).message


def test_a_first_start_is_no_fault():
    assert told(STARTING, pod(container({"waiting": {"reason": "ContainerCreating"}}))) == ("False", "Starting", True)
    assert told(STARTING, pod(container(RUNNING, restartCount=1, lastState=CRASHED))) == ("False", "Starting", True)


def test_a_container_that_is_up_is_not_crashing_however_often_it_once_did():
    once = container(RUNNING, started=True, restartCount=9, lastState=CRASHED)
    assert told(STARTING, pod(once)) == ("False", "Starting", True)


def test_a_pod_that_is_going_is_nobodys_fault():
    crashing = container(RUNNING, restartCount=5, lastState=CRASHED)
    assert told(STARTING, pod(crashing, deletionTimestamp=factory.at(0))) == ("False", "Starting", True)


def test_git_sync_is_told_elsewhere():
    status = {**container(CRASHED, restartCount=5), "name": "git-sync"}
    assert told(STARTING, pod(status)) == ("False", "Starting", True)


def test_a_pod_without_a_node_says_why():
    unscheduled = pod()
    unscheduled["status"]["conditions"] = [
        {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes: Insufficient cpu"}
    ]
    assert obstacle(unscheduled) == ("Unschedulable", "no node takes the pod: 0/1 nodes: Insufficient cpu")
    assert told(STARTING, unscheduled)[:2] == ("False", "Unschedulable")


def test_a_passing_conflict_of_the_scheduler_is_no_fault():
    conflict = {"type": "PodScheduled", "status": "False", "reason": "SchedulerError", "message": 'running PreBind plugin "VolumeBinding"'}
    pending = pod()
    pending["status"]["conditions"] = [conflict]
    assert obstacle(pending) is None
    assert told(STARTING, pending) == ("False", "Starting", True)


def test_pods_that_the_api_server_refuses_are_a_fault():
    refused = factory.live(
        scheduler(CLUSTER, KEYS), ready=0, conditions=[{"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"}]
    )
    found = availability("X", "scheduler", refused, [])
    assert found.reason == "PodRefused"
    assert "exceeded quota" in found.message


def test_pods_are_told_apart_by_component():
    pods = [factory.pod("scheduler", "a"), factory.pod("triggerer", "b"), factory.pod("task", "c")]
    assert [item["metadata"]["name"] for item in pods_of(pods, "scheduler")] == ["a"]
