"""A Job in the operator's own image: it works on database servers, and holds what no image of a tenant may see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from airflow_operator.api import AirflowBaseSpec
from airflow_operator.api.common import Resources
from airflow_operator.api.pods import PodDefaults
from airflow_operator.domain.manifest import Manifest
from airflow_operator.reconcile.build import pods
from airflow_operator.reconcile.build.postgres import OPERATOR_UID

FILES = "/run/secrets/provision"
"""Where a Job finds its files."""

DEADLINE = 300
"""Seconds that its pod may take."""


@dataclass(frozen=True)
class Errand:
    """What one such Job does: a module of `jobs`, its environment, and the projected sources of its files."""

    name: str
    module: str
    env: Mapping[str, str]
    sources: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Crew:
    """What runs it, and as which pod."""

    settings: PodDefaults
    image: str
    pull_policy: str = "IfNotPresent"
    pull_secrets: Mapping[str, Any] = field(default_factory=dict)
    resources: tuple[Resources, ...] = ()


def crew_of_base(spec: AirflowBaseSpec, operator_image: str) -> Crew:
    """What runs beside a base: all of it from the base alone."""
    own = spec.jobs.image
    layers = (spec.pods.resources, spec.jobs.resources)
    if own is None:
        return Crew(spec.pods, operator_image, resources=layers)
    return Crew(spec.pods, pods.image(own, operator_image), own.pull_policy, pods.pull_secrets(own), layers)


def job(metadata: Mapping[str, Any], errand: Errand, crew: Crew) -> Manifest:
    """The Job. Its labels are those of its pods too, below what the user adds to them."""
    container = {
        "name": errand.name,
        "image": crew.image,
        "imagePullPolicy": crew.pull_policy,
        "command": ["python", "-m", f"airflow_operator.jobs.{errand.module}"],
        "env": pods.variables(errand.env),
        "resources": pods.resources("job", *crew.resources),
        "securityContext": {**pods.container_security(OPERATOR_UID, OPERATOR_UID), "readOnlyRootFilesystem": True},
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [{"name": "provision", "mountPath": FILES, "readOnly": True}],
    }
    spec = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "restartPolicy": "Never",
        "activeDeadlineSeconds": DEADLINE,
        "securityContext": {"fsGroup": OPERATOR_UID, "runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
        **crew.pull_secrets,
        "volumes": [{"name": "provision", "projected": {"sources": list(errand.sources), "defaultMode": 0o440}}],
        **pods.scheduling(crew.settings),
    }
    marks = {**crew.settings.labels, **metadata["labels"]}
    template = pods.pod(pods.secured(spec, errand.name, crew.settings), marks, crew.settings.annotations)
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": dict(metadata), "spec": {"backoffLimit": 2, "template": template}}


def secret_files(secret: str, **members: str) -> dict[str, Any]:
    """A projected source: members of a Secret, by the names of their files (with _ for -)."""
    items = [{"key": key, "path": path.replace("_", "-")} for path, key in members.items()]
    return {"secret": {"name": secret, "items": items}}
