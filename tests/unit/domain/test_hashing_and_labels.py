"""Digests and labels."""

from __future__ import annotations

import re

from airflow_operator.domain import hashing, labels
from airflow_operator.domain.kinds import CHILD_KINDS, JOB, kind_of
from airflow_operator.domain.manifest import ObjectKey, dig, key_of


def test_equal_data_has_an_equal_digest_whatever_its_order():
    assert hashing.digest({"a": 1, "b": [1, 2]}) == hashing.digest({"b": [1, 2], "a": 1})
    assert hashing.digest([1, 2]) != hashing.digest([2, 1])
    assert re.fullmatch("[0-9a-f]{10}", hashing.digest("x"))


def test_a_keyed_digest_depends_on_its_key():
    assert hashing.keyed_digest(b"one", "weak") != hashing.keyed_digest(b"other", "weak")
    assert hashing.keyed_digest(b"one", "weak") == hashing.keyed_digest(b"one", "weak")
    assert hashing.digest("weak", 16) != hashing.keyed_digest(b"", "weak")


def test_a_retained_object_is_not_taken_for_argo_cds_own():
    kept = labels.retained(labels.of_cluster("prod", "keys"))
    assert labels.INSTANCE not in kept
    assert kept[labels.RETAINED] == "true"
    assert kept[labels.CLUSTER] == "prod"


def test_selectors_are_among_the_labels():
    assert labels.selector("prod", "scheduler").items() <= labels.of_cluster("prod", "scheduler").items()


def test_kinds_are_applied_before_what_needs_them():
    order = [kind.kind for kind in CHILD_KINDS]
    for needed in ("ServiceAccount", "Secret", "ConfigMap", "PersistentVolumeClaim", "Service"):
        assert max(order.index(needed), order.index("Job")) == order.index("Job")
        assert order.index(needed) < order.index("StatefulSet")
    assert kind_of({"apiVersion": "batch/v1", "kind": "Job"}) == JOB


def test_an_object_is_known_by_kind_namespace_and_name():
    key = key_of({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a", "namespace": "n"}})
    assert key == ObjectKey("v1", "Secret", "n", "a")
    assert str(key) == "Secret n/a"
    assert str(ObjectKey("v1", "Namespace", "", "n")) == "Namespace n"


def test_dig_finds_what_is_there_and_nothing_else():
    live = {"a": {"b": [{"c": 1}], "none": None}}
    assert dig(live, "a", "b", 0, "c") == 1
    assert dig(live, "a", "none", default={}) == {}
    assert dig(live, "a", "b", 5, "c", default="x") == "x"
    assert dig(None, "a") is None
