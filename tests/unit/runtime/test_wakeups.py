"""From what changed to whom it concerns."""

from __future__ import annotations

from airflow_operator.domain.kinds import AIRFLOW_BASE, AIRFLOW_CLUSTER
from airflow_operator.runtime.wakeups import References, Resource, Wakeups

C = Resource(AIRFLOW_CLUSTER, "team", "c")
B = Resource(AIRFLOW_BASE, "platform", "b")
PREFIX = "airflow-operator.dev"


def test_labels_name_the_owner() -> None:
    wakeups = Wakeups()
    cluster, base = wakeups.flag(C), wakeups.flag(B)
    wakeups.wake_owner("team", {f"{PREFIX}/cluster": "c"})
    assert cluster.is_set()
    assert not base.is_set()
    cluster.clear()
    wakeups.wake_owner("platform", {f"{PREFIX}/cluster": "c", f"{PREFIX}/cluster-namespace": "team", f"{PREFIX}/base": "b"})
    assert cluster.is_set()
    assert base.is_set()


def test_same_name_elsewhere_is_not_meant() -> None:
    wakeups = Wakeups()
    flag = wakeups.flag(C)
    wakeups.wake_owner("other", {f"{PREFIX}/cluster": "c"})
    wakeups.wake_owner("team", {f"{PREFIX}/base": "c"})
    wakeups.wake_owner("team", {})
    assert not flag.is_set()


def test_cluster_moves_to_another_base() -> None:
    wakeups = Wakeups()
    flag, other = wakeups.flag(C), Resource(AIRFLOW_BASE, "platform", "b2")
    wakeups.tie(C, B)
    wakeups.tie(C, other)
    wakeups.wake_clusters_of(B)
    assert not flag.is_set()
    wakeups.wake_clusters_of(other)
    assert flag.is_set()


def test_waking_who_is_not_served_leaves_nothing_behind() -> None:
    wakeups = Wakeups()
    wakeups.wake(C)
    assert not wakeups.flag(C).is_set()


def test_references_are_replaced_as_a_whole() -> None:
    references = References()
    references.set("team", "c", {("Secret", "git"), ("ConfigMap", "git")})
    references.set("team", "d", {("Secret", "git")})
    assert set(references.users("Secret", "team", "git")) == {C, Resource(AIRFLOW_CLUSTER, "team", "d")}
    assert references.users("Secret", "other", "git") == ()
    references.set("team", "c", {("ConfigMap", "git")})
    assert references.users("Secret", "team", "git") == (Resource(AIRFLOW_CLUSTER, "team", "d"),)
    references.set("team", "d", ())
    assert references.users("Secret", "team", "git") == ()
    references.set("platform", "b", {("Secret", "admin")}, kind=AIRFLOW_BASE)
    assert references.users("Secret", "platform", "admin") == (B,)
