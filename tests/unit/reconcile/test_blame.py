"""The API server's words lead to the field of the spec."""

from __future__ import annotations

import pytest

from airflow_operator.api.pods import Scheduler
from airflow_operator.reconcile.blame import field_of
from airflow_operator.reconcile.build import components
from airflow_operator.reconcile.build.custom import layers
from tests.unit import factory
from tests.unit.factory import KEYS

TYPED = "failed to create typed patch object (team/demo; apps/v1, Kind=Deployment): .spec.template.{path}: field not declared in schema"
INVALID = 'Deployment.apps "demo-scheduler" is invalid: spec.template.{path}: Required value'


def blamed(message, pods=None, **own):
    cluster = factory.cluster(pods=pods or {}, scheduler=own)
    template = components.scheduler(cluster, KEYS)["spec"]["template"]
    return field_of(message, template, "scheduler", layers(cluster, "scheduler", cluster.spec.scheduler))


def patch(**container):
    return {"podTemplate": {"spec": {"containers": [{"name": "scheduler", **container}]}}}


@pytest.mark.parametrize(
    ("message", "own", "field"),
    [
        (TYPED.format(path='spec.containers[name="scheduler"].imagee'), patch(imagee="x"), "podTemplate"),
        (INVALID.format(path="spec.containers[0].livenessProbe.periodSeconds"), patch(livenessProbe={"periodSeconds": -1}), "podTemplate"),
        (INVALID.format(path="spec.containers[1].image"), {"podTemplate": {"spec": {"containers": [{"name": "new"}]}}}, "podTemplate"),
        (INVALID.format(path="spec.containers[1].image"), {"extraContainers": [{"name": "side"}]}, "extraContainers"),
        (TYPED.format(path='spec.containers[name="side"].imagee'), {"extraContainers": [{"name": "side"}]}, "extraContainers"),
        (TYPED.format(path='spec.initContainers[name="first"].x'), {"initContainers": [{"name": "first"}]}, "initContainers"),
        (TYPED.format(path='spec.volumes[name="data"].persistentVolume'), {"volumes": [{"name": "data"}]}, "volumes"),
        (INVALID.format(path="spec.containers[0].volumeMounts[9].name"), {"volumeMounts": [{"mountPath": "/a"}]}, "volumeMounts"),
        (TYPED.format(path="spec.affinity.nodeAffinity.x"), {"affinity": {"nodeAffinity": {"x": 1}}}, "affinity"),
        (INVALID.format(path="spec.tolerations[0].operator"), {"tolerations": [{"operator": "x"}]}, "tolerations"),
        (INVALID.format(path="spec.topologySpreadConstraints[0].x"), {"topologySpreadConstraints": [{}]}, "topologySpreadConstraints"),
        (TYPED.format(path="spec.securityContext.runAs"), {"podSecurityContext": {"runAs": 1}}, "podSecurityContext"),
        (TYPED.format(path='spec.containers[name="scheduler"].securityContext.x'), {"securityContext": {"x": 1}}, "securityContext"),
        (INVALID.format(path="metadata.labels"), {"labels": {"a": "b"}}, "labels"),
        (INVALID.format(path="metadata.labels"), {"podTemplate": {"metadata": {"labels": {"a": "b c"}}}}, "podTemplate"),
    ],
)
def test_the_field_that_says_it(message, own, field):
    assert blamed(message, **own) == f"spec.scheduler.{field}"
    if field not in ("extraContainers",):
        assert blamed(message, pods=own) == f"spec.pods.{field}"


def test_the_last_layer_wins():
    message = INVALID.format(path="spec.tolerations[0].operator")
    assert blamed(message, pods={"tolerations": [{"operator": "x"}]}, tolerations=[{"operator": "y"}]) == "spec.scheduler.tolerations"


def test_a_field_of_another_layer_is_not_blamed_for_an_entry_that_it_does_not_have():
    message = TYPED.format(path='spec.volumes[name="data"].persistentVolume')
    assert (
        blamed(message, pods={"podTemplate": {"spec": {"volumes": [{"name": "data"}]}}}, volumes=[{"name": "x"}]) == "spec.pods.podTemplate"
    )


def test_git_sync_and_words_without_a_path():
    assert blamed(TYPED.format(path='spec.containers[name="git-sync"].securityContext.x')) == "spec.gitSync"
    assert blamed("admission webhook said no") == "spec.scheduler"
    assert field_of("x", {}, "a", [("spec.pods", Scheduler())]) == "spec.pods"
