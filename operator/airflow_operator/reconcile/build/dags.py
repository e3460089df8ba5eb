"""Every source of DAGs as Airflow's pods see it: a folder or a bundle that Airflow fetches itself, and where it comes from."""

from __future__ import annotations

import json
from typing import Any

from airflow_operator.airflow.config import Config
from airflow_operator.api.dags import DagSource
from airflow_operator.reconcile.build import dag_links, git_bundle, git_sync
from airflow_operator.reconcile.references import Reference
from airflow_operator.reconcile.validate import ValidatedCluster


def path(entry: DagSource) -> str:
    """The folder of an entry's DAG files."""
    if entry.image:
        return entry.image.path
    if entry.volume:
        return "/".join(part for part in (git_sync.bundle_root(entry), entry.volume.sub_path) if part)
    return git_sync.bundle_path(entry)


def config(cluster: ValidatedCluster) -> Config:
    """The options that tell Airflow where DAGs are, and, where that can be chosen, who parses them."""
    release = cluster.release
    made: Config = {"scheduler": {"standalone_dag_processor": str(release.standalone)}} if release.scheduler_parses else {}
    if not cluster.spec.dags:
        return made
    if not release.dag_bundle_class:
        return {**made, "core": {"dags_folder": dag_links.FOLDER if dag_links.wanted(cluster) else path(cluster.spec.dags[0])}}
    bundles = [git_bundle.bundle(entry) if git_bundle.fetched(entry) else _folder(cluster, entry) for entry in cluster.spec.dags]
    return {"dag_processor": {"dag_bundle_config_list": json.dumps(bundles, separators=(",", ":"))}}


def mounts(cluster: ValidatedCluster) -> list[dict[str, Any]]:
    """Mounts of an Airflow container that reads DAGs."""
    folder = [dag_links.mount(read_only=True)] if dag_links.wanted(cluster) else []
    return [*(mount for entry in cluster.spec.dags for mount in _mounts(cluster, entry)), *folder]


def volumes(cluster: ValidatedCluster) -> list[dict[str, Any]]:
    """Volumes of a pod that reads DAGs."""
    folder = [dag_links.volume()] if dag_links.wanted(cluster) else []
    return [*(volume for entry in cluster.spec.dags for volume in _volumes(cluster, entry)), *folder]


def init_containers(cluster: ValidatedCluster, *, patient: bool) -> list[dict[str, Any]]:
    """What runs before Airflow starts. `patient`: a task pod waits for a repository instead of failing its task."""
    targets = {entry.name: path(entry) for entry in cluster.spec.dags}
    links = [dag_links.init_container(cluster, targets)] if dag_links.wanted(cluster) else []
    return [*git_sync.init_containers(cluster, patient=patient), *links]


def started_with(cluster: ValidatedCluster) -> list[Reference]:
    """What of the sources is read at the start alone: a new value rolls the pods that read DAGs."""
    return [*git_sync.started_with(cluster), *git_bundle.started_with(cluster)]


def _folder(cluster: ValidatedCluster, entry: DagSource) -> dict[str, Any]:
    return {"name": entry.name, "classpath": cluster.release.dag_bundle_class, "kwargs": {"path": path(entry)}}


def _mounts(cluster: ValidatedCluster, entry: DagSource) -> list[dict[str, Any]]:
    if git_bundle.fetched(entry):
        return [mount for _, mount in git_bundle.files(cluster, entry)]
    if entry.image:
        return []
    return [{"name": git_sync.volume_of(entry), "mountPath": git_sync.bundle_root(entry), "readOnly": True}]


def _volumes(cluster: ValidatedCluster, entry: DagSource) -> list[dict[str, Any]]:
    if entry.volume:
        claim = {"claimName": entry.volume.claim_name, "readOnly": True}
        return [{"name": git_sync.volume_of(entry), "persistentVolumeClaim": claim}]
    if git_bundle.fetched(entry):
        return [volume for volume, _ in git_bundle.files(cluster, entry)]
    return git_sync.volumes(cluster, entry) if entry.git else []
