"""What users add to pods and change of them."""

from __future__ import annotations

import re

import pytest

from airflow_operator.domain import labels
from airflow_operator.domain.errors import InvalidSpec
from airflow_operator.reconcile.build import components, jobs, pods, task_pods
from tests.unit import factory
from tests.unit.factory import KEYS

PROXY = {"name": "proxy", "image": "proxy:1", "restartPolicy": "Always"}
SCRATCH = {"name": "scratch", "emptyDir": {}}
MOUNT = {"name": "scratch", "mountPath": "/scratch"}
OWNED = "OwnedSetting"


def scheduler(**fields):
    return components.scheduler(factory.cluster(**fields), KEYS)["spec"]["template"]


def task(**fields):
    return task_pods.template(factory.cluster(**fields))


def check(**fields):
    return jobs.check(factory.cluster(**fields), "1/1")["spec"]["template"]


def main(pod):
    return pod["spec"]["containers"][0]


EVERY = {"scheduler": scheduler, "taskPods": task, "jobs": check}
every = pytest.mark.parametrize("field", EVERY)


@every
def test_pods_is_the_default_and_the_own_field_replaces_lists(field):
    render = EVERY[field]
    other = {**PROXY, "name": "other"}
    assert [item["name"] for item in render(pods={"initContainers": [PROXY]})["spec"]["initContainers"]] == ["proxy"]
    made = render(pods={"initContainers": [PROXY]}, **{field: {"initContainers": [other]}})
    assert [item["name"] for item in made["spec"]["initContainers"]] == ["other"]
    assert "initContainers" not in render(pods={"initContainers": [PROXY]}, **{field: {"initContainers": []}})["spec"]


@every
def test_volumes_and_mounts_stand_beside_the_operators(field):
    before, made = EVERY[field](), EVERY[field](**{field: {"volumes": [SCRATCH], "volumeMounts": [MOUNT]}})
    assert made["spec"]["volumes"] == [*before["spec"]["volumes"], SCRATCH]
    assert main(made)["volumeMounts"] == [*main(before)["volumeMounts"], MOUNT]


@every
def test_security_contexts_are_laid_over_field_by_field(field):
    made = EVERY[field](pods={"podSecurityContext": {"runAsUser": 1000}}, **{field: {"securityContext": {"readOnlyRootFilesystem": True}}})
    assert made["spec"]["securityContext"] == {**pods.airflow_security(), "runAsUser": 1000}
    assert main(made)["securityContext"] == {**pods.container_security(), "readOnlyRootFilesystem": True}
    chosen = EVERY[field](pods={"podSecurityContext": {"$retainKeys": ["runAsNonRoot", "seccompProfile"]}})
    assert set(chosen["spec"]["securityContext"]) == {"runAsNonRoot", "seccompProfile"}
    assert "runAsUser" not in main(chosen)["securityContext"]


@every
def test_spread_and_overlay(field):
    spread = [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}]
    template = {"metadata": {"labels": {"team": "a"}}, "spec": {"dnsPolicy": "None"}}
    made = EVERY[field](pods={"topologySpreadConstraints": spread}, **{field: {"podTemplate": template}})
    assert made["spec"]["topologySpreadConstraints"] == spread
    assert made["spec"]["dnsPolicy"] == "None"
    assert made["metadata"]["labels"]["team"] == "a"


def test_the_own_overlay_comes_after_that_of_all_pods():
    first, last = {"spec": {"dnsPolicy": "Default", "hostname": "a"}}, {"spec": {"dnsPolicy": "None"}}
    made = scheduler(pods={"podTemplate": first}, scheduler={"podTemplate": last})["spec"]
    assert (made["dnsPolicy"], made["hostname"]) == ("None", "a")


def test_containers_of_users_are_restricted_where_they_do_not_say_otherwise():
    loose = {"name": "loose", "image": "i", "securityContext": {"runAsNonRoot": False, "runAsUser": 0}}
    made = scheduler(scheduler={"extraContainers": [{"name": "side", "image": "i"}, loose]})["spec"]["containers"]
    assert [item["name"] for item in made] == ["scheduler", "side", "loose"]
    assert made[1]["securityContext"] == pods.container_security()
    assert made[2]["securityContext"] == {**pods.container_security(), "runAsNonRoot": False, "runAsUser": 0}


def test_init_containers_come_after_git_sync():
    git = [{"git": {"repo": "https://git.example.com/etl.git"}}]
    made = task(dags=git, taskPods={"initContainers": [PROXY]})["spec"]["initContainers"]
    assert [item["name"] for item in made] == ["git-sync-init", "proxy"]


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"scheduler": {"volumes": [{"name": "config", "emptyDir": {}}]}}, "spec.scheduler.volumes: name config is taken"),
        ({"pods": {"volumes": [{"name": "logs", "emptyDir": {}}]}}, "spec.pods.volumes: name logs is taken"),
        ({"scheduler": {"extraContainers": [{"name": "scheduler"}]}}, "spec.scheduler.extraContainers: name scheduler is taken"),
        (
            {"scheduler": {"volumeMounts": [{"name": "x", "mountPath": "/opt/airflow/config"}]}},
            "spec.scheduler.volumeMounts: mountPath /opt/airflow/config is taken",
        ),
    ],
)
def test_names_of_the_operator_are_taken(spec, words):
    with pytest.raises(InvalidSpec, match=words) as raised:
        scheduler(**spec)
    assert raised.value.reason == OWNED


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"pods": {"volumes": []}}, "spec.pods.volumes, the list that this pod takes."),
        ({"pods": {"volumes": [SCRATCH]}, "scheduler": {"volumes": []}}, "spec.scheduler.volumes, the list that this pod takes."),
        ({}, "spec.pods.volumes."),
    ],
)
def test_what_is_mounted_is_a_volume_of_the_pod(spec, words):
    with pytest.raises(InvalidSpec, match=re.escape(f"spec.pods.volumeMounts: there is no volume scratch: add it to {words}")):
        scheduler(**{**spec, "pods": {**spec.get("pods", {}), "volumeMounts": [MOUNT]}})


