"""The last-word overlay merges as Kubernetes' strategic merge patch does."""

from __future__ import annotations

from copy import deepcopy

import pytest

from airflow_operator.reconcile.build.overlay import overlay

BASE = {
    "metadata": {"labels": {"a": "1", "b": "2"}},
    "spec": {
        "nodeSelector": {"zone": "x"},
        "tolerations": [{"key": "old"}],
        "containers": [
            {"name": "base", "image": "i", "args": ["x", "y"], "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]},
            {"name": "side", "image": "s"},
        ],
        "volumes": [{"name": "logs", "emptyDir": {}}],
    },
}


def spec(**patch):
    return overlay(BASE, {"spec": patch})["spec"]


def test_nothing_changes_nothing():
    assert overlay(BASE, {}) == BASE


def test_the_base_is_not_touched():
    before = deepcopy(BASE)
    made = overlay(BASE, {"spec": {"containers": [{"name": "base", "env": [{"name": "A", "value": "9"}]}], "nodeSelector": {"n": "1"}}})
    made["spec"]["containers"][1]["image"] = "changed"
    made["metadata"]["labels"]["a"] = "changed"
    assert before == BASE


def test_maps_merge_and_null_removes():
    made = overlay(BASE, {"metadata": {"labels": {"b": None, "c": "3"}}, "spec": {"nodeSelector": None}})
    assert made["metadata"]["labels"] == {"a": "1", "c": "3"}
    assert "nodeSelector" not in made["spec"]


def test_lists_with_a_merge_key_merge_by_it():
    containers = spec(containers=[{"name": "base", "image": "new", "env": [{"name": "B", "value": "3"}, {"name": "C", "value": "4"}]}])[
        "containers"
    ]
    assert [item["name"] for item in containers] == ["base", "side"]
    assert containers[0]["image"] == "new"
    assert containers[0]["env"] == [{"name": "A", "value": "1"}, {"name": "B", "value": "3"}, {"name": "C", "value": "4"}]


def test_other_lists_are_replaced():
    assert spec(tolerations=[{"key": "new"}])["tolerations"] == [{"key": "new"}]
    assert spec(containers=[{"name": "base", "args": ["z"]}])["containers"][0]["args"] == ["z"]


def test_a_new_container_is_added():
    assert spec(containers=[{"name": "third", "image": "t", "stdin": None}])["containers"][2] == {"name": "third", "image": "t"}


def test_patch_delete_removes_an_entry_or_a_map():
    assert [item["name"] for item in spec(containers=[{"name": "side", "$patch": "delete"}])["containers"]] == ["base"]
    assert [item["name"] for item in spec(containers=[{"name": "absent", "$patch": "delete"}])["containers"]] == ["base", "side"]
    assert "nodeSelector" not in spec(nodeSelector={"$patch": "delete"})


def test_patch_replace_replaces_a_list_an_entry_or_a_map():
    assert spec(containers=[{"$patch": "replace"}, {"name": "only"}])["containers"] == [{"name": "only"}]
    assert spec(volumes=[{"name": "logs", "$patch": "replace", "hostPath": {"path": "/x"}}])["volumes"] == [
        {"name": "logs", "hostPath": {"path": "/x"}}
    ]
    assert spec(nodeSelector={"$patch": "replace", "n": "1", "m": None})["nodeSelector"] == {"n": "1"}


def test_patch_merge_is_what_happens_anyway():
    assert spec(nodeSelector={"$patch": "merge", "n": "1"})["nodeSelector"] == {"zone": "x", "n": "1"}
    assert spec(containers=[{"name": "side", "$patch": "merge", "image": "t"}])["containers"][1] == {"name": "side", "image": "t"}


def test_retain_keys_changes_the_kind_of_a_volume():
    claim = {"claimName": "mine"}
    made = spec(volumes=[{"name": "logs", "$retainKeys": ["name", "persistentVolumeClaim"], "persistentVolumeClaim": claim}])
    assert made["volumes"] == [{"name": "logs", "persistentVolumeClaim": claim}]


@pytest.mark.parametrize("patch", [{"spec": {"containers": []}}, {"spec": {"volumes": []}}])
def test_an_empty_list_adds_nothing_and_removes_nothing(patch):
    assert overlay(BASE, patch) == BASE


def test_no_directive_is_left():
    made = overlay(
        {}, {"spec": {"$patch": "merge", "volumes": [{"name": "a", "$retainKeys": ["name"], "emptyDir": {"$patch": "replace"}}]}}
    )
    assert made == {"spec": {"volumes": [{"name": "a", "emptyDir": {}}]}}
