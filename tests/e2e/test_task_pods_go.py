"""Finished task pods that Airflow was told to keep go with their AirflowCluster."""

from __future__ import annotations

import pytest

from tests.e2e.deployment import CLUSTER, Deployment
from tests.e2e.waiting import until

pytestmark = [pytest.mark.e2e_all, pytest.mark.timeout(900)]


def test_kept_task_pods_go_with_the_cluster(another: Deployment) -> None:
    base, cluster = another.resources()
    cluster["spec"]["config"] = {"kubernetes_executor": {"delete_worker_pods": False}}
    another.kubectl.apply(base, cluster)
    another.wait_until_ready()
    another.airflow().run_dag("hello")

    def task_pods() -> list[str]:
        found = another.kubectl.list("pods", selector=f"airflow-operator.dev/cluster={CLUSTER},app.kubernetes.io/component=task")
        return [pod["status"]["phase"] for pod in found]

    until("the pods of both tasks have ended", lambda: task_pods() == ["Succeeded"] * 2, within=60, saying=lambda: str(task_pods()))
    another.kubectl("delete", "afc", CLUSTER, "--wait=true", "--timeout=120s", timeout=130)
    until("the task pods are gone", lambda: not task_pods(), within=120, saying=lambda: str(task_pods()))
