"""What the apply engine does when requests fail; what it writes is proven on a real API server (tests/integration)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from airflow_operator.domain import labels
from airflow_operator.domain.errors import InvalidSpec
from airflow_operator.domain.manifest import Kind, Live, Manifest
from airflow_operator.kube.errors import AlreadyExists, ApiError, Conflict, Forbidden, Invalid, NotFound, Unavailable
from airflow_operator.reconcile.apply import Desired, apply

OWNER: Manifest = {
    "apiVersion": "airflow-operator.dev/v1alpha1",
    "kind": "AirflowCluster",
    "metadata": {"name": "demo", "namespace": "n", "uid": "u"},
}


def child(kind: str, name: str, **content: Any) -> Manifest:
    group = {"Deployment": "apps/v1", "StatefulSet": "apps/v1", "Job": "batch/v1"}.get(kind, "v1")
    reference = {"apiVersion": "x/v1", "kind": "AirflowCluster", "name": "demo", "uid": "u", "controller": True}
    metadata = {"name": name, "namespace": "n", "labels": labels.of_cluster("demo", "x"), "ownerReferences": [reference]}
    return {"apiVersion": group, "kind": kind, "metadata": metadata, **content}


class ScriptedKube:
    """Answers as the test says; everything that it was asked is in `asked`."""

    def __init__(self, refuse: Callable[[str, str], ApiError | None] = lambda verb, name: None) -> None:
        self.asked: list[str] = []
        self.finished: list[str] = []
        self.existing: dict[str, Live] = {}
        self._refuse = refuse

    async def _ask(self, verb: str, name: str) -> None:
        self.asked.append(f"{verb} {name}")
        # Others get their turn, as with a real request.
        await asyncio.sleep(0)
        if error := self._refuse(verb, name):
            raise error
        await asyncio.sleep(0)
        self.finished.append(f"{verb} {name}")

    async def get(self, kind: Kind, namespace: str, name: str) -> Live | None:
        await self._ask("get", name)
        return self.existing.get(name)

    async def apply(self, manifest: Manifest, *, manager: str = "", dry_run: bool = False, new: bool = False) -> Live:
        await self._ask("try" if dry_run else "apply", manifest["metadata"]["name"])
        if new and manifest["metadata"]["name"] in self.existing:
            raise AlreadyExists(409, "AlreadyExists", "it is there")
        return {**manifest, "metadata": {**manifest["metadata"], "resourceVersion": "2"}}

    async def patch(self, kind: Kind, namespace: str, name: str, operations: Sequence[dict[str, Any]]) -> Live:
        await self._ask("patch", name)
        return self.existing[name]

    async def delete(self, kind: Kind, namespace: str, name: str, *, uid: str = "", propagation: str = "Background") -> None:
        await self._ask(f"delete {propagation}", name)
        self.existing.pop(name, None)


def refusing(error: ApiError, verb: str, name: str) -> Callable[[str, str], ApiError | None]:
    return lambda asked, of: error if (asked, of) == (verb, name) else None


async def run(kube: ScriptedKube, *objects: Manifest, children: Sequence[Live] = (), **more: Any) -> Any:
    # mypy does not look at tests; of the Protocol only what the engine uses is there.
    return await apply(kube, Desired(objects, **more), children, owner=OWNER)  # type: ignore[arg-type]


async def test_what_runs_pods_begins_when_all_else_is_done() -> None:
    kube = ScriptedKube()
    await run(kube, child("Deployment", "d"), child("Secret", "s2"), child("ServiceAccount", "a"), child("Job", "j"), child("Secret", "s1"))
    assert [request for request in kube.asked if request.startswith("apply")] == [f"apply {name}" for name in ("s2", "a", "s1", "d", "j")]


@pytest.mark.parametrize("error", [Unavailable(503, "ServiceUnavailable", "busy", 3.0), Conflict(409, "Conflict", "moved")])
async def test_what_is_worth_another_try_is_raised_when_the_others_are_done(error: ApiError) -> None:
    kube = ScriptedKube(refusing(error, "apply", "s1"))
    with pytest.raises(type(error)) as raised:
        await run(kube, child("Secret", "s1"), child("Secret", "s2"), child("Deployment", "d"))
    assert raised.value is error
    assert "apply s2" in kube.finished
    assert "apply d" not in kube.asked


@pytest.mark.parametrize(
    "error", [Forbidden(403, "Forbidden", "exceeded quota"), Invalid(422, "Invalid", "no"), NotFound(404, "NotFound", "gone")]
)
async def test_a_refusal_is_reported_and_the_rest_goes_on(error: ApiError) -> None:
    kube = ScriptedKube(refusing(error, "apply", "s1"))
    applied = await run(kube, child("Secret", "s1"), child("Deployment", "d"))
    (refusal,) = applied.refused
    assert (refusal.key.name, refusal.reason) == ("s1", type(error).__name__)
    assert refusal.message == f"The API server refused Secret n/s1: {error.message}"
    assert [key.name for key in applied.changed] == ["d"]


async def test_names_are_not_looked_up_where_nothing_was_ever_made() -> None:
    kube = ScriptedKube()
    theirs: Live = {**child("Service", "theirs"), "metadata": {"name": "theirs", "namespace": "n", "uid": "1"}}
    kube.existing = {"theirs": theirs}
    applied = await run(kube, child("Service", "mine"), child("Service", "theirs"), first=True)
    assert sorted(kube.asked) == ["apply mine", "apply theirs", "get theirs"]
    assert [(refusal.key.name, refusal.reason) for refusal in applied.refused] == [("theirs", "NameConflict")]
    assert [key.name for key in applied.live] == ["mine"]


async def test_what_appears_between_the_look_and_the_write_is_not_taken_over() -> None:
    class Hurried(ScriptedKube):
        async def apply(self, manifest: Manifest, **options: Any) -> Live:
            self.existing.setdefault("s", {**child("Service", "s"), "metadata": {"name": "s", "namespace": "n", "uid": "1"}})
            return await super().apply(manifest, **options)

    kube = Hurried()
    applied = await run(kube, child("Service", "s"))
    assert kube.asked == ["get s", "apply s", "get s"]
    assert [refusal.reason for refusal in applied.refused] == ["NameConflict"]


async def test_own_object_that_was_not_listed_is_brought_to_its_desire() -> None:
    kube = ScriptedKube()
    kube.existing = {"s": {**child("Service", "s"), "spec": {"type": "NodePort"}}}
    kube.existing["s"]["metadata"] = {**kube.existing["s"]["metadata"], "resourceVersion": "1"}
    applied = await run(kube, child("Service", "s"), first=True)
    assert kube.asked == ["apply s", "get s", "apply s"]
    assert [key.name for key in applied.changed] == ["s"]
    assert not applied.refused


async def test_trial_of_what_is_there_already_is_of_the_change() -> None:
    kube = ScriptedKube()
    kube.existing = {"s": {**child("Service", "s"), "spec": {"type": "NodePort"}}}
    await run(kube, child("Service", "s"), first=True, prove=True)
    assert kube.asked[:3] == ["try s", "get s", "try s"]


async def test_nothing_is_written_when_a_trial_is_refused() -> None:
    kube = ScriptedKube(refusing(Forbidden(403, "Forbidden", "exceeded quota"), "try", "d"))
    with pytest.raises(InvalidSpec, match="exceeded quota") as raised:
        await run(kube, child("Secret", "s"), child("Deployment", "d"), prove=True)
    assert raised.value.reason == "Refused"
    assert not [request for request in kube.asked if request.startswith(("apply", "patch", "delete"))]


async def test_a_trial_that_gets_no_answer_is_no_verdict_on_the_spec() -> None:
    kube = ScriptedKube(refusing(Unavailable(0, "NoAnswer", "?"), "try", "d"))
    with pytest.raises(Unavailable):
        await run(kube, child("Deployment", "d"), prove=True)


@pytest.mark.parametrize(
    ("kind", "requests"),
    [
        ("Job", ["apply x", "try x-anew", "delete Background x", "get x", "apply x"]),
        ("StatefulSet", ["apply x", "try x-anew", "delete Orphan x", "get x", "apply x"]),
        ("Deployment", ["apply x"]),
        ("PersistentVolumeClaim", ["apply x"]),
        ("Secret", ["apply x"]),
    ],
)
async def test_only_some_kinds_are_replaced_when_a_change_is_refused(kind: str, requests: list[str]) -> None:
    kube = ScriptedKube(
        lambda verb, name: Invalid(422, "Invalid", "immutable") if verb == "apply" and kube.asked.count("apply x") == 1 else None
    )
    old = child(kind, "x")
    kube.existing["x"] = old
    applied = await run(kube, child(kind, "x"), children=[old])
    assert kube.asked == requests
    assert bool(applied.refused) == (len(requests) == 1)


async def test_an_object_that_is_wrong_in_itself_is_not_replaced() -> None:
    kube = ScriptedKube(lambda verb, name: Invalid(422, "Invalid", "wrong") if verb in ("apply", "try") else None)
    old = child("Job", "x")
    applied = await run(kube, child("Job", "x"), children=[old])
    assert kube.asked == ["apply x", "try x-anew"]
    assert [refusal.reason for refusal in applied.refused] == ["Invalid"]


def injected(version: str) -> Live:
    template = {"spec": {"containers": [{"name": "c", "env": [{"name": "X", "value": "1"}]}]}}
    fields = {
        "f:spec": {"f:template": {"f:spec": {"f:containers": {'k:{"name":"c"}': {"f:env": {'k:{"name":"X"}': {".": {}, "f:name": {}}}}}}}}
    }
    live = child("Deployment", "d", spec={"template": template})
    live["metadata"] |= {
        "resourceVersion": version,
        "managedFields": [{"manager": "kubectl", "operation": "Update", "apiVersion": "apps/v1", "fieldsV1": fields}],
    }
    return live


async def test_a_removal_that_comes_too_late_looks_again_and_gives_up_in_the_end() -> None:
    kube = ScriptedKube(lambda verb, name: Conflict(409, "Conflict", "moved") if verb == "patch" else None)
    kube.existing["d"] = injected("2")
    wanted = child("Deployment", "d", spec={"template": {"spec": {"containers": [{"name": "c"}]}}})
    with pytest.raises(Conflict):
        await run(kube, wanted, children=[injected("1")])
    assert kube.asked == ["patch d", "get d", "patch d", "get d", "patch d"]


async def test_a_failed_delete_is_raised_and_tried_again_by_the_loop() -> None:
    kube = ScriptedKube(refusing(Unavailable(503, "ServiceUnavailable", "busy"), "delete Background", "old"))
    with pytest.raises(Unavailable):
        await run(kube, children=[child("ConfigMap", "old")])
