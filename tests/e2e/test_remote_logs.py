"""The log of a finished task is read from a real S3-compatible store, when its pod has long gone."""

from __future__ import annotations

import pytest

from tests.e2e import servers
from tests.e2e.deployment import CLUSTER, Deployment
from tests.e2e.kubectl import condition
from tests.e2e.waiting import until

pytestmark = [pytest.mark.e2e_all, pytest.mark.timeout(900)]

BUCKET = "airflow-logs"
CONNECTION = f"aws://key:s3cr3t@/?endpoint_url=http%3A%2F%2F{servers.STORE}%3A{servers.PORT}&region_name=us-east-1"


def make_bucket(deployed: Deployment) -> None:
    """The bucket, made by a plain request: the store knows no strangers."""
    program = f"import urllib.request as r; r.urlopen(r.Request('http://127.0.0.1:{servers.PORT}/{BUCKET}', method='PUT'))"
    deployed.kubectl.execute(f"deployment/{servers.STORE}", "python", "-c", program)


def keys(deployed: Deployment) -> str:
    """What the store says of the bucket."""
    program = f"import urllib.request as r; print(r.urlopen('http://127.0.0.1:{servers.PORT}/{BUCKET}?list-type=2').read().decode())"
    return deployed.kubectl.execute(f"deployment/{servers.STORE}", "python", "-c", program)


def test_the_log_of_a_finished_task_is_read_from_the_store(another: Deployment) -> None:
    servers.run_store(another.kubectl)
    make_bucket(another)
    another.kubectl.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "log-store"}, "stringData": {"uri": CONNECTION}})
    base, cluster = another.resources()
    cluster["spec"]["logs"] = {
        "remote": {"url": f"s3://{BUCKET}/etl", "connectionId": "log_store", "connectionSecretRef": {"name": "log-store", "key": "uri"}}
    }
    another.kubectl.apply(base, cluster)
    another.wait_until_ready()
    persistent = condition(another.cluster, "TaskLogsPersistent")
    assert (persistent["status"], persistent["reason"]) == ("True", "Remote")

    airflow = another.airflow()
    run = airflow.run_dag("hello")["dag_run_id"]
    gone = f"airflow-operator.dev/cluster={CLUSTER},app.kubernetes.io/component=task"
    until("the task pods are gone", lambda: not another.kubectl.list("pods", selector=gone), within=120)
    assert "Hello from a task." in airflow.log("hello", run, "greet")
    assert "dag_id=hello" in keys(another)
