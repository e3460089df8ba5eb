"""Rules that the schema carries to the API server as CEL and that the models check in the same words.

A rule stands once: `Cel` in the annotation of a field (its value is `self`) or in the `rules` of a model (the object is `self`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

VALIDATIONS = "x-kubernetes-validations"

Reason = Literal["FieldValueInvalid", "FieldValueForbidden", "FieldValueRequired", "FieldValueDuplicate"]


@dataclass(frozen=True, kw_only=True)
class Cel:
    """One rule: what the API server evaluates, what it answers, and the same check in Python.

    `check` is None for rules about a change (`oldSelf`), which no single object can break. `expression` is a CEL expression of the sentence
    where the sentence depends on the value; `sentence` is its twin in Python.
    """

    rule: str
    message: str
    check: Callable[[Any], bool] | None = None
    expression: str = ""
    sentence: Callable[[Any], str] | None = None
    field_path: str = ""
    reason: Reason = "FieldValueInvalid"

    def as_json(self) -> dict[str, Any]:
        """The entry of `x-kubernetes-validations`."""
        entry: dict[str, Any] = {"rule": self.rule, "message": self.message}
        if self.expression:
            entry["messageExpression"] = self.expression
        if self.field_path:
            entry["fieldPath"] = self.field_path
        if self.reason != "FieldValueInvalid":
            entry["reason"] = self.reason
        return entry

    def verify(self, value: Any) -> Any:
        """The value itself; raises the rule's sentence where it breaks the rule."""
        if self.check is not None and not self.check(value):
            raise refusal(self.sentence(value) if self.sentence else self.message, self.field_path)
        return value

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Run the check after the value's own validation."""
        return core_schema.no_info_after_validator_function(self.verify, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Add the rule to the schema of the value."""
        return with_rules(handler(schema), [self])


def with_rules(schema: JsonSchemaValue, rules: Iterable[Cel]) -> JsonSchemaValue:
    """The schema with the rules added to those that it has."""
    added = [rule.as_json() for rule in rules]
    return {**schema, VALIDATIONS: [*schema.get(VALIDATIONS, []), *added]} if added else schema


def refusal(sentence: str, below: str = "") -> PydanticCustomError:
    """An error whose message is exactly `sentence`; `below` is the path from the checked value down, such as `.size`."""
    return PydanticCustomError("rule", "{sentence}", {"sentence": sentence, "below": below})


def exactly_one(*names: str) -> Cel:
    """Rule of an object: exactly one of these optional fields is set. Names are those of the YAML."""
    count = " + ".join(f"(has(self.{name}) ? 1 : 0)" for name in names)
    rule = f"has(self.{names[0]})" if len(names) == 1 else f"{count} == 1"
    listed = names[0] if len(names) == 1 else f"exactly one of {', '.join(names)}"
    return Cel(rule=rule, message=f"set {listed}", check=lambda it: sum(it.has(name) for name in names) == 1)


def at_most_one(*names: str) -> Cel:
    """Rule of an object: no two of these optional fields are set. Names are those of the YAML."""
    count = " + ".join(f"(has(self.{name}) ? 1 : 0)" for name in names)
    message = f"set only one of {', '.join(names)}"
    return Cel(rule=f"{count} <= 1", message=message, check=lambda it: sum(it.has(name) for name in names) <= 1)


def needs(name: str, other: str) -> Cel:
    """Rule of an object: where the one optional field is set, the other is too. Names are those of the YAML."""
    return Cel(
        rule=f"!has(self.{name}) || has(self.{other})",
        message=f"{name} needs {other}: set it too",
        check=lambda it: not it.has(name) or it.has(other),
        field_path=f".{name}",
        reason="FieldValueRequired",
    )


def matches(pattern: str, message: str) -> Cel:
    """Rule of a string: it matches an RE2 pattern (anchor it), told by a sentence instead of by the pattern."""
    compiled = re.compile(pattern)
    return Cel(rule=f"self.matches({cel_string(pattern)})", message=message, check=lambda value: compiled.fullmatch(value) is not None)


def cel_string(text: str) -> str:
    """A string literal of CEL; raw, and so readable, where the text has backslashes."""
    return f"r'{text}'" if "\\" in text and "'" not in text else "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
