"""One DAG on every version of Airflow, its tasks in the schedulers and in pods; schedulers that go wait for the tasks that they run."""

from __future__ import annotations

import secrets
import textwrap
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from airflow_operator.airflow.releases import RELEASES
from devcluster import Provider
from tests.e2e.conftest import leave
from tests.e2e.deployment import CLUSTER, Deployment, dag_file
from tests.e2e.kubectl import Kubectl
from tests.e2e.prepare import load_images
from tests.e2e.waiting import Stopwatch, until

pytestmark = pytest.mark.timeout(1200)

USUAL = ("2.11.2", "3.3.2")
"""The versions that every change is tried on: the newest of Airflow 2 and of Airflow 3."""
OTHERS = ("2.10.5", "3.0.6", "3.1.8", "3.2.2")
SECONDS = 60
EACH = 2
"""Tasks that one scheduler runs at a time."""
RUNS = 8
"""The most runs that are begun until two schedulers are at work."""

DAGS = """
import socket
import time

from airflow.sdk import dag, task


@dag(schedule=None)
def two_executors():
    @task
    def here() -> str:
        print("This is a scheduler.")
        return socket.gethostname()

    @task(executor="KubernetesExecutor")
    def apart(scheduler: str) -> str:
        return socket.gethostname()

    apart(here())


@dag(schedule=None)
def sleeper():
    @task
    def sleep() -> str:
        time.sleep({seconds})
        return socket.gethostname()

    sleep()


two_executors()
sleeper()
"""


def bring_up(kubectl: Kubectl, version: str) -> Deployment:
    """A deployment of that version with both executors and the DAGs of this module; it is not waited for."""
    # Orphans are looked for often, so that a task that another scheduler runs would be taken for one, if it could be.
    config: dict[str, Any] = {"core": {"parallelism": EACH}, "scheduler": {"orphaned_tasks_check_interval": 10}}
    if version.startswith("3.0."):
        # Its API gives a task's return value away only where this is set; 3.1 dropped the option.
        config["api"] = {"enable_xcom_deserialize_support": True}
    executors = ["LocalExecutor", "KubernetesExecutor"]
    name = f"e2e-{version.replace('.', '-')}-{secrets.token_hex(2)}"
    made = Deployment(kubectl, name, modest=True, logs=False, version=version, executors=executors, config=config)
    made.make_namespace()
    text = textwrap.dedent(DAGS).lstrip().format(seconds=SECONDS)
    made.git.commit({"dags/versions.py": dag_file(text, version)}, "DAGs of this test")
    made.apply()
    return made


def side_by_side(kubectl: Kubectl, versions: Sequence[str]) -> Iterator[dict[str, Deployment]]:
    """A deployment of each version at the same time: most of a start is waiting."""
    made: dict[str, Deployment] = {}
    try:
        for version in versions:
            made[version] = bring_up(kubectl, version)
        yield made
    finally:
        for deployment in made.values():
            leave(deployment)


@pytest.fixture(scope="module")
def usual(kubectl: Kubectl) -> Iterator[dict[str, Deployment]]:
    """The versions that every change is tried on."""
    yield from side_by_side(kubectl, USUAL)


@pytest.fixture
def other(cluster: Provider, kubectl: Kubectl, request: pytest.FixtureRequest) -> Iterator[Deployment]:
    """One of the other versions, whose image nothing else needs."""
    load_images(cluster, kubectl, [f"airflow-{request.param}"])
    for made in side_by_side(kubectl, [request.param]):
        yield made[request.param]


@pytest.mark.e2e
def test_every_version_is_run() -> None:
    assert {*USUAL, *OTHERS} == set(RELEASES)


def run_one_dag(deployment: Deployment) -> None:
    clock = Stopwatch()
    deployment.wait_until_ready()
    airflow = deployment.airflow()
    assert airflow.version() == deployment.version
    run = airflow.run_dag("two_executors")["dag_run_id"]
    print(f"Airflow {deployment.version}: a DAG run after {clock.seconds:.1f} s")
    schedulers = [pod["metadata"]["name"] for pod in deployment.pods("scheduler")]
    assert airflow.xcom("two_executors", run, "here") in schedulers
    assert airflow.xcom("two_executors", run, "apart") not in schedulers
    # No volume keeps the logs: this one is served by the scheduler.
    assert "This is a scheduler." in airflow.log("two_executors", run, "here")
    assert not airflow.import_errors()
    deployment.wait_until_settled()


@pytest.mark.e2e_all
@pytest.mark.parametrize("other", OTHERS, indirect=True)
def test_one_dag_on_an_older_version(other: Deployment) -> None:
    run_one_dag(other)


@pytest.mark.e2e
@pytest.mark.parametrize("version", USUAL)
def test_one_dag(usual: dict[str, Deployment], version: str) -> None:
    run_one_dag(usual[version])


def scale(deployment: Deployment, replicas: int) -> None:
    deployment.kubectl("scale", f"afc/{CLUSTER}", f"--replicas={replicas}")
    wanted = f"{replicas}/{replicas}"
    until(
        f"{wanted} schedulers",
        lambda: deployment.cluster["status"]["schedulers"] == wanted and len(deployment.pods("scheduler")) == replicas,
        within=240,
        saying=lambda: str(deployment.cluster["status"]["schedulers"]),
    )


def drain(deployment: Deployment) -> None:
    """Of three schedulers two go while tasks run in at least two; every task ends in its first try, where it began."""
    airflow = deployment.airflow()
    scale(deployment, 3)
    airflow.wait_for_dag("sleeper")
    airflow.unpause("sleeper")
    runs: list[str] = []

    def at_work() -> dict[str, str]:
        tasks = {run: task for run in runs for task in airflow.task_instances("sleeper", run)}
        return {run: task["hostname"] for run, task in tasks.items() if task["state"] == "running"}

    def two_at_work() -> dict[str, str] | None:
        # One run after the other: from Airflow 3.1 on a scheduler takes all tasks that are there, and keeps them waiting for its workers.
        if len(set((found := at_work()).values())) > 1:
            return found
        if len(runs) < RUNS:
            runs.append(airflow.trigger("sleeper"))
        return None

    busy = until("two schedulers run tasks", two_at_work, within=180, saying=lambda: f"{len(runs)} runs, at work: {at_work()}")
    scale(deployment, 1)
    for run in runs:
        airflow.wait_for_run("sleeper", run, timeout=600)
        (task,) = airflow.task_instances("sleeper", run)
        assert (task["state"], task["try_number"]) == ("success", 1)
        assert task["duration"] >= SECONDS
        assert busy.get(run, task["hostname"]) == task["hostname"]
    print(f"Airflow {deployment.version}: {len(runs)} tasks in {len(set(busy.values()))} schedulers, none lost")


@pytest.mark.e2e_all
def test_schedulers_that_go_wait_for_their_tasks(usual: dict[str, Deployment]) -> None:
    for deployment in usual.values():
        deployment.wait_until_ready()
    with ThreadPoolExecutor() as pool:
        list(pool.map(drain, usual.values()))
