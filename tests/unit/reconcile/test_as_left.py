"""What goes into the digest of a look: all that a later look could make something else of."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from airflow_operator.domain import labels
from airflow_operator.domain.manifest import key_of
from airflow_operator.reconcile.around import Around
from airflow_operator.reconcile.as_left import digest_of
from airflow_operator.reconcile.observe_base import SeenBase
from airflow_operator.reconcile.types import Health
from tests.unit import factory

STATUS = {"phase": "Running", "components": []}


def child(name: str = "a", version: str = "1", **marks: str) -> dict[str, Any]:
    meta = {"name": name, "namespace": "team", "uid": f"uid of {name}", "resourceVersion": version}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {**meta, "labels": {labels.MANAGED_BY: labels.MANAGER, **marks}}}


def task_pod(version: str) -> dict[str, Any]:
    return {**child("task", version, **{labels.COMPONENT: labels.TASK}), "kind": "Pod"}


def of(*children: dict[str, Any], status: Any = STATUS, program: str = "p", **seen: Any) -> str:
    written, gone = seen.pop("written", ()), seen.pop("gone", ())
    shown = {"around": "1", "health": Health(), "children": children or (child(),), **seen}
    return digest_of(program, replace(factory.seen(), **shown), written, gone)(status)


SAME = of()


@pytest.mark.parametrize(
    "other",
    [
        of(child(version="2")),
        of(child(), child("b")),
        of(pods=(child("pod"),)),
        of(provisioning=(child("keys-copy"), {**child("job-pod"), "kind": "Pod"})),
        of(status={**STATUS, "phase": "Degraded"}),
        of(program="q"),
        of(around="2"),
        of(health=Health(reachable=True, components={"scheduler": "unhealthy"})),
        of(resource=factory.resource() | {"metadata": {**factory.resource()["metadata"], "generation": 4}}),
        of(resource=factory.resource() | {"metadata": {**factory.resource()["metadata"], "annotations": {"a": "b"}}}),
    ],
    ids=["version", "object", "pod", "beside the base", "status", "operator", "around", "health", "generation", "annotation"],
)
def test_differs_wherever_something_differs(other: str) -> None:
    assert other != SAME


def test_the_versions_are_those_after_the_look() -> None:
    assert of(written=(child(version="2"), child(version="3"))) == of(child(version="3"))
    assert of(written=(child("b"),)) == of(child(), child("b"))
    assert of(child(), child("b"), gone={key_of(child("b"))}) == SAME


def test_is_the_same_whatever_the_watches_do_not_tell() -> None:
    meta = factory.resource()["metadata"]
    written = {**factory.resource(), "metadata": {**meta, "resourceVersion": "9", "managedFields": [{}]}}
    assert of(resource=written) == SAME, "each status is a new version"
    assert of(status={**STATUS, "observedDigest": "x"}) == SAME
    assert of(pods=(task_pod("1"),)) == of(pods=(task_pod("2"),)) == SAME
    unlabelled = {**child("b"), "metadata": {**child("b")["metadata"], "labels": {}}}
    assert of(child(), unlabelled) == SAME


def around(base: dict[str, Any] | None = None, **changes: Any) -> str:
    seen = SeenBase(**{"live": base or factory.base(), "claims": (factory.CLAIM,), **changes.pop("of_base", {})})
    own = {"name": "team", "uid": "n", "labels": {"a": "b"}}
    return Around(**{"own": own, "base": seen, "references": {("Secret", "s"): child("s")}, **changes}).version


@pytest.mark.parametrize(
    "other",
    [
        around(own={"name": "team", "uid": "n", "labels": {"a": "c"}}),
        around(own={"name": "team", "uid": "m", "labels": {"a": "b"}}),
        around(own={"name": "team", "uid": "n", "labels": {"a": "b"}, "deletionTimestamp": "now"}),
        around(references={("Secret", "s"): child("s", "2")}),
        around(references={("Secret", "s"): None}),
        around(references={("ConfigMap", "s"): child("s")}),
        around(factory.base(generation=2)),
        around(factory.base(ready="False")),
        around(factory.base(uid="another")),
        around(of_base={"claims": ()}),
        around(of_base={"ca": child("ca")}),
        around(of_base={"refused": "no"}),
        around(of_base={"namespace_going": True}),
    ],
)
def test_what_is_around_differs_wherever_something_differs(other: str) -> None:
    assert other != around()


def test_how_many_clusters_a_base_has_concerns_none_of_them() -> None:
    base = factory.base()
    assert around({**base, "status": {**base["status"], "clusters": 5}}) == around()
