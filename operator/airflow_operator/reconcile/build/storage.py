"""Where task logs lie."""

from __future__ import annotations

from typing import Any

from airflow_operator.api.logs import LogVolume
from airflow_operator.domain import labels, names
from airflow_operator.domain.manifest import Manifest
from airflow_operator.reconcile.build import pods
from airflow_operator.reconcile.validate import ValidatedCluster


def logs_claim(cluster: ValidatedCluster) -> Manifest | None:
    """The PersistentVolumeClaim of the logs; None where the user brings one or wants none. It outlives the cluster."""
    volume = _wanted(cluster)
    if volume is None or volume.claim_name:
        return None
    spec: dict[str, Any] = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": volume.size}}}
    if volume.storage_class_name:
        spec["storageClassName"] = volume.storage_class_name
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": names.logs(cluster.name),
            "namespace": cluster.namespace,
            "labels": labels.retained(labels.of_cluster(cluster.name, "logs")),
            "annotations": dict(labels.KEPT_BY_ARGO_CD),
        },
        "spec": spec,
    }


def logs_volume(cluster: ValidatedCluster) -> dict[str, Any]:
    """The pods' volume of the logs."""
    volume = _wanted(cluster)
    if volume is None:
        return {"name": "logs", "emptyDir": {}}
    return {"name": "logs", "persistentVolumeClaim": {"claimName": volume.claim_name or names.logs(cluster.name)}}


def logs_mount() -> dict[str, Any]:
    """Where Airflow writes and reads task logs."""
    return {"name": "logs", "mountPath": pods.LOGS_DIR}


def _wanted(cluster: ValidatedCluster) -> LogVolume | None:
    return cluster.spec.logs.volume if cluster.spec.logs else None
