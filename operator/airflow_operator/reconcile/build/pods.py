"""The parts that every pod of a cluster is made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from airflow_operator.airflow.facts import AIRFLOW_HOME, AIRFLOW_UID
from airflow_operator.api.common import Image, Resources
from airflow_operator.api.pods import PodDefaults
from airflow_operator.domain import images
from airflow_operator.domain.manifest import Manifest
from airflow_operator.reconcile.build.overlay import overlay

CONFIG_DIR = f"{AIRFLOW_HOME}/config"
SCRIPTS_DIR = f"{AIRFLOW_HOME}/operator"
LOGS_DIR = f"{AIRFLOW_HOME}/logs"

CONTAINER_SECURITY: Mapping[str, Any] = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}
"""What Pod Security's restricted level asks of a container."""

REQUESTS: Mapping[str, Mapping[str, str]] = {
    "api-server": {"cpu": "200m", "memory": "512Mi"},
    "scheduler": {"cpu": "100m", "memory": "384Mi"},
    # A scheduler that runs tasks itself: one of them is a process of 100 to 150 MiB.
    "worker": {"cpu": "500m", "memory": "1Gi"},
    "dag-processor": {"cpu": "100m", "memory": "320Mi"},
    "triggerer": {"cpu": "100m", "memory": "320Mi"},
    "git-sync": {"cpu": "10m", "memory": "32Mi"},
    "task": {"cpu": "100m", "memory": "256Mi"},
    "postgres": {"cpu": "100m", "memory": "256Mi"},
    "statsd": {"cpu": "10m", "memory": "64Mi"},
    "copy": {"cpu": "10m", "memory": "16Mi"},
    "job": {"cpu": "100m", "memory": "256Mi"},
}
"""Requests where nobody asks for others, near to what was measured idle; without any a busy node starves the API server."""


def container_security(uid: int | None = None, gid: int | None = None) -> dict[str, Any]:
    """A container's security context at Pod Security's restricted level."""
    ids = {"runAsUser": uid, "runAsGroup": gid}
    return {**CONTAINER_SECURITY, **{key: value for key, value in ids.items() if value is not None}}


def airflow_security() -> dict[str, Any]:
    """Security context of pods of the Airflow image: its user, and group 0, which owns AIRFLOW_HOME and mounted keys."""
    return security(AIRFLOW_UID, 0, large_volumes=True)


def security(user: int, group: int, *, large_volumes: bool) -> dict[str, Any]:
    """Security context of a pod with this user; the owners of large volumes are looked at only where the topmost is another."""
    return {
        "runAsUser": user,
        "runAsGroup": group,
        "runAsNonRoot": True,
        "fsGroup": group,
        **({"fsGroupChangePolicy": "OnRootMismatch"} if large_volumes else {}),
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def resources(name: str, *layers: Resources | None) -> dict[str, Any]:
    """Resources of a container: the default requests, then each layer that says something; maps merge, the last wins."""
    requests: dict[str, Any] = {}
    limits: dict[str, Any] = {}
    for layer in layers:
        if layer is not None:
            requests.update(layer.requests)
            limits.update(layer.limits)
    # Where only a limit is given it is the request too: the default could be above it.
    requests = {**REQUESTS[name], **limits, **requests}
    return {"requests": requests, **({"limits": limits} if limits else {})}


def environment(*layers: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Environment variables of all layers; a later one of the same name wins and takes its place."""
    merged: dict[str, dict[str, Any]] = {}
    for layer in layers:
        for variable in layer:
            merged.pop(variable["name"], None)
            merged[variable["name"]] = dict(variable)
    return list(merged.values())


def variables(values: Mapping[str, str]) -> list[dict[str, Any]]:
    """Environment variables with plain values."""
    return [{"name": name, "value": value} for name, value in values.items()]


def from_secret(variable: str, secret: str, key: str) -> dict[str, Any]:
    """An environment variable that holds a Secret's member."""
    return {"name": variable, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}


def config_map_volume(name: str, config_map: str) -> dict[str, Any]:
    """A volume of a whole ConfigMap."""
    return {"name": name, "configMap": {"name": config_map}}


def plain(models: Iterable[Any]) -> list[dict[str, Any]]:
    """API models as the JSON that a pod takes."""
    return [model.model_dump(by_alias=True, exclude_none=True, mode="json") for model in models]


def image(settings: Image, default: str) -> str:
    """An image as the container runtime takes it: `default`, as far as the settings name nothing else."""
    repository, tag, digest = images.split(default)
    named = settings.tag or settings.digest
    return images.joined(settings.repository or repository, settings.tag or tag, settings.digest or ("" if named else digest))


def pull_secrets(*images: Image) -> dict[str, Any]:
    """`imagePullSecrets` where any of the images needs some."""
    found = dict.fromkeys(ref.name for settings in images for ref in settings.pull_secrets)
    return {"imagePullSecrets": [{"name": name} for name in found]} if found else {}


def scheduling(*layers: PodDefaults) -> dict[str, Any]:
    """Where pods may run: each layer overrides the one before (maps merge, lists and affinity are replaced; an empty list leaves none)."""
    merged: dict[str, Any] = {}
    for layer in layers:
        if layer.node_selector:
            merged["nodeSelector"] = {**merged.get("nodeSelector", {}), **layer.node_selector}
        if layer.tolerations is not None:
            merged["tolerations"] = list(layer.tolerations)
        if layer.affinity is not None:
            merged["affinity"] = dict(layer.affinity)
        if layer.topology_spread_constraints is not None:
            merged["topologySpreadConstraints"] = list(layer.topology_spread_constraints)
        if layer.priority_class_name:
            merged["priorityClassName"] = layer.priority_class_name
    return {name: value for name, value in merged.items() if value != []}


def laid_over(context: Mapping[str, Any], *patches: Mapping[str, Any] | None) -> dict[str, Any]:
    """A security context with what each patch says of it; the last wins."""
    made = dict(context)
    for patch in patches:
        made = overlay(made, patch or {})
    return made


def secured(spec: Mapping[str, Any], main: str, *layers: PodDefaults) -> dict[str, Any]:
    """The spec of a pod with the security contexts that the layers ask for; `main` is the container that they mean."""
    containers = []
    for item in spec["containers"]:
        context = laid_over(item["securityContext"], *(layer.security_context for layer in layers)) if item["name"] == main else None
        containers.append({**item, "securityContext": context} if context is not None else item)
    context = laid_over(spec["securityContext"], *(layer.pod_security_context for layer in layers))
    return {**spec, "securityContext": context, "containers": containers}


def merged_maps(*layers: Mapping[str, str] | None) -> dict[str, str]:
    """Labels or annotations of several layers; the last wins."""
    return {key: value for layer in layers for key, value in (layer or {}).items()}


def pod(spec: dict[str, Any], labels: Mapping[str, str], annotations: Mapping[str, str]) -> Manifest:
    """A pod template."""
    meta: dict[str, Any] = {"labels": dict(labels)}
    if annotations:
        meta["annotations"] = dict(annotations)
    return {"metadata": meta, "spec": spec}