@pytest.mark.parametrize("spec", [{"pods": {"volumes": [SCRATCH]}}, {"scheduler": {"podTemplate": {"spec": {"volumes": [SCRATCH]}}}}])
def test_a_volume_may_come_of_any_layer(spec):
    made = scheduler(**{**spec, "scheduler": {**spec.get("scheduler", {}), "volumeMounts": [MOUNT]}})
    assert SCRATCH in made["spec"]["volumes"]


def test_two_layers_do_not_give_one_name_to_two_containers():
    entry = [{"name": "b", "image": "i"}]
    with pytest.raises(InvalidSpec, match=r"spec.scheduler.extraContainers: spec.pods.initContainers has a container b too"):
        scheduler(pods={"initContainers": entry}, scheduler={"extraContainers": entry})
    assert scheduler(pods={"initContainers": entry}, scheduler={"initContainers": [], "extraContainers": entry})


def patched(**container):
    return {"spec": {"containers": [{"name": "scheduler", **container}]}}


BROKEN = {
    "account": ({"spec": {"serviceAccountName": "x"}}, "podTemplate.spec.serviceAccountName: use serviceAccount"),
    "selector": ({"metadata": {"labels": {labels.CLUSTER: "other"}}}, f"podTemplate.metadata.labels: {labels.CLUSTER} is set"),
    "label removed": ({"metadata": {"labels": {labels.COMPONENT: None}}}, f"{labels.COMPONENT} is set by the operator"),
    "checksum": ({"metadata": {"annotations": {labels.CHECKSUM: "x"}}}, f"metadata.annotations: {labels.CHECKSUM} is set"),
    "container removed": (patched(**{"$patch": "delete"}), r"containers\[scheduler\]: this container is the component itself"),
    "all containers": ({"spec": {"containers": [{"$patch": "replace"}, PROXY]}}, "this container is the component itself"),
    "image": (patched(image="other:1"), r"containers\[scheduler\].image: use spec.image"),
    "owned variable": (patched(env=[{"name": "AIRFLOW__CORE__FERNET_KEY", "value": "x"}]), "env: AIRFLOW__CORE__FERNET_KEY is set by"),
    "variable removed": (patched(env=[{"name": "AIRFLOW_CONFIG", "$patch": "delete"}]), "env: AIRFLOW_CONFIG is set by"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_the_last_word_leaves_what_the_operator_relies_on(case):
    patch, words = BROKEN[case]
    with pytest.raises(InvalidSpec, match=words) as raised:
        scheduler(scheduler={"podTemplate": patch})
    assert raised.value.reason == OWNED
    assert raised.value.message.startswith("spec.scheduler.podTemplate")


def test_tasks_may_run_in_another_image():
    patch = {"spec": {"containers": [{"name": "base", "image": "gpu:1"}]}}
    assert main(task(taskPods={"podTemplate": patch}))["image"] == "gpu:1"
    with pytest.raises(InvalidSpec, match=r"spec.taskPods.podTemplate.spec.containers\[base\]"):
        task(taskPods={"podTemplate": {"spec": {"containers": [{"name": "base", "$patch": "delete"}]}}})


def test_variables_of_a_component_come_after_those_of_all():
    secret, own = {"secretRef": {"name": "all", "optional": True}}, {"configMapRef": {"name": "own", "optional": True}}
    assert main(scheduler(envFrom=[secret], scheduler={"envFrom": [own]}))["envFrom"] == [secret, own]
    assert main(task(envFrom=[secret], taskPods={"envFrom": [own]}))["envFrom"] == [secret, own]
    assert main(check(envFrom=[secret], scheduler={"envFrom": [own]}))["envFrom"] == [secret]
    made = main(task(env=[{"name": "A", "value": "1"}], taskPods={"env": [{"name": "A", "value": "2"}]}))["env"]
    assert [item["value"] for item in made if item["name"] == "A"] == ["2"]


def test_whole_secrets_of_a_component_roll_that_component_alone():
    fields = {"scheduler": {"envFrom": [{"secretRef": {"name": "own"}}]}}

    def checksum(build, value):
        cluster = factory.cluster(**fields, references={("Secret", "own"): factory.secret("own", A=value)})
        return build(cluster, KEYS)["spec"]["template"]["metadata"]["annotations"][labels.CHECKSUM]

    assert checksum(components.scheduler, "1") != checksum(components.scheduler, "2")
    assert checksum(components.triggerer, "1") == checksum(components.triggerer, "2")


def test_git_sync_may_have_another_security_context():
    git = [{"git": {"repo": "https://git.example.com/etl.git"}}]
    made = components.dag_processor(factory.cluster(dags=git, gitSync={"securityContext": {"runAsUser": None}}), KEYS)
    context = made["spec"]["template"]["spec"]["initContainers"][0]["securityContext"]
    assert "runAsUser" not in context
    assert context["runAsNonRoot"] is True
