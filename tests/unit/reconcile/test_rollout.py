"""The order of a change."""

from __future__ import annotations

import pytest

from airflow_operator.domain.manifest import key_of
from airflow_operator.reconcile import rollout
from airflow_operator.reconcile.plan import components
from tests.unit import factory
from tests.unit.factory import KEYS

OLD = components(factory.cluster(), KEYS)
NEW = components(factory.cluster(env=[{"name": "A", "value": "1"}]), KEYS)


def names(items):
    return [(item if isinstance(item, tuple) else key_of(item)).name for item in items]


def after(now, live, **status):
    """The picture after the API server took what was applied: its controller has begun."""
    changed = {key_of(item): factory.live(item, **status) for item in now}
    return {**live, **{key: item for key, item in changed.items() if not rollout.same_template(item, live[key])}}


def test_a_first_creation_is_all_at_once():
    now, held = rollout.in_order(NEW, {})
    assert (len(now), held) == (4, [])


def test_what_is_missing_is_made_at_once_whatever_rolls():
    live = {key_of(item): factory.live(item) for item in OLD[:2]}
    now, held = rollout.in_order(NEW, live)
    assert names(now) == ["demo-api-server", "demo-dag-processor", "demo-triggerer"]
    assert names(held) == ["demo-scheduler"]


def test_a_change_goes_from_one_component_to_the_next():
    live = {key_of(item): factory.live(item) for item in OLD}
    turns = []
    for _ in range(4):
        now, held = rollout.in_order(NEW, live)
        begun = [item for item in now if not rollout.same_template(item, live[key_of(item)])]
        turns.append(names(begun))
        rolling = after(now, live, updatedReplicas=0)
        # While the one rolls nothing else begins.
        assert names(rollout.in_order(NEW, rolling)[1]) == names(held)
        live = after(now, live)
    assert turns == [["demo-api-server"], ["demo-scheduler"], ["demo-dag-processor"], ["demo-triggerer"]]
    assert rollout.in_order(NEW, live)[1] == []


def test_nothing_is_held_where_nothing_changes_though_one_is_not_ready():
    live = {key_of(item): factory.live(item, ready=0) for item in OLD}
    assert rollout.in_order(OLD, live)[1] == []


def test_a_change_of_replicas_alone_is_never_held():
    live = {key_of(item): factory.live(item, ready=0) for item in OLD}
    scaled = components(factory.cluster(scheduler={"replicas": 5}), KEYS)
    now, held = rollout.in_order(scaled, live)
    assert (len(now), held) == (4, [])
    assert next(item for item in now if item["metadata"]["name"] == "demo-scheduler")["spec"]["replicas"] == 5


def test_a_change_of_one_component_does_not_wait_for_those_after_it():
    live = {key_of(item): factory.live(item) for item in OLD}
    live[key_of(OLD[3])] = factory.live(OLD[3], ready=0)
    changed = components(factory.cluster(dagProcessor={"env": [{"name": "A", "value": "1"}]}), KEYS)
    assert rollout.in_order(changed, live)[1] == []


@pytest.mark.parametrize(
    ("status", "done"),
    [
        ({}, True),
        ({"observedGeneration": 0}, False),
        ({"updatedReplicas": 1}, False),
        ({"replicas": 3}, False),
        ({"availableReplicas": 1}, False),
    ],
)
def test_a_deployment_has_settled_when_only_new_pods_are_left_and_ready(status, done):
    scheduler = components(factory.cluster(scheduler={"replicas": 2}), KEYS)[1]
    assert rollout.settled(factory.live(scheduler, **status)) is done


def test_a_stateful_set_without_an_update_has_settled():
    triggerer = factory.live(OLD[3], updatedReplicas=0, currentRevision="a", updateRevision="a")
    assert rollout.settled(triggerer)
    assert not rollout.settled(factory.live(OLD[3], updatedReplicas=0, currentRevision="a", updateRevision="b"))


def test_a_component_that_is_scaled_to_zero_has_settled():
    nobody = factory.live(components(factory.cluster(scheduler={"replicas": 0}), KEYS)[1])
    nobody["status"] = {"observedGeneration": 1}
    assert rollout.settled(nobody)
    assert rollout.ready_of(nobody) == 0
    assert rollout.ready_of(None) == 0


def git(**fields):
    return {"dags": [{"git": {"repo": "https://git.example.com/a.git", **fields}}]}


def order(before, after):
    live = {key_of(item): factory.live(item) for item in components(factory.cluster(**before), KEYS)}
    return [name.removeprefix("demo-") for name in names(rollout.proving_dags_first(components(factory.cluster(**after), KEYS), live))]


USUAL = ["api-server", "scheduler", "dag-processor", "triggerer"]


@pytest.mark.parametrize("change", [{"ref": "wrong"}, {"repo": "https://git.example.com/b.git"}, {"submodules": "Off"}, {}])
def test_where_dags_come_from_is_proven_before_tasks_follow(change):
    assert order(git(ref="main"), git(ref="main", **change) if "ref" not in change else git(**change)) == [
        "api-server",
        "dag-processor",
        "scheduler",
        "triggerer",
    ]


@pytest.mark.parametrize(
    "after",
    [
        {"dags": [*git()["dags"], {"name": "more", **git()["dags"][0]}]},
        {"dags": []},
        {**git(subPath="elsewhere")},
        {**git(), "image": {"tag": "3.3.2-custom"}},
    ],
    ids=["new entry", "no entry", "another folder", "another image"],
)
def test_another_configuration_or_image_reaches_the_schedulers_first(after):
    assert order(git(), after) == USUAL


def test_without_a_scheduler_there_is_nothing_to_prove_for():
    assert names(rollout.proving_dags_first(NEW, {})) == [f"demo-{name}" for name in USUAL]


def test_a_wrong_ref_holds_the_schedulers_back():
    old, new = components(factory.cluster(**git(ref="main")), KEYS), components(factory.cluster(**git(ref="wrong")), KEYS)
    live = {key_of(item): factory.live(item) for item in old}
    now, held = rollout.in_order(rollout.proving_dags_first(new, live), live)
    assert "demo-dag-processor" in names(now)
    assert names(held) == ["demo-scheduler", "demo-triggerer"]
