"""An empty list is not sent: of a list whose items have keys an API server keeps no trace, so that each look would send it again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.unit.leaves import LEAVES, rendered, with_leaf

CONTAINER = {"name": "a", "image": "b", "env": [], "envFrom": [], "ports": [], "volumeMounts": [], "args": []}
INSIDE: dict[str, Any] = {
    "initContainers": [CONTAINER],
    "extraContainers": [CONTAINER],
    "podTemplate.spec": {"initContainers": [CONTAINER], "hostAliases": [], "tolerations": []},
}
"""What holds empty lists where the value of a leaf is more than a list of the spec, by the end of its path."""


def cases() -> Iterator[tuple[str, Any]]:
    """Leaves with empty values."""
    for path, schema in LEAVES.items():
        if schema.get("type") == "array":
            yield path, []
        yield from ((path, value) for end, value in INSIDE.items() if path.endswith(f".{end}"))


def made(path: str, value: Any) -> str | None:
    """All manifests with that value of a leaf; None where it is refused."""
    kind = path.partition(".")[0]
    return rendered(kind, with_leaf(kind, path, value))


def empty(value: Any, path: str) -> Iterator[str]:
    """Where empty lists are."""
    if value == []:
        yield path
    for key, item in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from empty(item, f"{path}.{key}")


@pytest.mark.parametrize(("path", "value"), [*cases()])
def test_no_manifest_holds_an_empty_list(path, value):
    assert [place for document in json.loads(made(path, value) or "[]") for place in empty(document, document["kind"])] == []


def test_most_of_them_are_valid():
    assert len([path for path, value in cases() if made(path, value)]) > 50


def test_one_that_is_there_is_found():
    assert list(empty({"spec": {"a": [{"b": []}], "c": [1]}}, "Deployment")) == ["Deployment.spec.a.0.b"]
