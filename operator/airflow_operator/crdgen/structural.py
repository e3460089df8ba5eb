"""From pydantic's JSON Schema to the structural schema of a CustomResourceDefinition.

Rules of structural schemas: https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from airflow_operator.api.cel import VALIDATIONS

Schema = dict[str, Any]

PRESERVE = "x-kubernetes-preserve-unknown-fields"
INT_OR_STRING = "x-kubernetes-int-or-string"

_ORDER = (
    "type",
    "description",
    "default",
    "enum",
    "format",
    "pattern",
    "minLength",
    "maxLength",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "required",
    "properties",
    "additionalProperties",
    "items",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    INT_OR_STRING,
    PRESERVE,
    VALIDATIONS,
)
"""Every keyword that may come out, in the order in which it is written."""

_RULE_ORDER = ("rule", "message", "messageExpression", "fieldPath", "reason")

_DROPPED = ("title", "$defs", "propertyNames")


class NotStructural(ValueError):
    """A model says something that no structural schema can say."""


class _WrittenDefaults(GenerateJsonSchema):
    """Defaults as they were written: `Scheduler()` is `{}`, since the fields inside bring their own."""

    def encode_default(self, dft: Any) -> Any:
        if isinstance(dft, BaseModel):
            return dft.model_dump(mode="json", by_alias=True, exclude_unset=True)
        return super().encode_default(dft)


def structural_schema(model: type[BaseModel]) -> Schema:
    """The structural schema of a model: references inlined, defaults and rules kept, what Kubernetes does not know dropped."""
    schema = model.model_json_schema(by_alias=True, mode="validation", schema_generator=_WrittenDefaults)
    return _convert(schema, schema.get("$defs", {}), ())


def _convert(schema: Mapping[str, Any], definitions: Mapping[str, Schema], seen: tuple[str, ...]) -> Schema:
    """`seen` are the references on the way here: one of them again would be recursion."""
    flat, seen = _resolve(schema, definitions, seen)
    made = {key: value for key, value in flat.items() if key not in _DROPPED}
    if "const" in made:
        made["enum"] = [made.pop("const")]
    _bounds(made)
    _additional_properties(made, definitions, seen)
    if "properties" in made:
        made["properties"] = {name: _convert(field, definitions, seen) for name, field in made["properties"].items()}
    if "items" in made:
        made["items"] = _convert(made["items"], definitions, seen)
    _default(made)
    if VALIDATIONS in made:
        made[VALIDATIONS] = [{key: rule[key] for key in _RULE_ORDER if key in rule} for rule in made[VALIDATIONS]]
    unknown = sorted(set(made) - set(_ORDER))
    if unknown:
        raise NotStructural(f"{' > '.join(seen) or 'root'}: {', '.join(unknown)} has no place in a structural schema")
    return {key: made[key] for key in _ORDER if key in made}


def _resolve(schema: Mapping[str, Any], definitions: Mapping[str, Schema], seen: tuple[str, ...]) -> tuple[Schema, tuple[str, ...]]:
    """The schema without `$ref` and without `anyOf: [X, null]`; what stands beside them wins, rules add up."""
    flat = dict(schema)
    while "$ref" in flat or "anyOf" in flat:
        if "$ref" in flat:
            name = flat.pop("$ref").rpartition("/")[2]
            if name in seen:
                raise NotStructural(f"{name} contains itself")
            seen = (*seen, name)
            inner = definitions[name]
        else:
            choices = [choice for choice in flat.pop("anyOf") if choice.get("type") != "null"]
            if len(choices) != 1:
                raise NotStructural(f"{' > '.join(seen)}: a choice between {len(choices)} types")
            inner = choices[0]
        rules = [*inner.get(VALIDATIONS, []), *flat.get(VALIDATIONS, [])]
        flat = {**inner, **flat}
        if rules:
            flat[VALIDATIONS] = rules
    return flat, seen


def _bounds(made: Schema) -> None:
    """In OpenAPI 3.0 an exclusive bound is a flag beside the bound."""
    for exclusive, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if exclusive in made:
            made[bound], made[exclusive] = made[exclusive], True


def _additional_properties(made: Schema, definitions: Mapping[str, Schema], seen: tuple[str, ...]) -> None:
    """False goes: the API server prunes what it does not know, or refuses it under strict validation."""
    allowed = made.pop("additionalProperties", False)
    if allowed is True:
        raise NotStructural(f"{' > '.join(seen)}: an object of anything must be marked as opaque")
    if allowed:
        made["additionalProperties"] = _convert(allowed, definitions, seen)


def _default(made: Schema) -> None:
    """Keep a default only where it changes anything; `{}` where it lets the API server fill in the defaults inside."""
    if "default" not in made:
        return
    default = made["default"]
    fills = any("default" in field for field in made.get("properties", {}).values())
    if default is None or default == [] or (default == {} and not fills):
        del made["default"]
        return
    made["default"] = default
    if "description" in made and not isinstance(default, dict):
        # kubectl explain shows no defaults, only descriptions.
        made["description"] += f" Default: {default if isinstance(default, str) else json.dumps(default)}."
