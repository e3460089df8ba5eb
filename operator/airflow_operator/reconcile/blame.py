"""From the API server's words about a pod to the field of the spec that they are about."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from airflow_operator.api.pods import PodDefaults, PodTemplate
from airflow_operator.domain.manifest import Manifest, dig

Step = str | int
"""A field, an index, or the name of an entry in a list."""


Layers = Sequence[tuple[str, PodDefaults]]
"""Fields of the spec with settings of one kind of pod, and what they hold; the last one wins."""


def field_of(message: str, template: Manifest, main: str, layers: Layers) -> str:
    """The field that the first path in `message` leads to; `main` is the container that Airflow or the server runs in.

    That of the last layer where nothing tells more.
    """
    path = _path(message, template)
    for field, settings in reversed(layers):
        if _depth(_patch(settings), path) == len(path) > 0:
            return f"{field}.podTemplate"
    if "git-sync" in path or "git-sync-init" in path:
        return "spec.gitSync"
    name, entry = _part(path, main)
    for field, settings in reversed(layers):
        if name and _says(settings, name, entry):
            return f"{field}.{name}"
    for field, settings in reversed(layers):
        if _depth(_patch(settings), path) > 1:
            return f"{field}.podTemplate"
    return layers[-1][0]


_FIRST_PATH = re.compile(r"""\bspec\.template\.((?:[A-Za-z][\w-]*|\[(?:"[^"]*"|[^\]"])*\]|\.)+)""")
_STEP = re.compile(r"""\["?([^\]"=]+)"?\]|\[\w+="([^"]*)"[^\]]*\]|([^.\[\]]+)""")


def _path(message: str, template: Manifest) -> tuple[Step, ...]:
    """The first path below the pod template, with names instead of indices: ("spec", "containers", "base", "image")."""
    found = _FIRST_PATH.search(message)
    if found is None:
        return ()
    path: list[Step] = []
    here: Any = template
    for inside, name, plain in _STEP.findall(found.group(1)):
        step: Step = int(inside) if inside.isdigit() else inside or name or plain
        if isinstance(step, int) and (named := dig(_below(here, step), "name")):
            step = named
        here = _below(here, step)
        path.append(step)
    return tuple(path)


def _below(value: Any, step: Step) -> Any:
    if isinstance(value, list | tuple):
        if isinstance(step, int):
            return value[step] if step < len(value) else None
        return next((item for item in value if isinstance(item, Mapping) and step in (item.get("name"), item.get("mountPath"))), None)
    return value.get(step) if isinstance(value, Mapping) else None


def _patch(settings: PodDefaults) -> Mapping[str, Any]:
    template = getattr(settings, "pod_template", None)
    if not isinstance(template, PodTemplate):
        return {}
    meta = template.metadata
    return {"spec": template.spec or {}, "metadata": {"labels": meta.labels, "annotations": meta.annotations} if meta else {}}


def _depth(patch: Mapping[str, Any], path: Sequence[Step]) -> int:
    """How many steps of a path a patch has."""
    here: Any = patch
    for depth, step in enumerate(path):
        here = _below(here, step)
        if here is None:
            return depth
    return len(path)


_DIRECT = {
    "nodeSelector",
    "tolerations",
    "affinity",
    "topologySpreadConstraints",
    "priorityClassName",
    "volumes",
    "initContainers",
}
_OF_MAIN = {"securityContext", "volumeMounts", "resources", "env", "envFrom"}


def _part(path: Sequence[Step], main: str) -> tuple[str, Step]:
    """The field of pod settings that a path belongs to, and the entry in it where it is a list of named ones."""
    match path:
        case ["metadata", "labels" | "annotations" as name, *_]:
            return str(name), ""
        case ["spec", "securityContext", *_]:
            return "podSecurityContext", ""
        case ["spec", "volumes" | "initContainers" as name, entry, *_]:
            return str(name), entry
        case ["spec", name, *_] if name in _DIRECT:
            return str(name), ""
        case ["spec", "containers", container, name, *_] if container == main and name in _OF_MAIN:
            return str(name), ""
        case ["spec", "containers", container, *_]:
            return "extraContainers", container
    return "", ""


def _says(settings: PodDefaults, name: str, entry: Step) -> bool:
    value = next((getattr(settings, key) for key, info in type(settings).model_fields.items() if info.alias == name), None)
    if isinstance(entry, str) and entry and isinstance(value, tuple):
        return any(item.get("name") == entry for item in value)
    return bool(value)
