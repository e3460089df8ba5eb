"""The conversion to structural schemas, rule by rule, and what must hold for every schema that we ship."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from airflow_operator.api.cel import Cel
from airflow_operator.api.common import Atomic, IntOrString, ListMap, Model, Opaque
from airflow_operator.api.registry import RESOURCES, CustomResource
from airflow_operator.crdgen.emit import definition
from airflow_operator.crdgen.structural import NotStructural, structural_schema

KUBECTL_ANNOTATION_LIMIT = 262144
OUR_LIMIT = 250 * 1024


class Inner(Model):
    """An object."""

    name: Annotated[str, Field(max_length=5)] = Field(default="a", description="Its name.")
    other: Literal["x"] | None = None

    rules = (Cel(rule="self.name != 'b'", message="not b", check=lambda it: it.name != "b"),)


class Outer(Model):
    """An outer object."""

    inner: Inner = Field(default=Inner(), description="The inner one.")
    maybe: Inner | None = None
    chosen: Literal["x", "y"] = "y"
    above: Annotated[int, Field(gt=0)] = 1
    entries: Annotated[tuple[Inner, ...], Field(max_length=3), ListMap()] = ()
    whole: Annotated[tuple[str, ...], Atomic()] = ()
    anything: Annotated[Mapping[str, Any], Opaque()] | None = None
    amount: Annotated[str, Field(max_length=3), IntOrString()] | None = None
    ruled: Annotated[Inner, Cel(rule="true", message="never")] | None = None


@pytest.fixture(scope="module")
def outer() -> dict[str, Any]:
    properties: dict[str, Any] = structural_schema(Outer)["properties"]
    return properties


INNER = {
    "type": "object",
    "description": "An object.",
    "properties": {
        "name": {"type": "string", "description": "Its name. Default: a.", "default": "a", "maxLength": 5},
        "other": {"type": "string", "enum": ["x"]},
    },
    "x-kubernetes-validations": [{"rule": "self.name != 'b'", "message": "not b"}],
}


def test_reference_is_inlined_and_what_stands_beside_it_wins(outer: dict[str, Any]) -> None:
    assert outer["inner"] == {**INNER, "description": "The inner one.", "default": {}}


def test_optional_field_has_neither_null_nor_default(outer: dict[str, Any]) -> None:
    assert outer["maybe"] == INNER


def test_literal_is_enum(outer: dict[str, Any]) -> None:
    assert outer["chosen"] == {"type": "string", "enum": ["x", "y"], "default": "y"}


def test_exclusive_bound_is_a_flag(outer: dict[str, Any]) -> None:
    assert outer["above"] == {"type": "integer", "minimum": 0, "exclusiveMinimum": True, "default": 1}


def test_list_by_name(outer: dict[str, Any]) -> None:
    assert outer["entries"] == {
        "type": "array",
        "maxItems": 3,
        "items": INNER,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["name"],
    }


def test_atomic_list(outer: dict[str, Any]) -> None:
    assert outer["whole"] == {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "atomic"}


def test_opaque_object(outer: dict[str, Any]) -> None:
    assert outer["anything"] == {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def test_int_or_string(outer: dict[str, Any]) -> None:
    assert outer["amount"] == {"maxLength": 3, "x-kubernetes-int-or-string": True}


def test_rules_of_field_and_object_add_up(outer: dict[str, Any]) -> None:
    assert [rule["message"] for rule in outer["ruled"]["x-kubernetes-validations"]] == ["not b", "never"]


class Recursive(Model):
    """Contains itself."""

    child: Recursive | None = None


class Choice(Model):
    """Two types in one field."""

    either: str | int = ""


class Pair(Model):
    """A list with a type for each place."""

    pair: tuple[str, int] = ("", 0)


class Anything(Model):
    """An object of anything that nobody marked."""

    anything: Mapping[str, Any] | None = None


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (Recursive, "Recursive contains itself"),
        (Choice, "a choice between 2 types"),
        (Pair, "prefixItems"),
        (Anything, "must be marked as opaque"),
    ],
)
def test_what_cannot_be_said_is_refused(model: type[Model], words: str) -> None:
    with pytest.raises(NotStructural, match=words):
        structural_schema(model)


def _fields(path: str, schema: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield path, schema
    for name, field in schema.get("properties", {}).items():
        yield from _fields(f"{path}.{name}", field)
    if "items" in schema:
        yield from _fields(f"{path}[]", schema["items"])
    if "additionalProperties" in schema:
        yield from _fields(f"{path}.*", schema["additionalProperties"])


def _all_fields(resource: CustomResource) -> list[tuple[str, Mapping[str, Any]]]:
    return [*_fields("spec", structural_schema(resource.spec)), *_fields("status", structural_schema(resource.status))]


@pytest.fixture(params=RESOURCES, ids=lambda resource: resource.singular)
def resource(request: pytest.FixtureRequest) -> CustomResource:
    found: CustomResource = request.param
    return found


def test_every_string_list_and_map_has_a_bound(resource: CustomResource) -> None:
    """Without bounds the API server counts with the worst case and refuses the rules as too costly."""
    for path, schema in _all_fields(resource):
        match schema.get("type"):
            case "string":
                assert "maxLength" in schema or "enum" in schema or schema.get("format") == "date-time", path
            case "array":
                assert "maxItems" in schema, path
            case "object" if "additionalProperties" in schema:
                assert "maxProperties" in schema, path


def test_every_field_is_described(resource: CustomResource) -> None:
    for path, schema in _all_fields(resource):
        if not path.endswith(("[]", "*")):
            assert schema.get("description", "").endswith("."), path


def test_every_list_says_how_it_merges(resource: CustomResource) -> None:
    for path, schema in _all_fields(resource):
        if schema.get("type") == "array":
            assert schema.get("x-kubernetes-list-type") in ("map", "atomic"), path


def test_no_default_inside_an_atomic_list(resource: CustomResource) -> None:
    """Server-side apply would see a difference for ever."""
    for path, schema in _all_fields(resource):
        if schema.get("x-kubernetes-list-type") == "atomic":
            assert not [inner for inner, field in _fields(path, schema["items"]) if "default" in field]


def test_parents_of_defaults_have_defaults(resource: CustomResource) -> None:
    """The API server fills in defaults only below an object that is there."""
    fields = dict(_all_fields(resource))
    for path in ("spec.scheduler.replicas", "spec.image.pullPolicy", "spec.gitSync.image.pullPolicy"):
        parent = path.rpartition(".")[0]
        if path in fields:
            assert "default" in fields[path]
            assert parent == "spec" or "default" in fields[parent], path


def test_crd_fits_into_the_annotation_of_kubectl(resource: CustomResource) -> None:
    size = len(json.dumps(definition(resource)))
    assert size < OUR_LIMIT < KUBECTL_ANNOTATION_LIMIT


def test_no_empty_lists_in_the_names(resource: CustomResource) -> None:
    names = definition(resource)["spec"]["names"]
    assert all(names.values())
