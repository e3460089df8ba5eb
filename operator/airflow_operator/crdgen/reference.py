"""The API reference, as Markdown, from the same models."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from airflow_operator.api.cel import VALIDATIONS
from airflow_operator.api.config_rules import OWNED
from airflow_operator.api.registry import CATEGORY, CustomResource
from airflow_operator.crdgen.structural import INT_OR_STRING, PRESERVE, Schema, structural_schema
from airflow_operator.domain.kinds import API_VERSION

_NOTICE = "<!-- Made by `make generate` from operator/airflow_operator/api: change it there. -->\n"

_PRUNING = """\
Unknown fields are refused by `kubectl apply`, which asks for strict validation, and by server-side apply. A client that asks for
less (`--validate=false`, or an API call with `fieldValidation=Ignore`) has them dropped by the API server without a word.
"""


def reference(resource: CustomResource) -> str:
    """The page of one resource: a section for each object in it, spec first."""
    kind = resource.kind
    lines = [
        f"# {kind.kind}",
        "",
        _NOTICE,
        f"{resource.model.__doc__}",
        "",
        f"`apiVersion: {API_VERSION}`, `kind: {kind.kind}`, namespaced. "
        f"Short name `{resource.short_name}`, category `{CATEGORY}`: `kubectl get {resource.short_name}`, `kubectl get {CATEGORY}`.",
        "",
        _PRUNING,
    ]
    if resource.scale:
        lines += [f"`kubectl scale {resource.short_name}/NAME --replicas=N` sets `{resource.scale.spec_replicas.removeprefix('.')}`.", ""]
    for path, model in (("spec", resource.spec), ("status", resource.status)):
        for section in _sections(path, structural_schema(model)):
            lines += section
    return "\n".join(lines).rstrip() + "\n"


def _sections(path: str, root: Schema) -> Iterator[list[str]]:
    """The sections of an object and of all objects below it; objects with the same fields share one."""
    told: dict[str, tuple[Schema, list[str]]] = {}
    _collect(path, root, told)
    for schema, paths in told.values():
        yield _section(paths, schema)


def _collect(path: str, schema: Schema, told: dict[str, tuple[Schema, list[str]]]) -> None:
    """Every object with fields of its own, outermost first. `spec.config` is told in another way."""
    if schema.get(PRESERVE):
        return
    if "properties" in schema:
        shape = json.dumps(schema["properties"], sort_keys=True)
        if shape in told:
            told[shape][1].append(path)
            return
        told[shape] = (schema, [path])
        for name, field in schema["properties"].items():
            _collect(f"{path}.{name}", field, told)
    elif "items" in schema:
        _collect(f"{path}[]", schema["items"], told)
    elif "additionalProperties" in schema:
        _collect(f"{path}.KEY", schema["additionalProperties"], told)


def _section(paths: list[str], schema: Schema) -> list[str]:
    others = ", ".join(f"`{path}`" for path in paths[1:])
    lines = [f"## {paths[0]}", "", f"The same fields: {others}." if others else schema.get("description", ""), ""]
    lines += ["| field | type | default | meaning |", "|---|---|---|---|"]
    required = schema.get("required", ())
    for name, field in schema["properties"].items():
        default = "**required**" if name in required else _default(field)
        lines.append(f"| `{name}` | {_type(field)} | {default} | {_meaning(field)} |")
    rules = [rule["message"] for rule in schema.get(VALIDATIONS, ()) if "messageExpression" not in rule]
    lines += ["", *(f"- {_cell(rule)}" for rule in rules), *([""] if rules else [])]
    return lines + (_owned_options() if paths == ["spec"] and "config" in schema["properties"] else [])


def _owned_options() -> list[str]:
    lines = [
        "Refused in `config`, and as environment variables (`AIRFLOW__SECTION__OPTION`),",
        "the secret ones also with `_cmd` or `_secret` at their end:",
        "",
        "| options | why |",
        "|---|---|",
    ]
    for owned in OWNED:
        names = [f"`[{section}] {option}`" for section, options in owned.options.items() for option in options]
        names += [f"`{name}`" for name in owned.variables]
        lines.append(f"| {', '.join(names)} | {owned.why} |")
    return [
        *lines,
        "",
        "The API server cannot look at other options. One that is no string, integer or boolean, or whose name is not lower case,",
        "is told by the condition Ready with reason InvalidSpec; what runs goes on.",
        "",
    ]


def _type(field: Schema) -> str:
    if field.get(INT_OR_STRING):
        return "string or integer"
    if "enum" in field:
        return " \\| ".join(f"`{value}`" for value in field["enum"])
    if field["type"] == "array":
        return f"list of {_type(field['items'])}"
    if "additionalProperties" in field:
        return f"map of {_type(field['additionalProperties'])}"
    return str(field["type"])


def _default(field: Schema) -> str:
    return f"`{json.dumps(field['default'])}`" if "default" in field and field["default"] != {} else ""


def _meaning(field: Schema) -> str:
    rules = [rule["message"] for rule in _own_rules(field)]
    described = field.get("description", "").partition(" Default: ")[0]
    told = [described, *(f"*{rule}*" for rule in rules)]
    return _cell(" ".join(told).strip())


def _own_rules(field: Schema) -> list[dict[str, Any]]:
    """Rules of a value that has no section of its own."""
    return [] if "properties" in field else list(field.get(VALIDATIONS, []))


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
