"""The long-running components of a cluster. A new one is one function here and one line in COMPONENTS."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from airflow_operator.domain import names
from airflow_operator.domain.manifest import Manifest
from airflow_operator.reconcile.build import auth, config, dags, git_sync, ingress, meta, pods, services, task_pods
from airflow_operator.reconcile.build.workload import Mounts, workload
from airflow_operator.reconcile.keys import JWT_PRIVATE, JWT_SECRET, Keys
from airflow_operator.reconcile.validate import ValidatedCluster

Builder = Callable[[ValidatedCluster, Keys], Manifest]

DRAIN = {"preStop": {"sleep": {"seconds": 8}}}
"""Time for the Service to forget a pod that ends: without it a roll refuses connections for a second (measured)."""

LAST_BEATS = {"preStop": {"exec": {"command": ["python", f"{pods.SCRIPTS_DIR}/{config.DRAIN_FILE}"]}}}
"""A scheduler that is told to end waits for its tasks but beats no more: another one would start them a second time."""


def api_server(cluster: ValidatedCluster, keys: Keys) -> Manifest:
    """Deployment of the API server and UI. It signs and checks tokens, so it holds both halves of the key."""
    facts = ingress.proxied(cluster)
    own = _token_key(cluster) if facts.signs_tokens else Mounts()
    if facts.checks_tokens and not cluster.brings(JWT_SECRET):
        own += _config_map("jwks", meta.name_of(config.jwks(cluster, keys)), config.JWKS_DIR)
    own += Mounts(tuple(auth.volumes(cluster)), tuple(auth.mounts(cluster)), tuple(auth.init_containers(cluster)))
    return workload(cluster, keys, facts, cluster.spec.api_server, own, lifecycle=DRAIN)


def scheduler(cluster: ValidatedCluster, keys: Keys) -> Manifest:
    """Deployment of the schedulers, replaced one at a time. They sign task tokens, start task pods, or run tasks themselves."""
    facts, settings = cluster.release.scheduler, cluster.spec.scheduler
    own = _token_key(cluster) if facts.signs_tokens else Mounts()
    if cluster.runs_task_pods:
        own += _config_map("pod-template", meta.name_of(task_pods.template_config_map(cluster)), config.POD_TEMPLATE_DIR)
    if facts.reads_dags:
        own += _dags(cluster, keys, reports=facts is cluster.release.parser)
    if facts.runs_tasks:
        own += _config_map("drain", meta.name_of(config.drain(cluster)), pods.SCRIPTS_DIR)
    return workload(cluster, keys, facts, settings, own, lifecycle=LAST_BEATS if facts.runs_tasks else None)


def dag_processor(cluster: ValidatedCluster, keys: Keys) -> Manifest:
    """Deployment of the DAG processor; its git-sync reports every commit to the operator."""
    facts = cluster.release.dag_processor
    own = _dags(cluster, keys, reports=True) + _probe(cluster)
    return workload(cluster, keys, facts, cluster.settings_of(facts.name), own)


def triggerer(cluster: ValidatedCluster, keys: Keys) -> Manifest:
    """StatefulSet of the triggerer: the API server fetches its logs by host name, which only a StatefulSet's pods have."""
    facts = cluster.release.triggerer
    made = workload(cluster, keys, facts, cluster.spec.triggerer, _dags(cluster, keys, reports=False) + _probe(cluster))
    made["kind"] = "StatefulSet"
    del made["spec"]["strategy"]
    made["spec"]["serviceName"] = meta.name_of(services.triggerer(cluster))
    made["spec"]["podManagementPolicy"] = "Parallel"
    return made


COMPONENTS: Mapping[str, Builder] = MappingProxyType(
    {"api-server": api_server, "scheduler": scheduler, "dag-processor": dag_processor, "triggerer": triggerer}
)
"""Which of them a cluster has, and in which order they change, is a fact of its release."""


def _token_key(cluster: ValidatedCluster) -> Mounts:
    """The private key of tokens; a secret that the user brings in its place is in the environment."""
    if cluster.brings(JWT_SECRET):
        return Mounts()
    secret = {
        "secretName": names.keys(cluster.name),
        "items": [{"key": JWT_PRIVATE, "path": config.JWT_FILE}],
        "defaultMode": 0o440,
    }
    return Mounts(
        volumes=({"name": "jwt", "secret": secret},),
        mounts=({"name": "jwt", "mountPath": config.JWT_DIR, "readOnly": True},),
    )


def _probe(cluster: ValidatedCluster) -> Mounts:
    return _config_map("probes", meta.name_of(config.probes(cluster)), pods.SCRIPTS_DIR)


def _dags(cluster: ValidatedCluster, keys: Keys, *, reports: bool) -> Mounts:
    return Mounts(
        volumes=tuple(dags.volumes(cluster)),
        mounts=tuple(dags.mounts(cluster)),
        init_containers=tuple(dags.init_containers(cluster, patient=False)),
        sidecars=tuple(git_sync.sidecars(cluster, keys, reports=reports)),
    )


def _config_map(name: str, config_map: str, path: str) -> Mounts:
    mount: dict[str, Any] = {"name": name, "mountPath": path, "readOnly": True}
    return Mounts(volumes=(pods.config_map_volume(name, config_map),), mounts=(mount,))
