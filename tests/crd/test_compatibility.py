"""What counts as a breaking change of a resource, and what does not."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from airflow_operator.api.registry import RESOURCES, CustomResource
from airflow_operator.crdgen.compatibility import breaking_changes, main
from airflow_operator.crdgen.emit import NOTICE, crd_files, definition, to_yaml

SPEC: dict[str, Any] = {
    "type": "object",
    "required": ["size"],
    "properties": {
        "size": {"type": "string", "maxLength": 10, "minLength": 1},
        "replicas": {"type": "integer", "minimum": 0, "maximum": 9, "default": 1},
        "mode": {"type": "string", "enum": ["A", "B"]},
        "labels": {"type": "object", "maxProperties": 4, "additionalProperties": {"type": "string", "maxLength": 63}},
        "entries": {
            "type": "array",
            "maxItems": 3,
            "items": {"type": "object", "properties": {"name": {"type": "string"}, "value": {"type": "string"}}},
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name"],
        },
        "whatever": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    },
    "x-kubernetes-validations": [{"rule": "self.size != 'x'", "message": "not x"}],
}

Change = Callable[[dict[str, Any], dict[str, Any]], Any]
"""From the fields of the spec, and the spec itself, to another one."""

BREAKING: dict[str, tuple[Change, str]] = {
    "removed field": (lambda fields, _: fields.pop("mode"), "spec.mode: the field is gone"),
    "removed field of an entry": (
        lambda fields, _: fields["entries"]["items"]["properties"].pop("value"),
        "spec.entries[].value: the field is gone",
    ),
    "new required field": (
        lambda fields, spec: (fields.update(zone={"type": "string"}), spec["required"].append("zone")),
        "spec: zone must be set now",
    ),
    "old field required": (lambda _, spec: spec["required"].append("mode"), "spec: mode must be set now"),
    "other type": (lambda fields, _: fields["size"].update(type="integer"), "spec.size: the type was string and is integer"),
    "narrowed enum": (lambda fields, _: fields["mode"].update(enum=["B", "C"]), "spec.mode: the value A is gone"),
    "new enum": (lambda fields, _: fields["size"].update(enum=["1Gi"]), "spec.size: only 1Gi are allowed now"),
    "shorter text": (lambda fields, _: fields["size"].update(maxLength=9), "spec.size: maxLength was 10 and is 9"),
    "shorter value of a map": (
        lambda fields, _: fields["labels"]["additionalProperties"].update(maxLength=9),
        "spec.labels.KEY: maxLength was 63 and is 9",
    ),
    "fewer entries": (lambda fields, _: fields["entries"].update(maxItems=2), "spec.entries: maxItems was 3 and is 2"),
    "smaller maximum": (lambda fields, _: fields["replicas"].update(maximum=8), "spec.replicas: maximum was 9 and is 8"),
    "larger minimum": (lambda fields, _: fields["replicas"].update(minimum=1), "spec.replicas: minimum was 0 and is 1"),
    "exclusive minimum": (lambda fields, _: fields["replicas"].update(exclusiveMinimum=True), "spec.replicas: exclusiveMinimum is new"),
    "new bound": (lambda fields, _: fields["mode"].update(minLength=1), "spec.mode: minLength was absent and is 1"),
    "new pattern": (lambda fields, _: fields["size"].update(pattern="^a"), "spec.size: pattern was absent and is ^a"),
    "new rule": (
        lambda _, spec: spec["x-kubernetes-validations"].append({"rule": "self.mode != 'A'", "message": "no A"}),
        "spec: a rule is new: no A",
    ),
    "tightened rule": (
        lambda _, spec: spec.update({"x-kubernetes-validations": [{"rule": "self.size == 'y'", "message": "only y"}]}),
        "spec: a rule is new: only y",
    ),
    "changed default": (lambda fields, _: fields["replicas"].update(default=2), "spec.replicas: the default was 1 and is 2"),
    "removed default": (lambda fields, _: fields["replicas"].pop("default"), "spec.replicas: the default was 1 and is absent"),
    "no keys of one's own": (
        lambda fields, _: fields["labels"].pop("additionalProperties"),
        "spec.labels: keys of one's own are no longer kept",
    ),
    "nothing else kept": (
        lambda fields, _: fields["whatever"].pop("x-kubernetes-preserve-unknown-fields"),
        "spec.whatever: fields that are not declared are no longer kept",
    ),
    "list merges otherwise": (
        lambda fields, _: fields["entries"].update({"x-kubernetes-list-type": "atomic"}),
        "spec.entries: x-kubernetes-list-type was map and is atomic",
    ),
}

COMPATIBLE: dict[str, Change] = {
    "nothing": lambda *_: None,
    "new field": lambda fields, _: fields.update(zone={"type": "string", "enum": ["x"], "default": "x"}),
    "new field with rules": lambda fields, _: fields.update(
        zone={"type": "object", "required": ["a"], "x-kubernetes-validations": [{"rule": "false", "message": "never"}]}
    ),
    "wider bounds": lambda fields, _: (fields["size"].update(maxLength=20, minLength=0), fields["replicas"].pop("maximum")),
    "wider enum": lambda fields, _: fields["mode"].update(enum=["C", "B", "A"]),
    "no enum": lambda fields, _: fields["mode"].pop("enum"),
    "no longer required": lambda _, spec: spec.pop("required"),
    "fewer rules": lambda _, spec: spec.pop("x-kubernetes-validations"),
    "another sentence": lambda _, spec: spec["x-kubernetes-validations"][0].update(message="other than x"),
    "integer too": lambda fields, _: (fields["size"].pop("type"), fields["size"].update({"x-kubernetes-int-or-string": True})),
    "everything kept": lambda _, spec: (spec.pop("properties"), spec.update({"x-kubernetes-preserve-unknown-fields": True})),
    "new default": lambda fields, _: fields["mode"].update(default="A"),
}


def crd(spec: dict[str, Any]) -> dict[str, Any]:
    """A definition with this spec."""
    names = {"kind": "Thing", "plural": "things", "singular": "thing", "shortNames": ["th"]}
    root = {"type": "object", "properties": {"spec": spec}}
    version = {"name": "v1", "served": True, "subresources": {"status": {}}, "schema": {"openAPIV3Schema": root}}
    return {"spec": {"group": "example.com", "scope": "Namespaced", "names": names, "versions": [version]}}


def changed(change: Change) -> dict[str, Any]:
    spec = deepcopy(SPEC)
    change(spec["properties"], spec)
    return crd(spec)


@pytest.mark.parametrize(("change", "sentence"), BREAKING.values(), ids=BREAKING)
def test_breaking_change_of_the_schema(change: Change, sentence: str) -> None:
    assert breaking_changes(crd(SPEC), changed(change)) == [sentence]


@pytest.mark.parametrize("change", COMPATIBLE.values(), ids=COMPATIBLE)
def test_compatible_change(change: Change) -> None:
    assert breaking_changes(crd(SPEC), changed(change)) == []


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda spec: spec.update(scope="Cluster"), "scope: changed"),
        (lambda spec: spec["names"].update(plural="thingies"), "names.plural: changed"),
        (lambda spec: spec["names"].update(shortNames=["t"]), "names.shortNames: th is gone"),
        (lambda spec: spec["versions"][0].update(served=False), "v1: is not served any more"),
        (lambda spec: spec["versions"][0].update(subresources={}), "subresource status: changed or gone"),
    ],
)
def test_breaking_change_around_the_schema(change: Callable[[dict[str, Any]], None], sentence: str) -> None:
    new = crd(SPEC)
    change(new["spec"])
    assert breaking_changes(crd(SPEC), new) == [sentence]


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: resource.singular)
def test_our_resources_are_compatible_with_themselves(resource: CustomResource) -> None:
    assert breaking_changes(definition(resource), definition(resource)) == []


def test_two_folders_are_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder in ("old", "new"):
        (tmp_path / folder).mkdir()
        for name, text in crd_files().items():
            (tmp_path / folder / name).write_text(text)
    arguments = [str(tmp_path / "old"), str(tmp_path / "new")]
    assert main(arguments) == 0
    assert capsys.readouterr().out == "Nothing breaks.\n"
    (tmp_path / "new" / "airflowbases.yaml").unlink()
    cluster = definition(next(resource for resource in RESOURCES if resource.singular == "airflowcluster"))
    cluster["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"].pop("paused")
    (tmp_path / "new" / "airflowclusters.yaml").write_text(NOTICE + to_yaml(cluster))
    assert main(arguments) == 1
    assert capsys.readouterr().out.splitlines() == [
        "airflowbases.airflow-operator.dev: the resource is gone",
        "airflowclusters.airflow-operator.dev: spec.paused: the field is gone",
    ]
