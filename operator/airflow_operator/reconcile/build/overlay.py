"""A last-word overlay on a pod template, merged as Kubernetes' strategic merge patch does."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

MERGE_KEYS: Mapping[str, str] = {
    "containers": "name",
    "initContainers": "name",
    "ephemeralContainers": "name",
    "env": "name",
    "volumes": "name",
    "volumeMounts": "mountPath",
    "volumeDevices": "devicePath",
    "ports": "containerPort",
    "imagePullSecrets": "name",
    "hostAliases": "ip",
    "topologySpreadConstraints": "topologyKey",
    "resourceClaims": "name",
    "ownerReferences": "uid",
}
"""Patch merge keys of core/v1 PodTemplateSpec; a list that is not here is replaced whole."""


DIRECTIVES = ("$patch", "$retainKeys")
"""Fields of a patch that say how to merge; they are never part of the result."""


def overlay(base: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """`patch` over `base`; null removes a field, `$patch: delete | replace` and `$retainKeys` do what they do in kubectl.

    A list that is empty in the end is left out: of most of them an API server keeps no trace, so that they could not be told to be there.
    """
    if patch.get("$patch") == "replace":
        return overlay({}, {key: value for key, value in patch.items() if key != "$patch"})
    kept = patch.get("$retainKeys")
    merged = {key: deepcopy(value) for key, value in base.items() if kept is None or key in kept}
    for key, value in patch.items():
        if key in DIRECTIVES:
            continue
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, Mapping):
            if value.get("$patch") == "delete":
                merged.pop(key, None)
            else:
                below = merged.get(key)
                merged[key] = overlay(below if isinstance(below, Mapping) else {}, value)
        elif isinstance(value, list) and key in MERGE_KEYS and all(isinstance(item, Mapping) for item in value):
            merged[key] = _merged_list(merged.get(key) or [], value, MERGE_KEYS[key])
        else:
            merged[key] = deepcopy(value)
    return {key: value for key, value in merged.items() if value != []}


def _merged_list(base: list[dict[str, Any]], patch: list[dict[str, Any]], key: str) -> list[dict[str, Any]]:
    if any(set(item) == {"$patch"} and item["$patch"] == "replace" for item in patch):
        return [deepcopy(item) for item in patch if set(item) != {"$patch"}]
    merged = [dict(item) for item in base]
    for item in patch:
        place = next((i for i, other in enumerate(merged) if key in item and other.get(key) == item[key]), None)
        if item.get("$patch") == "delete":
            if place is not None:
                del merged[place]
        elif place is None:
            merged.append(overlay({}, item))
        else:
            merged[place] = overlay(merged[place], item)
    return merged
