"""Task logs in a store outside of the cluster, and the clean-up of those on a volume."""

from __future__ import annotations

from typing import Any

from airflow_operator.airflow.config import Config
from airflow_operator.domain import labels
from airflow_operator.domain.durations import seconds
from airflow_operator.domain.hashing import digest
from airflow_operator.domain.manifest import Manifest
from airflow_operator.jobs.sources import airflow_file
from airflow_operator.reconcile.build import custom, meta, pods, rbac, storage
from airflow_operator.reconcile.validate import ValidatedCluster

COMPONENT = "log-retention"
SCRIPT = "log_retention.py"


def defaults(cluster: ValidatedCluster) -> Config:
    """Options of remote logs that `config` may say otherwise."""
    if cluster.spec.logs is None or cluster.spec.logs.remote is None:
        return {}
    # What has been sent is read from the store: a copy in the triggerer would fill its disk.
    return {"logging": {"remote_logging": "True", "delete_local_logs": "True"}}


def owned(cluster: ValidatedCluster) -> Config:
    """Options that follow from spec.logs."""
    remote = cluster.spec.logs.remote if cluster.spec.logs else None
    if remote is None:
        return {}
    return {"logging": {"remote_base_log_folder": remote.url, "remote_log_conn_id": remote.connection_id or ""}}


def objects(cluster: ValidatedCluster) -> list[Manifest]:
    """The CronJob that removes old logs, and its script; nothing where no retention is asked for."""
    retention = cluster.spec.logs.retention if cluster.spec.logs else None
    return [_script(cluster), _cron_job(cluster, retention)] if retention else []


def _script(cluster: ValidatedCluster) -> Manifest:
    return meta.config_map(cluster, COMPONENT, {SCRIPT: airflow_file(SCRIPT)})


def _cron_job(cluster: ValidatedCluster, retention: str) -> Manifest:
    # Clusters do not all begin at the same minute.
    minute = int(digest([cluster.namespace, cluster.name]), 16) % 60
    spec = {
        "schedule": f"{minute} 3 * * *",
        # Said, so that it is put right where somebody else says otherwise.
        "suspend": False,
        "concurrencyPolicy": "Forbid",
        "successfulJobsHistoryLimit": 1,
        "failedJobsHistoryLimit": 1,
        "jobTemplate": {"spec": {"backoffLimit": 0, "template": _pod(cluster, retention)}},
    }
    return meta.child(cluster, "batch/v1", "CronJob", COMPONENT, spec=spec)


def _pod(cluster: ValidatedCluster, retention: str) -> Manifest:
    defaults, own = cluster.spec.pods, cluster.spec.jobs
    # Without the managed-by label: the operator need not be told of it.
    marks = {key: value for key, value in labels.of_cluster(cluster.name, COMPONENT).items() if key != labels.MANAGED_BY}
    container: dict[str, Any] = {
        "name": COMPONENT,
        "image": cluster.image,
        "imagePullPolicy": cluster.spec.image.pull_policy,
        "args": ["python", f"{pods.SCRIPTS_DIR}/{SCRIPT}", pods.LOGS_DIR, str(int(seconds(retention)))],
        "resources": pods.resources("copy"),
        "securityContext": pods.container_security(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [storage.logs_mount(), {"name": "script", "mountPath": pods.SCRIPTS_DIR, "readOnly": True}],
    }
    spec = {
        "serviceAccountName": rbac.account_name(cluster, "jobs"),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "restartPolicy": "Never",
        "activeDeadlineSeconds": 6 * 3600,
        "securityContext": pods.airflow_security(),
        "containers": [container],
        "volumes": [storage.logs_volume(cluster), pods.config_map_volume("script", meta.name_of(_script(cluster)))],
        **pods.pull_secrets(cluster.spec.image),
        **pods.scheduling(defaults, own),
    }
    notes = pods.merged_maps(defaults.annotations, own.annotations)
    template = pods.pod(spec, {**pods.merged_maps(defaults.labels, own.labels), **marks}, notes)
    return custom.customized(template, COMPONENT, custom.layers(cluster, "jobs", own), image=cluster.image)
