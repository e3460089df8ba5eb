"""Volumes with DAGs: who can mount them."""

from __future__ import annotations

import pytest

from airflow_operator.domain.errors import Waiting
from airflow_operator.reconcile import dag_volumes
from tests.unit import factory


def cluster(*modes):
    live = {"kind": "PersistentVolumeClaim", "metadata": {"name": "dags"}, "spec": {"accessModes": list(modes)}}
    references = {("PersistentVolumeClaim", "dags"): live}
    return factory.cluster(references=references, dags=[{"volume": {"claimName": "dags"}}])


@pytest.mark.parametrize("modes", [("ReadWriteMany",), ("ReadOnlyMany",), ("ReadWriteOnce", "ReadOnlyMany")])
def test_a_claim_for_many_nodes_is_shared(modes):
    found = dag_volumes.shared(cluster(*modes))
    assert (found.status, found.reason) == ("True", "Shared")


def test_a_claim_for_one_node_is_told_of_with_who_mounts_it():
    found = dag_volumes.shared(cluster("ReadWriteOnce"))
    assert (found.status, found.reason) == ("False", "OneNodeOnly")
    assert "PersistentVolumeClaim dags" in found.message
    assert "task pods mount it" in found.message


def test_a_claim_for_one_pod_is_waited_for():
    with pytest.raises(Waiting, match=r"spec\.dags\[dags-folder\]\.volume names PersistentVolumeClaim dags") as told:
        cluster("ReadWriteOncePod")
    assert told.value.reason == "ClaimNotShared"


def test_a_claim_that_is_not_there_is_waited_for():
    with pytest.raises(Waiting, match="PersistentVolumeClaim dags, which does not exist"):
        factory.cluster(dags=[{"volume": {"claimName": "dags"}}])


def test_without_a_volume_there_is_nothing_to_say():
    assert dag_volumes.shared(factory.cluster()) is None
