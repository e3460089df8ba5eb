"""Resources that are nearly right: valid ones in which hypothesis changed a few places of the schema."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from airflow_operator.api.registry import RESOURCES
from airflow_operator.crdgen.structural import INT_OR_STRING, PRESERVE, Schema, structural_schema
from tests.unit.strategies import Json, deployments

SPECS: dict[str, Schema] = {resource.kind.kind: structural_schema(resource.spec) for resource in RESOURCES}

_ABSENT = object()
_TEXTS = st.sampled_from(
    [
        *["", " ", "a", "A", "a b", "a\n", "-a", "a.b", "a_b", "a/b", "/a", "a/../b", "é", "a\u00a0b", "x" * 63, "x" * 64, "x" * 300],
        *["0", "1", "10Gi", "1.5Gi", "-1Gi", "1e3", "1ki", "250m", "30s", "1h30m", "1d", "25h", "0s", ".5s", "5", "True"],
        *["https://git.example.com/a.git", "http://a", "https://u:p@git/a", "https://git/a@b", "ssh://git@git/a", "git@git:a", "file:///a"],
        *["sha256:" + "a" * 64, "sha256:" + "A" * 64, "3.3.2", "3.1.8", "3.0.6", "2.11.2", "9.9.9", "main", "HEAD"],
        *["AIRFLOW_HOME", "AIRFLOW__CORE__EXECUTOR", "AIRFLOW__CORE__FERNET_KEY_CMD", "airflow__core__executor", "1A"],
        *["KubernetesExecutor", "LocalExecutor", "dags-folder", "airflow-operator.dev/a", "app.kubernetes.io/name", "config_file", "a.1"],
    ]
)
_NUMBERS = st.one_of(st.integers(-2, 20), st.sampled_from([2**31, 1000001, 2**53]))
_WRONG = st.sampled_from([True, 0, 1.5, "a", [], {}, ["a"], [{}], {"a": "b"}, {"a": {}}])


@dataclass(frozen=True)
class Place:
    """One field, entry or value, there or not, and what the schema says of it."""

    container: Any
    key: Any
    schema: Schema

    def put(self, value: Any) -> None:
        """Set or remove it."""
        if value is not _ABSENT:
            self.container[self.key] = deepcopy(value)
        elif isinstance(self.container, list):
            del self.container[self.key]
        else:
            self.container.pop(self.key, None)

    def get(self) -> Any:
        """What stands there."""
        if isinstance(self.container, list):
            return self.container[self.key]
        return self.container.get(self.key, _ABSENT)


def _places(value: Any, schema: Schema) -> Iterator[Place]:
    """Every place below a value; what the schema does not look into is left alone."""
    if schema.get(PRESERVE):
        return
    if isinstance(value, dict):
        fields = schema.get("properties", {})
        inner = schema.get("additionalProperties")
        every = [Place(value, name, field) for name, field in fields.items()]
        every += [Place(value, key, inner) for key in [*value, "a", "config_file", "Upper"] if inner]
        every += [] if inner else [Place(value, "nobodyKnowsThis", {})]
    elif isinstance(value, list):
        every = [Place(value, position, schema.get("items", {})) for position in range(len(value))]
    else:
        return
    for place in every:
        yield place
        yield from _places(place.get(), place.schema)


def _likely(place: Place) -> st.SearchStrategy[Any]:
    """Values of the right type, fine and not."""
    schema, value = place.schema, place.get()
    if "enum" in schema:
        return st.one_of(st.sampled_from(schema["enum"]), _TEXTS)
    if schema.get(INT_OR_STRING):
        return st.one_of(_TEXTS, _NUMBERS)
    match schema.get("type"):
        case "string":
            return _TEXTS
        case "integer":
            return _NUMBERS
        case "boolean":
            return st.booleans()
        case "array":
            return st.just([*value, *value] if isinstance(value, list) else [])
    return st.just({})


@st.composite
def nearly_valid(draw: st.DrawFn) -> Json:
    """A resource of either kind with up to three places changed."""
    # Copies, since strategies give the same object again and again.
    document: Json = deepcopy(draw(st.sampled_from(draw(deployments()))))
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.sampled_from(list(_places(document["spec"], SPECS[document["kind"]]))))
        place.put(draw(st.one_of(_likely(place), _likely(place), _WRONG, st.just(_ABSENT))))
    return document
