"""Manifests against Kubernetes' own schemas, without a cluster."""

from __future__ import annotations

from functools import cache
from typing import Any

import kubernetes_validate
from kubernetes_validate import utils

from airflow_operator.domain.manifest import Manifest

OLDEST = "1.30"
"""The oldest Kubernetes that the operator promises to work on."""

NEWEST = kubernetes_validate.latest_version()

# The package reads its files again for every object: a second for a handful.
utils.schema_contents = cache(utils.schema_contents)


def faults(manifest: Manifest, version: str) -> list[str]:
    """What Kubernetes of that version would not take; unknown fields are faults too."""
    if manifest["apiVersion"].startswith("gateway.networking.k8s.io/"):
        # Not Kubernetes' own: its CRD judges it.
        return []
    try:
        kubernetes_validate.validate(manifest, version, strict=True)
    except kubernetes_validate.ValidationError as error:
        return [f"{manifest['kind']} {manifest['metadata']['name']}: {_path(error)}: {error.message}"]
    return []


def _path(error: Any) -> str:
    return ".".join(str(step) for step in error.absolute_path)
