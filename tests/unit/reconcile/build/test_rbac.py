"""Identities and rights of the pods."""

from __future__ import annotations

import pytest

from airflow_operator.reconcile.build import components, jobs, rbac, task_pods
from tests.unit import factory
from tests.unit.factory import KEYS

ARN = {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/a"}


def accounts(**fields):
    return {item["metadata"]["name"]: item["metadata"].get("annotations") for item in rbac.service_accounts(factory.cluster(**fields))}


def bindings(in_use=None, **fields):
    made = rbac.role_bindings(factory.cluster(**fields), in_use)
    return {item["metadata"]["name"]: (item["roleRef"]["name"], [each["name"] for each in item["subjects"]]) for item in made}


def pods(**fields):
    cluster = factory.cluster(**fields)
    made = {name: build(cluster, KEYS)["spec"]["template"]["spec"] for name, build in components.COMPONENTS.items()}
    return {**made, "task": task_pods.template(cluster)["spec"], "jobs": jobs.check(cluster, "1/1")["spec"]["template"]["spec"]}


COMPONENTS = ("api-server", "scheduler", "dag-processor", "triggerer")
GENERATED = ["demo-api-server", "demo-scheduler", "demo-dag-processor", "demo-triggerer", "demo-task", "demo-jobs"]
DEFAULT = {
    "demo-api-server": ("airflow-operator-log-reader", ["demo-api-server"]),
    "demo-scheduler": ("airflow-operator-executor", ["demo-scheduler"]),
}


def test_each_component_has_its_own():
    assert list(accounts()) == GENERATED
    assert {name: spec["serviceAccountName"] for name, spec in pods().items()} == {
        name: f"demo-{name}" for name in (*COMPONENTS, "task", "jobs")
    }
    assert bindings() == DEFAULT


def test_annotations_of_all_and_of_one():
    made = accounts(serviceAccount={"annotations": ARN}, taskPods={"serviceAccount": {"annotations": {"a": "b"}}})
    assert made == {**dict.fromkeys(GENERATED, ARN), "demo-task": {"a": "b"}}


def test_an_existing_account_is_used_and_not_made():
    fields = {"serviceAccount": {"name": "mine"}, "jobs": {"serviceAccount": {"annotations": ARN}}}
    assert accounts(**fields) == {"demo-jobs": ARN}
    assert {name: spec["serviceAccountName"] for name, spec in pods(**fields).items()} == {
        **dict.fromkeys((*COMPONENTS, "task"), "mine"),
        "jobs": "demo-jobs",
    }
    assert {subjects[0] for _, subjects in bindings(**fields).values()} == {"mine"}


@pytest.mark.parametrize(("field", "component"), [("taskPods", "task"), ("triggerer", "triggerer")])
def test_permissions_bring_rights_and_a_token_and_nothing_else_does(field, component):
    without, given = pods(), pods(**{field: {"permissions": ["Pods", "SparkApplications", "Pods"]}})
    tokens = {name for name, spec in without.items() if spec["automountServiceAccountToken"]}
    assert tokens == {"api-server", "scheduler"}
    assert {name for name, spec in given.items() if spec["automountServiceAccountToken"]} == tokens | {component}
    assert bindings(**{field: {"permissions": ["Pods", "SparkApplications", "Pods"]}}) == {
        **DEFAULT,
        f"demo-{component}-pods": ("airflow-operator-pod-launcher", [f"demo-{component}"]),
        f"demo-{component}-sparkapplications": ("airflow-operator-spark-launcher", [f"demo-{component}"]),
    }


def test_pods_that_run_with_another_account_keep_their_rights():
    made = bindings({"scheduler": {"old", "demo-scheduler"}}, scheduler={"serviceAccount": {"name": "mine"}})
    assert made["demo-scheduler"][1] == ["mine", "demo-scheduler", "old"]
