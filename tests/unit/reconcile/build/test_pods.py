"""The parts of pods."""

from __future__ import annotations

import pytest

from airflow_operator.api.common import Image, Resources
from airflow_operator.api.pods import PodDefaults
from airflow_operator.reconcile.build import pods


def resources(requests=None, limits=None):
    return Resources.model_validate({"requests": requests or {}, "limits": limits or {}})


def test_a_container_always_asks_for_something():
    assert pods.resources("git-sync") == {"requests": {"cpu": "10m", "memory": "32Mi"}}


def test_layers_merge_and_the_last_wins():
    made = pods.resources("task", resources({"cpu": "1"}, {"memory": "1Gi"}), resources({"cpu": "2"}), None)
    assert made == {"requests": {"cpu": "2", "memory": "1Gi"}, "limits": {"memory": "1Gi"}}


def test_a_limit_alone_is_the_request_too():
    # The default request could be above the limit, which the API server refuses.
    made = pods.resources("api-server", resources(limits={"cpu": "50m"}))
    assert made["requests"]["cpu"] == "50m"
    assert made["requests"]["memory"] == pods.REQUESTS["api-server"]["memory"]


def test_a_variable_stands_once_and_the_last_layer_wins():
    made = pods.environment([{"name": "A", "value": "1"}, {"name": "B", "value": "1"}], [{"name": "A", "value": "2"}])
    assert made == [{"name": "B", "value": "1"}, {"name": "A", "value": "2"}]


DIGEST = "sha256:" + "a" * 64
OTHER = "sha256:" + "b" * 64


@pytest.mark.parametrize(
    ("settings", "default", "expected"),
    [
        ({}, "h:5000/d:1", "h:5000/d:1"),
        ({"repository": "r"}, "d:1", "r:1"),
        ({"tag": "t"}, "d:1", "d:t"),
        ({"repository": "r", "tag": "t"}, "d:1", "r:t"),
        ({"repository": "r", "tag": "t", "digest": DIGEST}, "d:1", f"r@{DIGEST}"),
        ({}, f"d:1@{OTHER}", f"d@{OTHER}"),
        ({"tag": "t"}, f"d:1@{OTHER}", "d:t"),
        ({"digest": DIGEST}, f"d@{OTHER}", f"d@{DIGEST}"),
    ],
)
def test_an_image_is_the_default_as_far_as_nothing_else_is_named(settings, default, expected):
    assert pods.image(Image.model_validate(settings), default) == expected


def test_pull_secrets_of_all_images_stand_once():
    one = Image.model_validate_json('{"repository": "r", "pullSecrets": [{"name": "a"}, {"name": "b"}]}')
    other = Image.model_validate_json('{"repository": "r", "pullSecrets": [{"name": "b"}]}')
    assert pods.pull_secrets(one, other) == {"imagePullSecrets": [{"name": "a"}, {"name": "b"}]}
    assert pods.pull_secrets(Image(repository="r")) == {}


def test_where_pods_run_maps_merge_and_lists_replace():
    text = '{"nodeSelector": {"a": "1"}, "tolerations": [{"key": "x"}], "priorityClassName": "low", "affinity": {"podAffinity": {}}}'
    first = PodDefaults.model_validate_json(text)
    second = PodDefaults.model_validate_json('{"nodeSelector": {"b": "2"}, "tolerations": [{"key": "y"}], "priorityClassName": "high"}')
    assert pods.scheduling(first, second) == {
        "nodeSelector": {"a": "1", "b": "2"},
        "tolerations": [{"key": "y"}],
        "affinity": {"podAffinity": {}},
        "priorityClassName": "high",
    }
    assert pods.scheduling(PodDefaults()) == {}


def test_labels_of_the_last_layer_win():
    assert pods.merged_maps({"a": "1", "b": "1"}, None, {"b": "2"}) == {"a": "1", "b": "2"}
