"""Schedulers are scaled and killed while tasks run: no task is lost, none runs twice."""

from __future__ import annotations

import pytest

from tests.e2e.deployment import CLUSTER, Deployment
from tests.e2e.waiting import Stopwatch, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]

TASKS = 30


def scale(deployed: Deployment, replicas: int, *, within: float) -> None:
    """`kubectl scale`; wait until that many schedulers are ready and no other is left, and the resource is Ready again."""
    clock = Stopwatch()
    deployed.kubectl("scale", f"afc/{CLUSTER}", f"--replicas={replicas}")
    wait_for_schedulers(deployed, replicas, within=within)
    print(f"{replicas} schedulers ready {clock.seconds:.1f} s after kubectl scale")


def wait_for_schedulers(deployed: Deployment, replicas: int, *, within: float) -> None:
    def settled() -> bool:
        cluster = deployed.cluster
        return cluster["status"]["schedulers"] == f"{replicas}/{replicas}" and len(deployed.pods("scheduler")) == replicas

    until(f"{replicas} schedulers", settled, within=within, saying=lambda: str(deployed.cluster["status"]["schedulers"]))
    deployed.wait_until_ready()
    # What the autoscalers of Kubernetes would read.
    read = deployed.kubectl(
        "get", "--raw", f"/apis/airflow-operator.dev/v1alpha1/namespaces/{deployed.namespace}/airflowclusters/{CLUSTER}/scale"
    )
    assert f'"spec":{{"replicas":{replicas}}}' in read


def test_scaled_and_killed_while_tasks_run(deployed: Deployment) -> None:
    airflow = deployed.airflow()
    airflow.wait_for_dag("fan_out")
    airflow.unpause("fan_out")
    (first,) = deployed.pods("scheduler")
    run = airflow.trigger("fan_out", {"tasks": TASKS, "seconds": 5})

    def working() -> list[str]:
        return [name for name, state in airflow.task_states("fan_out", run).items() if state == "running" and name.startswith("work")]

    until("tasks run", working, within=180, saying=lambda: str(airflow.task_states("fan_out", run)))
    scale(deployed, 3, within=240)
    killed_during = airflow.task_states("fan_out", run)
    # Not by --force: that takes the pod's token while its process lives on for seconds, and Airflow fails the tasks that it starts then.
    deployed.kubectl("delete", "pod", first["metadata"]["name"], "--grace-period=1", "--wait=false")
    assert {"running", "queued", "scheduled"} & set(killed_during.values()), "the scheduler was killed too late to matter"
    wait_for_schedulers(deployed, 3, within=240)
    scale(deployed, 1, within=240)
    airflow.wait_for_run("fan_out", run, timeout=600)

    tasks = airflow.task_instances("fan_out", run)
    assert len(tasks) == TASKS + 2
    assert {task["state"] for task in tasks} == {"success"}
    # Airflow counts a try more for a task that was queued in the killed scheduler and never started.
    print(f"second tries: {sum(task['try_number'] > 1 for task in tasks)}")
    # The first thing that a task does is to write a line to a file that all of them share.
    assert airflow.xcom("fan_out", run, "count") == {"tasks": TASKS, "missing": [], "repeated": []}
