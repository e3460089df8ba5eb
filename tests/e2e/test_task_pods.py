"""Tasks that choose another pod, tasks that start pods of their own, and DAGs that lie in the image or are fetched once."""

from __future__ import annotations

import json
import secrets
import textwrap
from collections.abc import Iterator

import pytest

from devcluster.images import IMAGES
from tests.e2e import git_server
from tests.e2e.conftest import leave
from tests.e2e.deployment import CLUSTER, GIT_SECRET, Deployment
from tests.e2e.git_server import GitRepository
from tests.e2e.kubectl import Kubectl
from tests.e2e.test_dag_sources import dag_file

pytestmark = [pytest.mark.e2e_all, pytest.mark.timeout(900)]

ONCE = "over-tls"
"""The name of a source whose repository the git server has anyhow."""

DAGS = """
import os

from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.sdk import dag, task

POD = {{
    "namespace": "{namespace}",
    "image": "{image}",
    "in_cluster": True,
    "startup_timeout_seconds": 240,
    "security_context": {{"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {{"type": "RuntimeDefault"}}}},
    "container_security_context": {{"allowPrivilegeEscalation": False, "capabilities": {{"drop": ["ALL"]}}}},
}}


@dag(schedule=None)
def sizes():
    @task(executor_config={{"pod_template_file": "/opt/airflow/pod-template/big.yaml"}})
    def big() -> str:
        return os.environ.get("SIZE", "usual")

    @task
    def usual() -> str:
        return os.environ.get("SIZE", "usual")

    big()
    usual()


@dag(schedule=None)
def launches():
    KubernetesPodOperator(task_id="watched", name="watched", cmds=["echo", "words of a pod"], **POD)
    KubernetesPodOperator(task_id="deferred", name="deferred", cmds=["echo", "words of a deferred pod"], deferrable=True, **POD)


sizes()
launches()
"""


@pytest.fixture(scope="module")
def launcher(kubectl: Kubectl) -> Iterator[Deployment]:
    """A deployment with another pod template, whose tasks and triggers may start pods."""
    big = {"spec": {"containers": [{"name": "base", "env": [{"name": "SIZE", "value": "big"}]}]}}
    tasks = {"permissions": ["Pods"], "templates": [{"name": "big", "podTemplate": big}]}
    made = Deployment(kubectl, f"e2e-{secrets.token_hex(3)}", modest=True, taskPods=tasks, triggerer={"permissions": ["Pods"]})
    try:
        made.make_namespace()
        text = textwrap.dedent(DAGS).lstrip().format(namespace=made.namespace, image=IMAGES["git-server"].tag)
        made.git.commit({"dags/task_pods.py": text}, "DAGs of this test")
        made.apply()
        made.wait_until_ready()
        yield made
    finally:
        leave(made)


def test_a_task_chooses_another_pod(launcher: Deployment) -> None:
    airflow = launcher.airflow()
    run = airflow.run_dag("sizes")["dag_run_id"]
    assert airflow.xcom("sizes", run, "big") == "big"
    assert airflow.xcom("sizes", run, "usual") == "usual"


def test_tasks_and_triggers_start_pods_where_they_are_permitted(launcher: Deployment) -> None:
    airflow = launcher.airflow()
    run = airflow.run_dag("launches")["dag_run_id"]
    assert "words of a pod" in airflow.log("launches", run, "watched")
    assert "words of a deferred pod" in airflow.log("launches", run, "deferred")


def test_dags_of_the_image_and_of_a_repository_that_is_fetched_once(launcher: Deployment) -> None:
    (pod, *_) = launcher.pods("dag-processor")
    where = "import airflow, pathlib; print(pathlib.Path(airflow.__file__).parent / 'example_dags')"
    folder = launcher.kubectl.execute(pod["metadata"]["name"], "python", "-c", where).split()[-1]
    repository = GitRepository(launcher.kubectl, launcher.git.password, f"{ONCE}.git")
    try:
        repository.serve({"dags/once.py": dag_file("once", "fetched once")})
    finally:
        repository.close()
    url = f"http://{git_server.NAME}:{git_server.PORT}/{ONCE}.git"
    once = {"repo": url, "subPath": "dags", "period": "Once", "credentialsSecretRef": {"name": GIT_SECRET}}
    entries = [*launcher.cluster["spec"]["dags"], {"name": "examples", "image": {"path": folder}}, {"name": "once", "git": once}]
    launcher.kubectl("patch", "afc", CLUSTER, "--type=merge", f"--patch={json.dumps({'spec': {'dags': entries}})}")
    launcher.wait_until_ready()
    airflow = launcher.airflow()
    assert "fetched once" in airflow.log("once", airflow.run_dag("once")["dag_run_id"], "say")
    airflow.run_dag("example_simplest_dag")
    for pod in launcher.pods("dag-processor"):
        names = [container["name"] for container in pod["spec"]["containers"]]
        assert len(names) == 2, f"beside Airflow only the repository that is fetched again and again has a container: {names}"
