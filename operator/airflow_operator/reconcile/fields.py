"""Whether a live object is already what is desired, and where it is not, read from the API server's own record of who set which field.

Server-side apply keeps, for every manager, the tree of the fields that it set (`metadata.managedFields`, format FieldsV1): `f:NAME` is a
field, `k:{...}` an item of a list that is keyed by some of its fields, `v:VALUE` a member of a set, and a node without children is a
scalar or a list or map that is owned as a whole. A manager loses a field when somebody else changes it. So walking that tree beside the
desired object tells, without any schema, whether the last apply was this one and still holds.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any

from airflow_operator.domain.manifest import Live, dig
from airflow_operator.domain.quantities import quantity
from airflow_operator.kube.protocol import FIELD_MANAGER

Fields = Mapping[str, Any]
Path = tuple[str | int, ...]

ALLOWED_FOREIGN = frozenset({"/spec/template/metadata/annotations/kubectl.kubernetes.io~1restartedAt"})
"""What others may set in a pod template: `kubectl rollout restart` asks for a restart by this annotation."""

_NOBODY = "before-first-apply"
"""Whom the API server names as owner of everything, defaults included, in an object that lost its managedFields."""

_KEY_DEFAULTS = {"protocol": "TCP"}
"""Keys of keyed lists that may be left out of an item (container and service ports)."""

_DEFAULTS_INSIDE: dict[str, tuple[Any, ...]] = {
    "apiGroup": ("", "rbac.authorization.k8s.io"),
    "apiVersion": ("v1",),
    "defaultMode": (420,),
    "divisor": ("0",),
    "expirationSeconds": (3600,),
    "kind": ("PersistentVolumeClaim",),
    "protocol": ("TCP",),
    "status": ({"phase": "Pending"},),
    "volumeMode": ("Filesystem",),
}
"""What the API server adds inside values that are owned as a whole (fieldRef, projected sources, volumeClaimTemplates, ...).

