"""What a new CustomResourceDefinition refuses, drops or reads otherwise that an older one took.

`python -m airflow_operator.crdgen.compatibility OLD NEW` compares two crds/ folders before a release (`make compatible SINCE=TAG`).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from airflow_operator.api.cel import VALIDATIONS
from airflow_operator.crdgen.structural import INT_OR_STRING, PRESERVE, Schema

Judge = Callable[[Schema, Schema], Iterator[str]]

_UPPER = ("maxLength", "maxItems", "maxProperties", "maximum")
_LOWER = ("minLength", "minItems", "minProperties", "minimum")
_SAME = ("pattern", "format", "x-kubernetes-list-type", "x-kubernetes-list-map-keys")


def breaking_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """One sentence for each place of a definition, `path: what`, that a resource or a client of the old one can stumble over.

    What CEL rules mean is not understood: one that the old definition does not have counts, and a person judges it.
    """
    spec, other = old["spec"], new["spec"]
    found = [f"{key}: changed" for key in ("group", "scope") if spec[key] != other[key]]
    found += [f"names.{key}: changed" for key in ("kind", "plural", "singular") if spec["names"].get(key) != other["names"].get(key)]
    found += [f"names.shortNames: {name} is gone" for name in _gone(spec["names"], other["names"], "shortNames")]
    served = {version["name"]: version for version in other["versions"] if version["served"]}
    for version in spec["versions"]:
        name = version["name"]
        if name in served:
            found += _version_changes(version, served[name])
        elif version["served"]:
            found.append(f"{name}: is not served any more")
    return found


def _version_changes(old: Schema, new: Schema) -> Iterator[str]:
    for name, subresource in old.get("subresources", {}).items():
        if new.get("subresources", {}).get(name) != subresource:
            yield f"subresource {name}: changed or gone"
    yield from _field_changes("", old["schema"]["openAPIV3Schema"], new["schema"]["openAPIV3Schema"])


def _field_changes(path: str, old: Schema, new: Schema) -> Iterator[str]:
    for judge in (_type, _values, _bounds, _required, _default, _rules):
        for words in judge(old, new):
            yield f"{path or 'the object'}: {words}"
    fields = new.get("properties", {})
    for name, field in old.get("properties", {}).items():
        below = f"{path}.{name}".removeprefix(".")
        if name in fields:
            yield from _field_changes(below, field, fields[name])
        elif not new.get(PRESERVE):
            yield f"{below}: the field is gone"
    for key, step in (("items", "[]"), ("additionalProperties", ".KEY")):
        if key in old and key in new:
            yield from _field_changes(path + step, old[key], new[key])


def _type(old: Schema, new: Schema) -> Iterator[str]:
    before, after = _kind(old), _kind(new)
    widened = after == INT_OR_STRING and before in ("integer", "string")
    if before != after and not widened:
        yield f"the type was {before} and is {after}"
    if old.get(PRESERVE) and not new.get(PRESERVE):
        yield "fields that are not declared are no longer kept"
    if "additionalProperties" in old and "additionalProperties" not in new and not new.get(PRESERVE):
        yield "keys of one's own are no longer kept"


def _kind(schema: Schema) -> str:
    return INT_OR_STRING if schema.get(INT_OR_STRING) else str(schema.get("type"))


def _values(old: Schema, new: Schema) -> Iterator[str]:
    if "enum" in new and "enum" not in old:
        yield f"only {', '.join(map(str, new['enum']))} are allowed now"
    elif "enum" in new:
        for value in _gone(old, new, "enum"):
            yield f"the value {value} is gone"


def _bounds(old: Schema, new: Schema) -> Iterator[str]:
    for key in (*_UPPER, *_LOWER):
        if key not in new:
            continue
        before = old.get(key)
        if before is None or (new[key] < before if key in _UPPER else new[key] > before):
            yield f"{key} was {'absent' if before is None else before} and is {new[key]}"
    for key in ("exclusiveMinimum", "exclusiveMaximum"):
        if new.get(key) and not old.get(key):
            yield f"{key} is new"
    for key in _SAME:
        if old.get(key) != new.get(key) and (key in new or key.startswith("x-")):
            yield f"{key} was {old.get(key, 'absent')} and is {new.get(key, 'absent')}"


def _required(old: Schema, new: Schema) -> Iterator[str]:
    for name in _gone(new, old, "required"):
        yield f"{name} must be set now"


def _default(old: Schema, new: Schema) -> Iterator[str]:
    if "default" in old and old["default"] != new.get("default"):
        yield f"the default was {old['default']} and is {new.get('default', 'absent')}"


def _rules(old: Schema, new: Schema) -> Iterator[str]:
    known = {rule["rule"] for rule in old.get(VALIDATIONS, [])}
    for rule in new.get(VALIDATIONS, []):
        if rule["rule"] not in known:
            yield f"a rule is new: {rule['message']}"


def _gone(old: Schema, new: Schema, key: str) -> list[Any]:
    return [value for value in old.get(key, []) if value not in new.get(key, [])]


def _definitions(folder: Path) -> dict[str, Any]:
    """The definitions of a crds/ folder by name."""
    documents = [yaml.safe_load(path.read_text()) for path in sorted(folder.glob("*.yaml"))]
    return {document["metadata"]["name"]: document for document in documents if document["kind"] == "CustomResourceDefinition"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what breaks; exit code 1 when anything does."""
    parser = argparse.ArgumentParser(prog="python -m airflow_operator.crdgen.compatibility", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("old", type=Path, help="crds/ of the last release")
    parser.add_argument("new", type=Path, help="crds/ of the next one")
    options = parser.parse_args(arguments)
    old, new = _definitions(options.old), _definitions(options.new)
    found = [f"{name}: the resource is gone" for name in old if name not in new]
    found += [f"{name}: {words}" for name in old if name in new for words in breaking_changes(old[name], new[name])]
    print("\n".join(found) or "Nothing breaks.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
