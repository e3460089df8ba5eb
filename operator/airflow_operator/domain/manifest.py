"""Kubernetes objects as plain data, and what identifies them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

Manifest = dict[str, Any]
"""A Kubernetes object as JSON."""

Live = Mapping[str, Any]
"""An object as the API server answered it; never changed in place."""


@dataclass(frozen=True, order=True)
class Kind:
    """A kind of object and where its REST path lies."""

    api_version: str
    kind: str
    plural: str
    namespaced: bool = True


class ObjectKey(NamedTuple):
    """What identifies an object within the API server."""

    api_version: str
    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


def key_of(manifest: Live) -> ObjectKey:
    """The key of an object; `namespace` is empty for cluster-scoped ones."""
    meta = manifest["metadata"]
    return ObjectKey(manifest["apiVersion"], manifest["kind"], meta.get("namespace", ""), meta["name"])


def dig(manifest: Live | None, *path: str | int, default: Any = None) -> Any:
    """The value at `path`, or `default` where any step of it is missing or null."""
    value: Any = manifest
    for step in path:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return default
    return default if value is None else value
