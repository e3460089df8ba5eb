"""DAGs from a git repository with a password, and what their tasks see and leave."""

from __future__ import annotations

import base64
import json
import textwrap

import pytest

from tests.e2e.deployment import CLUSTER, GIT_SECRET, PERIOD, Deployment
from tests.e2e.kubectl import Object
from tests.e2e.waiting import Stopwatch, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

AIM = PERIOD + 15.0
"""Seconds in which a pushed commit should be in Airflow on a quiet machine."""
GENEROUS = 120.0


def dag_file(dag_id: str) -> str:
    return textwrap.dedent(f"""
        from airflow.sdk import dag, task


        @dag(dag_id="{dag_id}", schedule=None)
        def pushed():
            @task
            def say():
                print("{dag_id} was here")

            say()


        pushed()
    """).lstrip()


def push_and_wait(deployed: Deployment, dag_id: str, *, within: float) -> None:
    """Push a new DAG file; wait until the operator's status names the commit and Airflow lists the DAG; print both times."""
    commit = deployed.git.commit({f"dags/{dag_id}.py": dag_file(dag_id)}, f"add {dag_id}")
    clock = Stopwatch()
    until(f"status.dags names {commit}", lambda: deployed.commit_in_status() == commit, within=within, saying=deployed.commit_in_status)
    in_status = clock.seconds
    deployed.airflow().wait_for_dag(dag_id, timeout=within)
    print(f"pushed commit in status.dags after {in_status:.1f} s, in Airflow after {clock.seconds:.1f} s (aim: {AIM:.0f} s)")


def task_pods(deployed: Deployment, dag_id: str) -> list[Object]:
    return deployed.kubectl.list("pods", selector=f"dag_id={dag_id}")


def test_log_of_a_finished_task_outlives_its_pod(deployed: Deployment) -> None:
    airflow = deployed.airflow()
    run = airflow.run_dag("hello")["dag_run_id"]
    until("the pods of the run are gone", lambda: not task_pods(deployed, "hello"), within=120)
    assert "Hello from a task." in airflow.log("hello", run, "greet")
    assert "The first task said hello." in airflow.log("hello", run, "answer")


def test_pushed_commit_arrives(deployed: Deployment) -> None:
    push_and_wait(deployed, "pushed_later", within=GENEROUS)


def secret_values(deployed: Deployment) -> dict[str, str]:
    """Everything that no task may know, by a name for messages."""
    found = {}
    for name in (f"{CLUSTER}-keys", f"{CLUSTER}-connection", f"{CLUSTER}-admin"):
        for key, value in deployed.kubectl.secret(name).items():
            if key not in ("username", "key-id"):
                found[f"{name}/{key}"] = value
    assert {f"{CLUSTER}-keys/{key}" for key in ("fernet-key", "jwt-private-key", "database-password", "api-secret-key")} <= set(found)
    return found


def assert_no_secret(text: str, secrets: dict[str, str], where: str) -> None:
    for name, value in secrets.items():
        for form in (value, base64.b64encode(value.encode()).decode(), json.dumps(value).strip('"')):
            assert form not in text, f"{name} is in {where}"


def test_task_pod_holds_no_key(deployed: Deployment) -> None:
    airflow = deployed.airflow()
    airflow.wait_for_dag("fan_out")
    airflow.unpause("fan_out")
    run = airflow.trigger("fan_out", {"tasks": 1, "seconds": 40})

    def running() -> Object | None:
        pods = [pod for pod in task_pods(deployed, "fan_out") if pod["metadata"]["labels"].get("task_id") == "work"]
        return next((pod for pod in pods if pod["status"].get("phase") == "Running"), None)

    pod = until("the pod of task work runs", running, within=180, saying=lambda: str(airflow.task_states("fan_out", run)))
    spec, name = pod["spec"], pod["metadata"]["name"]
    assert spec["automountServiceAccountToken"] is False
    containers = [*spec.get("initContainers", []), *spec["containers"]]
    assert [container["name"] for container in containers if container.get("envFrom")] == []
    base = next(container for container in containers if container["name"] == "base")
    assert [item["name"] for item in base["env"] if "secretKeyRef" in item.get("valueFrom", {})] == []
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    secret_volumes = {name: volume["secret"]["secretName"] for name, volume in volumes.items() if "secret" in volume}
    # The git password is for git-sync alone.
    assert set(secret_volumes.values()) == {GIT_SECRET}
    mounted = [mount for mount in base["volumeMounts"] if not {"emptyDir", "persistentVolumeClaim"} & volumes[mount["name"]].keys()]
    assert not {mount["name"] for mount in mounted} & secret_volumes.keys()
    assert [volume for volume in volumes.values() if "projected" in volume] == []

    secrets = secret_values(deployed)
    assert_no_secret(json.dumps(pod), secrets, "the pod's manifest")
    environment = deployed.kubectl.execute(name, "sh", "-c", "tr '\\0' '\\n' < /proc/1/environ; env", container="base")
    assert "AIRFLOW_CONFIG=" in environment
    assert_no_secret(environment, secrets, "the environment of the task")
    for forbidden in ("SQL_ALCHEMY_CONN", "FERNET_KEY", "JWT", "SECRET_KEY"):
        assert forbidden not in environment
    paths = [mount["mountPath"] for mount in mounted]
    files = deployed.kubectl.execute(name, "sh", "-c", 'find -L "$@" -type f -exec cat {} +', "sh", *paths, container="base")
    assert "[core]" in files, "airflow.cfg is among the files"
    assert_no_secret(files, secrets, f"the files of {', '.join(paths)}")
    token = deployed.kubectl.execute(name, "sh", "-c", "ls /var/run/secrets/kubernetes.io 2>/dev/null || echo none", container="base")
    assert token.strip() == "none"
    airflow.wait_for_run("fan_out", run)


def test_git_password_is_rotated_without_a_restart(deployed: Deployment) -> None:
    selector = f"airflow-operator.dev/cluster={CLUSTER},app.kubernetes.io/component in (api-server,scheduler,dag-processor,triggerer)"

    def running() -> dict[str, list[tuple[str, int]]]:
        return {
            f"{pod['metadata']['name']} {pod['metadata']['uid']}": [
                # git-sync ends after some failures and is started again in its pod; Airflow must not notice.
                (status["name"], status["restartCount"])
                for status in pod["status"]["containerStatuses"]
                if not status["name"].startswith("git-sync")
            ]
            for pod in deployed.kubectl.list("pods", selector=selector)
        }

    before = running()
    assert len(before) == 4
    clock = Stopwatch()
    deployed.git.change_password("rotated-password")
    print(f"the server refuses the old password after {clock.seconds:.1f} s")
    deployed.write_git_secret()
    push_and_wait(deployed, "after_rotation", within=300)
    deployed.wait_until_ready()
    assert running() == before
