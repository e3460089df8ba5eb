"""Every manifest without a cluster."""

from __future__ import annotations

import re

import pytest
import yaml

from airflow_operator.domain.errors import InvalidSpec
from airflow_operator.reconcile import keys
from airflow_operator.reconcile.offline import STAND_IN, render
from airflow_operator.settings import Settings
from tests.unit import factory
from tests.unit.strategies import resource

BASE = resource("AirflowBase", factory.BASE, "team", {"database": {"postgres": {}}})
CLUSTER = resource("AirflowCluster", factory.NAME, "team", factory.spec())


def names(manifests):
    return {(item["kind"], item["metadata"]["name"]) for item in manifests}


def test_a_base_and_its_cluster_render_together_and_alone():
    assert names(render([BASE, CLUSTER])) == names(render([BASE])) | names(render([CLUSTER]))


def test_what_a_cluster_is_made_of_follows_its_base():
    custom = resource("AirflowBase", factory.BASE, "team", {"database": {"postgres": {}}, "pods": {"labels": {"team": "db"}}})
    provision = next(item for item in render([custom, CLUSTER]) if "provision" in item["metadata"]["name"])
    assert provision["spec"]["template"]["metadata"]["labels"]["team"] == "db"


@pytest.mark.parametrize(
    "other", [None, "text", ["list"], {}, {"kind": "Secret"}, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}}]
)
def test_other_documents_are_passed_over(other):
    assert names(render([other, CLUSTER])) == names(render([CLUSTER]))


@pytest.mark.parametrize("kind", ["AirflowBase", "AirflowCluster"])
@pytest.mark.parametrize("rest", [{}, {"metadata": None, "spec": {}}, {"metadata": "x"}, {"metadata": {"name": "a"}, "spec": None}])
def test_what_is_wrong_is_a_sentence(kind, rest):
    with pytest.raises(InvalidSpec, match=r"metadata|spec"):
        render([{"apiVersion": "airflow-operator.dev/v1alpha1", "kind": kind, **rest}])


def test_the_stand_ins_have_the_form_of_keys():
    assert keys.read({"data": keys.encode(STAND_IN.data)}).data == STAND_IN.data


def test_without_an_administrator_nobody_is_made():
    quiet = resource("AirflowCluster", factory.NAME, "team", factory.spec(auth={"fab": {"admin": {"enabled": False}}}))
    assert not any("-users-" in name for _, name in names(render([quiet])))
    assert any("-users-" in name for _, name in names(render([CLUSTER])))


def images_of(*documents):
    made = render(documents, Settings(image_registry="mirror.example").platform)
    return set(re.findall(r"^ *(?:- )?image: (\S+)$", yaml.safe_dump_all(made, width=4096), re.MULTILINE))


def test_a_mirror_reaches_every_image_that_nobody_named():
    dags = [{"git": {"repo": "https://git.example/dags.git"}}]
    found = images_of(BASE, resource("AirflowCluster", factory.NAME, "team", factory.spec(dags=dags)))
    assert {image.rpartition("/")[2].partition(":")[0] for image in found} == {"airflow", "airflow-operator", "git-sync", "postgres"}
    assert all(image.startswith("mirror.example/") for image in found)


def test_an_image_that_somebody_named_is_left_alone():
    named = resource("AirflowCluster", factory.NAME, "team", factory.spec(image={"repository": "docker.io/apache/airflow"}))
    assert "docker.io/apache/airflow:3.3.2" in images_of(named)


def test_nothing_of_a_resource_that_gitops_marks_reaches_its_children():
    marks = {
        "labels": {"app.kubernetes.io/instance": "argo-application", "team": "data"},
        "annotations": {"argocd.argoproj.io/tracking-id": "argo-application:AirflowCluster"},
    }
    marked = {**CLUSTER, "metadata": {**CLUSTER["metadata"], **marks}}
    assert render([marked]) == render([CLUSTER])
    text = yaml.safe_dump_all(render([marked]))
    assert "argo-application" not in text