One that is missing here costs a request that changes nothing, each time; it is no error.
"""


def is_applied(desired: Live, live: Live) -> bool:
    """Whether our manager owns exactly the fields of `desired` in `live`, each with the desired value."""
    entry = _our_entry(live)
    if entry is None or entry["apiVersion"] != desired["apiVersion"]:
        return False
    return _holds(_content(desired), live, entry["fieldsV1"], ())


@dataclass(frozen=True)
class Difference:
    """One place where an object is not as desired; None stands for nothing there."""

    path: str
    """As people write it: spec.template.spec.containers[scheduler].image."""
    old: Any
    new: Any


def differences(desired: Live, live: Live) -> tuple[Difference, ...]:
    """Where `live` is not as `desired`, down to single values, with what we once set and no longer desire, and what others added."""
    entry = _our_entry(live)
    found = list(_differ(_content(desired), live, entry["fieldsV1"] if entry else None, ""))
    known = {difference.path for difference in found}
    for pointer in foreign_paths(desired, live):
        steps = [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]
        value: Any = live
        for step in steps:
            value = value[int(step) if isinstance(value, list) else step]
        path = ".".join(steps)
        found += [] if path in known else [Difference(path, value, None)]
    return tuple(found)


def compared(old: Any, new: Any, path: str) -> tuple[Difference, ...]:
    """Every difference between two values, whoever owns them."""
    return tuple(_differ(new, old, {}, path))


def is_managed(live: Live) -> bool:
    """Whether our manager has ever set a field of this object that still stands."""
    return any(entry.get("manager") == FIELD_MANAGER for entry in _entries(live))


def foreign_paths(desired: Live, live: Live, allow: frozenset[str] = ALLOWED_FOREIGN) -> tuple[str, ...]:
    """JSON pointers of what others set in the pod template of `live` and nobody desires.

    Last list items come first, so that they can be removed in this order. What others only changed is not among them: an apply takes it
    back. The API server's defaults have no owner and are never foreign.
    """
    theirs: dict[str, Any] = {}
    ours = _our_entry(live)
    for entry in _entries(live):
        if entry is not ours and entry.get("manager") != _NOBODY:
            _merge(theirs, dig(entry, "fieldsV1", "f:spec", "f:template", default={}))
    template, wanted = dig(live, "spec", "template", default={}), dig(desired, "spec", "template", default={})
    found = sorted(_foreign(theirs, template, wanted, ("spec", "template"), allow), reverse=True)
    return tuple(_pointer(path) for path in found)


def same_quantity(one: Any, other: Any) -> bool:
    """Whether two Kubernetes quantities have the same value: 1000m and 1, 1024Mi and 1Gi."""
    left, right = _value(one), _value(other)
    return left is not None and left == right


def _content(desired: Live) -> dict[str, Any]:
    """What of an object can be owned: all but its identity."""
    content = {key: value for key, value in desired.items() if key not in ("apiVersion", "kind", "metadata")}
    metadata = {key: value for key, value in desired["metadata"].items() if key not in ("name", "namespace")}
    return {**content, "metadata": metadata} if metadata else content


def _differ(desired: Any, live: Any, node: Fields | None, path: str) -> Iterator[Difference]:
    """`node` is what we own of it: None where we own nothing, without children where we own it as a whole."""
    if _same(desired, live, _steps(path)) and not (node and _children(node)):
        return
    if isinstance(desired, Mapping) and isinstance(live, Mapping):
        yield from _differ_in_map(desired, live, node, path)
    elif isinstance(desired, list) and isinstance(live, list) and (names := _item_names(desired, live, node)):
        yield from _differ_in_items(desired, live, node, path, names)
    elif not _same(desired, live, _steps(path)):
        yield Difference(path, live, desired)


def _differ_in_map(desired: Live, live: Live, node: Fields | None, path: str) -> Iterator[Difference]:
    for name, value in desired.items():
        yield from _differ(value, live.get(name), _below(node, f"f:{name}"), _joined(path, name))
    ours = live if node == {} else [key[2:] for key in _children(node or {})]
    for name in ours:
        if name not in desired and live.get(name) is not None and live[name] not in _DEFAULTS_INSIDE.get(name, ()):
            yield Difference(_joined(path, name), live[name], None)


def _differ_in_items(desired: list[Any], live: list[Any], node: Fields | None, path: str, names: tuple[str, ...]) -> Iterator[Difference]:
    there = {_identity(item, names): item for item in live}
    wanted = {_identity(item, names): item for item in desired}
    nodes = {_item_key(key)[1]: child for key, child in _children(node or {}).items()}
    found = []
    for identity, item in wanted.items():
        here = f"{path}[{item.get(names[0])}]"
        below = nodes.get(identity, {} if node == {} else None)
        found += list(_differ(item, there[identity], below, here)) if identity in there else [Difference(here, None, item)]
    for identity, item in there.items():
        if identity not in wanted and (node == {} or identity in nodes):
            found.append(Difference(f"{path}[{item.get(names[0])}]", item, None))
    if not found and [key for key in there if key in wanted] != list(wanted):
        found.append(Difference(path, [item.get(names[0]) for item in live], [item.get(names[0]) for item in desired]))
    yield from found


_ITEM_NAMES = ("name", "mountPath", "containerPort", "port", "uid", "topologyKey")
"""Fields that tell the items of a list apart where we do not own them yet."""


def _item_names(desired: list[Any], live: list[Any], node: Fields | None) -> tuple[str, ...]:
    """The fields that identify the items of two lists; none where they can only be compared as a whole."""
    keys = [key for key in _children(node or {}) if key.startswith("k:")]
    if keys:
        return _item_key(keys[0])[0]
    items = [*desired, *live]
    if not items or not all(isinstance(item, Mapping) for item in items):
        return ()
    return next(((name,) for name in _ITEM_NAMES if all(name in item for item in items)), ())


def _below(node: Fields | None, key: str) -> Fields | None:
    return {} if node == {} else (node or {}).get(key)


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _steps(path: str) -> Path:
    return tuple(path.split("."))


def _entries(live: Live) -> list[Mapping[str, Any]]:
    entries: list[Mapping[str, Any]] = dig(live, "metadata", "managedFields", default=[])
    return entries


def _our_entry(live: Live) -> Mapping[str, Any] | None:
    for entry in _entries(live):
        if entry.get("manager") == FIELD_MANAGER and entry.get("operation") == "Apply" and not entry.get("subresource"):
            return entry
    return None


def _children(node: Fields) -> Fields:
    return {key: child for key, child in node.items() if key != "."}


def _holds(desired: Any, live: Any, node: Fields, path: Path) -> bool:
    children = _children(node) if node else node
    if not children:
        return _same(desired, live, path)
    # Plain dictionaries: this is walked for every field of every child at each look, and an abstract type costs most of the walk.
    if isinstance(desired, dict) and isinstance(live, dict):
        if children.keys() != {f"f:{name}" for name in desired}:
            return False
        return all(_holds(value, live.get(name), children[f"f:{name}"], (*path, name)) for name, value in desired.items())
    if isinstance(desired, list) and isinstance(live, list):
        if all(key.startswith("v:") for key in children):
            members = [json.loads(key[2:]) for key in children]
            return len(members) == len(desired) and all(value in members and value in live for value in desired)
        if all(key.startswith("k:") for key in children):
            return _holds_items(desired, live, children, path)
    return False


def _holds_items(desired: list[Any], live: list[Any], children: Fields, path: Path) -> bool:
    nodes = {_item_key(key)[1]: child for key, child in children.items()}
    names = _item_key(next(iter(children)))[0]
    places = {_identity(item, names): place for place, item in enumerate(live)}
    if len(desired) != len(nodes):
        return False
    last = -1
    for item in desired:
        identity = _identity(item, names)
        place = places.get(identity, -1)
        # Order counts: of containers, and of variables that refer to one another.
        if identity not in nodes or place <= last or not _holds(item, live[place], nodes[identity], (*path, place)):
            return False
        last = place
    return True


@lru_cache(maxsize=4096)
def _item_key(key: str) -> tuple[tuple[str, ...], str]:
    """The names of the fields that identify an item, and its identity, from a key of FieldsV1."""
    values = json.loads(key[2:])
    return tuple(values), _identity(values, tuple(values))


def _identity(item: Any, names: tuple[str, ...]) -> str:
    return json.dumps([dig(item, name, default=_KEY_DEFAULTS.get(name)) for name in sorted(names)])


def _same(desired: Any, live: Any, path: Path) -> bool:
    """Equality of values that are owned as a whole, but for what the API server adds, drops or writes in another form."""
    if type(desired) is type(live) is str and desired == live:
        return True
    if live is None:
        # Zero values are dropped from answers: {name: A, value: ""} comes back as {name: A}.
        return not desired
    if isinstance(desired, dict) and isinstance(live, dict):
        added = ((name, value) for name, value in live.items() if name not in desired and value is not None)
        return all(_same(value, live.get(name), (*path, name)) for name, value in desired.items()) and all(
            value in _DEFAULTS_INSIDE.get(name, ()) for name, value in added
        )
    if isinstance(desired, list) and isinstance(live, list):
        return len(desired) == len(live) and all(_same(*pair, (*path, place)) for place, pair in enumerate(zip(desired, live, strict=True)))
    if _is_quantity(path):
        return same_quantity(desired, live)
    return bool(desired == live) and isinstance(desired, bool) == isinstance(live, bool)


def _is_quantity(path: Path) -> bool:
    if len(path) < 2 or path[0] != "spec":
        return False
    return path[-2] in ("requests", "limits", "capacity") or path[-2:] in (("emptyDir", "sizeLimit"), ("resourceFieldRef", "divisor"))


def _value(text: Any) -> Decimal | None:
    try:
        return quantity(str(text))
    except ValueError:
        return None


def _merge(into: dict[str, Any], tree: Fields) -> None:
    for key, child in tree.items():
        _merge(into.setdefault(key, {}), child)


def _foreign(theirs: Fields, value: Any, wanted: Any, path: Path, allow: frozenset[str]) -> Iterator[Path]:
    for key, node in _children(theirs).items():
        step, place = _step(key, value), _step(key, wanted)
        if step is None:
            continue
        here = (*path, step)
        pointer = _pointer(here)
        if place is not None or any(allowed.startswith(f"{pointer}/") for allowed in allow):
            yield from _foreign(node, value[step], None if place is None else wanted[place], here, allow)
        elif pointer not in allow:
            # The whole of it: a probe without its handler, or a variable without its name, would be refused.
            yield here


def _step(key: str, value: Any) -> str | int | None:
    """Where a key of FieldsV1 lies in a value; None where it does not."""
    kind, name = key[:2], key[2:]
    if kind == "f:" and isinstance(value, Mapping):
        return name if name in value else None
    if kind not in ("k:", "v:") or not isinstance(value, list):
        return None
    wanted = json.loads(name)
    for place, item in enumerate(value):
        if item == wanted if kind == "v:" else _identity(item, tuple(wanted)) == _identity(wanted, tuple(wanted)):
            return place
    return None


def _pointer(path: Path) -> str:
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)
