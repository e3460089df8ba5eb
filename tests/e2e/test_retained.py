"""An AirflowCluster is deleted and made again: with Retain it finds everything it had."""

from __future__ import annotations

import json

import pytest

from tests.e2e.airflow_client import ApiError
from tests.e2e.deployment import BASE, CLUSTER, Deployment
from tests.e2e.kubectl import Object
from tests.e2e.waiting import Stopwatch, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

CONNECTION = "retained"
PASSWORD = "only the fernet key opens this"


def stored_password(deployed: Deployment) -> str:
    """The connection's password as Airflow itself decrypts it."""
    (pod, *_) = deployed.pods("api-server")
    command = ("airflow", "connections", "get", CONNECTION, "--output", "json")
    printed = deployed.kubectl.execute(pod["metadata"]["name"], *command)
    return str(json.loads(printed[printed.index("[") :])[0]["password"])


def test_history_and_connections_outlive_the_resource(deployed: Deployment) -> None:
    airflow = deployed.airflow()
    run = airflow.run_dag("hello")["dag_run_id"]
    airflow.add_connection(CONNECTION, PASSWORD)
    keys, admin = deployed.kubectl.secret(f"{CLUSTER}-keys"), deployed.admin()
    claim = deployed.kubectl.get("pvc", f"{CLUSTER}-logs")

    clock = Stopwatch()
    deployed.kubectl("delete", "afc", CLUSTER, "--wait=true", "--timeout=120s", timeout=130)
    children = f"airflow-operator.dev/cluster={CLUSTER}"
    # Task pods belong to no object of the operator: those that run may end their work.
    servers = f"{children},app.kubernetes.io/component!=task"
    until("the pods are gone", lambda: not deployed.kubectl.list("pods", selector=servers), within=180)
    print(f"deleted after {clock.seconds:.1f} s")
    left = deployed.kubectl.list("deployments,statefulsets,jobs,services,configmaps,serviceaccounts,rolebindings", selector=children)
    assert [item["metadata"]["name"] for item in left] == []

    clock = Stopwatch()
    deployed.apply()
    deployed.wait_until_ready()
    print(f"ready again after {clock.seconds:.1f} s")
    assert deployed.kubectl.secret(f"{CLUSTER}-keys") == keys
    assert deployed.admin() == admin
    again = deployed.kubectl.get("pvc", f"{CLUSTER}-logs")
    assert claim
    assert again
    assert again["metadata"]["uid"] == claim["metadata"]["uid"]
    airflow = deployed.airflow()
    assert airflow.run("hello", run)["state"] == "success"
    assert "Hello from a task." in airflow.log("hello", run, "greet")
    assert stored_password(deployed) == PASSWORD
    with pytest.raises(ApiError, match="409"):
        airflow.add_connection(CONNECTION, "another")


def test_lost_password_of_the_server_is_set_anew(deployed: Deployment) -> None:
    name, kubectl = f"{BASE}-postgres", deployed.kubectl
    before = kubectl.secret(name)["password"]
    kubectl("delete", "secret", name)

    def renewed() -> bool:
        found, server = kubectl.get("secret", name), kubectl.get("statefulset", name)
        asked = ((server or {})["spec"]["template"]["metadata"].get("annotations") or {}).get("airflow-operator.dev/set-password")
        return bool(found) and found["metadata"]["uid"] == asked

    until("a new password is on its way into the server", renewed, within=60)
    assert kubectl.secret(name)["password"] != before
    kubectl("rollout", "status", f"statefulset/{name}", "--timeout=120s", timeout=130)
    # The administrator's next work beside the database logs in with it.
    (job,) = kubectl.list("jobs", selector="app.kubernetes.io/component=provision")
    kubectl("delete", "job", job["metadata"]["name"])
    until("provisioned anew", lambda: _succeeded(kubectl.get("job", job["metadata"]["name"])), within=120)
    deployed.wait_until_ready()


def _succeeded(job: Object | None) -> bool:
    return bool(job and job.get("status", {}).get("succeeded"))
