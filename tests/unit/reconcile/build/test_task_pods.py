"""The pod template of tasks."""

from __future__ import annotations

import json

import pytest
import yaml

from airflow_operator.domain import labels
from airflow_operator.domain.errors import InvalidSpec
from airflow_operator.reconcile.build import config, task_pods
from tests.unit import factory
from tests.unit.factory import KEYS

GIT = {"git": {"repo": "https://git.example.com/etl.git"}}


def template(**fields):
    return task_pods.template(factory.cluster(**fields))


def base(**fields):
    (made,) = template(**fields)["spec"]["containers"]
    return made


def test_a_task_holds_no_key_and_no_token():
    made = template(dags=[GIT], logs={"volume": {"claimName": "logs"}})
    text = json.dumps(made)
    for secret in (*KEYS.data.values(), "SQL_ALCHEMY", "FERNET", "JWT", "AIRFLOW__API__SECRET_KEY", "demo-keys", "demo-connection"):
        assert secret not in text
    assert made["spec"]["automountServiceAccountToken"] is False


def test_the_executor_finds_its_container():
    made = base()
    assert made["name"] == "base"
    assert "args" not in made
    assert "command" not in made


def test_a_task_reads_the_same_file_as_everything_else():
    volume = next(item for item in template()["spec"]["volumes"] if item["name"] == "config")
    assert volume["configMap"]["name"] == config.airflow_cfg(factory.cluster())["metadata"]["name"]


def test_a_task_syncs_its_dags_before_it_begins():
    made = template(dags=[GIT])["spec"]
    assert [item["name"] for item in made["initContainers"]] == ["git-sync-init"]
    assert "initContainers" not in template()["spec"]


def test_variables_of_everything_reach_tasks_and_those_of_a_component_do_not():
    made = base(
        env=[{"name": "A", "value": "1"}],
        scheduler={"env": [{"name": "B", "value": "1"}]},
        envFrom=[{"secretRef": {"name": "s", "optional": True}}],
    )
    assert {"A"} == {item["name"] for item in made["env"]} & {"A", "B"}
    assert made["envFrom"] == [{"secretRef": {"name": "s", "optional": True}}]


def test_the_operator_is_not_told_of_every_task():
    marks = template()["metadata"]["labels"]
    assert labels.MANAGED_BY not in marks
    assert marks[labels.CLUSTER] == "demo"


def test_the_overlay_has_the_last_word():
    patch = {
        "metadata": {"annotations": {"a": "1"}},
        "spec": {"containers": [{"name": "base", "resources": {"limits": {"memory": "2Gi"}}}], "hostname": "mine"},
    }
    made = template(taskPods={"podTemplate": patch})
    assert made["metadata"]["annotations"]["a"] == "1"
    assert made["spec"]["hostname"] == "mine"
    assert made["spec"]["containers"][0]["resources"]["limits"] == {"memory": "2Gi"}
    assert made["spec"]["containers"][0]["image"] == factory.IMAGE


def test_the_scheduler_reads_the_template_as_yaml_named_by_its_content():
    cluster = factory.cluster()
    made = task_pods.template_config_map(cluster)
    assert yaml.safe_load(made["data"]["pod_template.yaml"]) == task_pods.template(cluster)
    changed = task_pods.template_config_map(factory.cluster(pods={"nodeSelector": {"a": "1"}}))
    assert changed["metadata"]["name"] != made["metadata"]["name"]


GPU = {
    "name": "gpu",
    "podTemplate": {
        "spec": {
            "serviceAccountName": "trainer",
            "nodeSelector": {"accelerator": "gpu"},
            "containers": [{"name": "base", "image": "gpu:1", "resources": {"limits": {"nvidia.com/gpu": 1}}}],
        }
    },
}


def test_a_task_may_choose_another_pod():
    cluster = factory.cluster(taskPods={"templates": [GPU], "nodeSelector": {"zone": "a"}})
    files = task_pods.template_config_map(cluster)["data"]
    assert list(files) == ["pod_template.yaml", "gpu.yaml"]
    usual, gpu = (yaml.safe_load(text)["spec"] for text in files.values())
    assert (usual["nodeSelector"], gpu["nodeSelector"]) == ({"zone": "a"}, {"zone": "a", "accelerator": "gpu"})
    assert gpu["containers"][0]["image"] == "gpu:1"
    assert gpu["containers"][0]["resources"]["requests"] == usual["containers"][0]["resources"]["requests"]
    assert (usual["serviceAccountName"], gpu["serviceAccountName"]) == ("demo-task", "trainer")
    assert task_pods.trial(cluster, cluster.spec.task_pods.templates[0])["spec"]["template"]["spec"] == gpu


def test_another_pod_runs_the_task_too():
    patch = {"spec": {"containers": [{"name": "base", "$patch": "delete"}]}}
    with pytest.raises(InvalidSpec, match=r"spec.taskPods.templates\[gpu\].podTemplate.spec.containers\[base\]"):
        task_pods.template_config_map(factory.cluster(taskPods={"templates": [{"name": "gpu", "podTemplate": patch}]}))


def test_a_task_goes_with_its_deployment():
    cluster = factory.cluster()
    assert task_pods.template(cluster)["metadata"]["ownerReferences"] == [
        {"apiVersion": "airflow-operator.dev/v1alpha1", "kind": "AirflowCluster", "name": cluster.name, "uid": cluster.uid}
    ]
