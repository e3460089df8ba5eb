"""One Deployment for one component: what all of them share."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airflow_operator.airflow.facts import Component
from airflow_operator.api.pods import Component as Settings
from airflow_operator.api.pods import Scheduler
from airflow_operator.domain import labels
from airflow_operator.domain.durations import seconds
from airflow_operator.domain.hashing import digest
from airflow_operator.domain.manifest import Manifest, dig
from airflow_operator.reconcile import references
from airflow_operator.reconcile.build import airflow_env, custom, dags, meta, pods, rbac, storage
from airflow_operator.reconcile.keys import Keys
from airflow_operator.reconcile.references import Reference
from airflow_operator.reconcile.validate import ValidatedCluster


@dataclass(frozen=True)
class Mounts:
    """What a component has beside the common parts."""

    volumes: tuple[dict[str, Any], ...] = ()
    mounts: tuple[dict[str, Any], ...] = ()
    init_containers: tuple[dict[str, Any], ...] = ()
    sidecars: tuple[dict[str, Any], ...] = ()

    def __add__(self, other: Mounts) -> Mounts:
        """Both together."""
        return Mounts(
            self.volumes + other.volumes,
            self.mounts + other.mounts,
            self.init_containers + other.init_containers,
            self.sidecars + other.sidecars,
        )


def workload(
    cluster: ValidatedCluster,
    keys: Keys,
    facts: Component,
    settings: Settings,
    own: Mounts,
    *,
    lifecycle: dict[str, Any] | None = None,
) -> Manifest:
    """The Deployment of a component."""
    # A pod that never becomes ready, for a wrong git ref say, must not have cost one that works.
    rolling = {"maxSurge": 1, "maxUnavailable": 0}
    made_template = _template(cluster, keys, facts, settings, own, lifecycle)
    template = custom.customized(made_template, facts.name, custom.layers(cluster, facts.field_name, settings), image=cluster.image)
    made = meta.child(
        cluster,
        "apps/v1",
        "Deployment",
        facts.name,
        spec={
            "replicas": settings.replicas,
            "selector": {"matchLabels": labels.selector(cluster.name, facts.name)},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": rolling},
            "template": template,
        },
    )
    made["metadata"]["annotations"] = {labels.TEMPLATE: digest(template)}
    return made


def _template(
    cluster: ValidatedCluster, keys: Keys, facts: Component, settings: Settings, own: Mounts, lifecycle: dict[str, Any] | None
) -> Manifest:
    defaults = cluster.spec.pods
    marks = labels.of_cluster(cluster.name, facts.name)
    given = pods.merged_maps(defaults.labels, settings.labels)
    notes = pods.merged_maps(defaults.annotations, settings.annotations)
    spec: dict[str, Any] = {
        "serviceAccountName": rbac.account_name(cluster, facts.name),
        "automountServiceAccountToken": rbac.needs_token(cluster, facts.name),
        # A Service named airflow-... would otherwise inject AIRFLOW_* variables.
        "enableServiceLinks": False,
        "securityContext": pods.airflow_security(),
        "terminationGracePeriodSeconds": _grace(facts, settings),
        "containers": [_container(cluster, facts, settings, own, lifecycle), *own.sidecars],
        "volumes": [*airflow_env.volumes(cluster), *airflow_env.database_volumes(cluster), *own.volumes, storage.logs_volume(cluster)],
        **({"initContainers": list(own.init_containers)} if own.init_containers else {}),
        **pods.pull_secrets(cluster.spec.image, cluster.spec.git_sync.image),
        **pods.scheduling(defaults, settings),
    }
    return pods.pod(spec, {**given, **marks}, {**notes, labels.CHECKSUM: _checksum(cluster, keys, facts, settings)})


def _container(
    cluster: ValidatedCluster, facts: Component, settings: Settings, own: Mounts, lifecycle: dict[str, Any] | None
) -> dict[str, Any]:
    ports = [{"name": name, "containerPort": port} for name, port in facts.ports.items()]
    return {
        "name": facts.name,
        "image": cluster.image,
        "imagePullPolicy": cluster.spec.image.pull_policy,
        "args": ["bash", "-c", f"exec airflow {facts.command}"],
        "env": airflow_env.of_component(cluster, facts, settings),
        **airflow_env.env_from(cluster, settings.env_from),
        **({"ports": ports} if ports else {}),
        **{name: _under(cluster.base_path, probe) for name, probe in facts.probes.items()},
        **({"lifecycle": lifecycle} if lifecycle else {}),
        "resources": pods.resources("worker" if facts.runs_tasks else facts.name, cluster.spec.pods.resources, settings.resources),
        "securityContext": pods.container_security(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [*airflow_env.mounts(cluster), *airflow_env.database_mounts(cluster), *own.mounts, storage.logs_mount()],
    }


def _grace(facts: Component, settings: Settings) -> int:
    wanted = settings.drain_timeout if isinstance(settings, Scheduler) else None
    return math.ceil(seconds(wanted)) if wanted else facts.grace


def _under(path: str, probe: Mapping[str, Any]) -> dict[str, Any]:
    """A probe of the API server below its base path; other probes as they are."""
    if not path or dig(probe, "httpGet", "port") != 8080:
        return dict(probe)
    return {**probe, "httpGet": {**probe["httpGet"], "path": f"{path}{probe['httpGet']['path']}"}}


def _checksum(cluster: ValidatedCluster, keys: Keys, facts: Component, settings: Settings) -> str:
    """Changes with any Secret or ConfigMap that this component was started with; without the cluster's key it says nothing."""
    wanted = [reference for reference in references.of_spec(cluster.spec) if reference.field.startswith(("spec.env[", "spec.envFrom["))]
    wanted += [*references.of_environment(settings.env, facts.name), *references.of_env_from(settings.env_from, facts.name)]
    wanted += [*references.of_database(cluster.spec), *_keys_of(cluster, facts)]
    wanted += references.of_every_container(cluster.spec)
    if facts.name == cluster.release.api_server.name:
        wanted += references.of_login(cluster.spec)
    if facts.reads_dags:
        wanted += dags.started_with(cluster)
    return keys.checksum([dict(keys.data), cluster.base.endpoint, cluster.referenced_data(wanted)])


def _keys_of(cluster: ValidatedCluster, facts: Component) -> list[Reference]:
    """The user's own keys that a component is started with."""
    held = {"spec.keys.fernet": True, "spec.keys.jwt": facts.signs_tokens}
    return [reference for reference in references.of_keys(cluster.spec) if held.get(reference.field, facts.serves_logs)]
