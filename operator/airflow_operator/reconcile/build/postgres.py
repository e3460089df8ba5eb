"""The embedded PostgreSQL of an AirflowBase."""

from __future__ import annotations

import base64
from typing import Any

from airflow_operator.api import AirflowBaseSpec
from airflow_operator.api.base import Postgres
from airflow_operator.domain import images, labels, names
from airflow_operator.domain.kinds import API_VERSION
from airflow_operator.domain.manifest import Live, Manifest, dig
from airflow_operator.reconcile.build import pods

SUPERUSER = "postgres"
PASSWORD = "password"  # the member of the Secret, not a password
PORT = 5432
UID = 999
"""User of the official image."""

OPERATOR_UID = 65532
"""User of the operator's own image."""

DATA = "/var/lib/postgresql/data"
PGDATA = f"{DATA}/pgdata"
PASSWORD_DIR = "/run/secrets/postgres"

# Single-user mode: no other server has the data open before the pod's own, and it asks for no password. It takes one statement a line.
SET_PASSWORD = f"""
test -s "$PGDATA/PG_VERSION" || exit 0
password=$(sed "s/'/''/g" {PASSWORD_DIR}/{PASSWORD})
echo "ALTER ROLE {SUPERUSER} PASSWORD '$password'" | postgres --single -D "$PGDATA" postgres >/dev/null
"""


def postgres(
    name: str, namespace: str, uid: str, spec: AirflowBaseSpec, password_to_set: str = "", default_image: str = images.POSTGRES
) -> list[Manifest]:
    """Service and StatefulSet. The password Secret is made once beside them; the claim outlives everything.

    `password_to_set`: UID of a password Secret that the server's data does not know yet. `default_image` has no tag.
    """
    settings = spec.database.postgres
    if settings is None:
        return []
    owner = {
        "apiVersion": API_VERSION,
        "kind": "AirflowBase",
        "name": name,
        "uid": uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }
    meta = {
        "name": names.postgres(name),
        "namespace": namespace,
        "labels": labels.of_base(name, "postgres"),
        "ownerReferences": [owner],
    }
    image = pods.image(settings.image, f"{default_image}:{settings.version}")
    server = _stateful_set(meta, name, spec, settings, image)
    if password_to_set:
        template = server["spec"]["template"]
        template["metadata"]["annotations"] = {**template["metadata"].get("annotations", {}), labels.SET_PASSWORD: password_to_set}
        template["spec"]["initContainers"] = [_set_password(settings, spec, image)]
    return [_service(meta, name), server]


def selector(name: str) -> dict[str, str]:
    """Labels of the server's pod; never changed."""
    return {labels.BASE: name, labels.COMPONENT: "postgres"}


def password_to_set(secret: Live) -> str:
    """UID of a password Secret that was made for data which has another password; empty for any other."""
    marked = labels.SET_PASSWORD in dig(secret, "metadata", "annotations", default={})
    return str(secret["metadata"]["uid"]) if marked else ""


def password_secret(name: str, namespace: str, password: str, *, to_set: bool = False) -> Manifest:
    """The superuser's password; it outlives the base, as the data does. `to_set`: the data has another one already."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": names.postgres(name),
            "namespace": namespace,
            "labels": labels.retained(labels.of_base(name, "postgres")),
            "annotations": {**labels.KEPT_BY_ARGO_CD, **({labels.SET_PASSWORD: "true"} if to_set else {})},
        },
        "type": "Opaque",
        "data": {PASSWORD: base64.b64encode(password.encode()).decode()},
    }


def _service(meta: dict[str, Any], name: str) -> Manifest:
    port = {"name": "postgresql", "port": PORT, "targetPort": "postgresql", "protocol": "TCP"}
    # A busy node must not take the only endpoint away: clients that are refused crash, clients that wait do not.
    spec = {"type": "ClusterIP", "publishNotReadyAddresses": True, "selector": selector(name), "ports": [port]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": dict(meta), "spec": spec}


def _stateful_set(meta: dict[str, Any], name: str, spec: AirflowBaseSpec, settings: Postgres, image: str) -> Manifest:
    claim: dict[str, Any] = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": settings.storage.size}}}
    if settings.storage.storage_class_name:
        claim["storageClassName"] = settings.storage.storage_class_name
    kept = labels.retained(labels.of_base(name, "postgres"))
    claim_template = {
        "metadata": {"name": "data", "labels": kept, "annotations": dict(labels.KEPT_BY_ARGO_CD)},
        "spec": claim,
    }
    marks = {**pods.merged_maps(spec.pods.labels), **labels.of_base(name, "postgres")}
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": dict(meta),
        "spec": {
            "replicas": 1,
            "serviceName": names.postgres(name),
            "selector": {"matchLabels": selector(name)},
            "template": pods.pod(
                pods.secured(_pod(name, spec, settings, image), "postgres", spec.pods), marks, pods.merged_maps(spec.pods.annotations)
            ),
            "volumeClaimTemplates": [claim_template],
            "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Retain"},
        },
    }


def _pod(name: str, spec: AirflowBaseSpec, settings: Postgres, image: str) -> dict[str, Any]:
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": pods.security(UID, UID, large_volumes=True),
        # Time for a checkpoint: a server that is killed replays its log at the next start.
        "terminationGracePeriodSeconds": 120,
        "containers": [_container(name, settings, spec, image)],
        "volumes": [
            {"name": "run", "emptyDir": {}},
            {"name": "shared-memory", "emptyDir": {"medium": "Memory", "sizeLimit": "256Mi"}},
            {"name": "password", "secret": {"secretName": names.postgres(name), "defaultMode": 0o440}},
        ],
        **pods.pull_secrets(settings.image),
        **pods.scheduling(spec.pods),
    }


def _container(name: str, settings: Postgres, spec: AirflowBaseSpec, image: str) -> dict[str, Any]:
    probe = {"tcpSocket": {"port": "postgresql"}, "timeoutSeconds": 5}
    parameters = [part for key, value in sorted(settings.parameters.items()) for part in ("-c", f"{key}={value}")]
    return {
        "name": "postgres",
        "image": image,
        "imagePullPolicy": settings.image.pull_policy,
        "args": ["postgres", *parameters],
        "env": [
            {"name": "PGDATA", "value": PGDATA},
            {"name": "POSTGRES_USER", "value": SUPERUSER},
            {"name": "POSTGRES_PASSWORD_FILE", "value": f"{PASSWORD_DIR}/{PASSWORD}"},
            {"name": "POSTGRES_INITDB_ARGS", "value": "--encoding=UTF8 --locale=C.UTF-8 --auth-host=scram-sha-256"},
        ],
        "ports": [{"name": "postgresql", "containerPort": PORT}],
        # An open port is enough: pg_isready once a second costs a tenth of a core, and dropped the endpoint on a busy node.
        "startupProbe": {**probe, "periodSeconds": 1, "failureThreshold": 300},
        "readinessProbe": {**probe, "periodSeconds": 10, "failureThreshold": 6},
        "livenessProbe": {**probe, "periodSeconds": 20, "failureThreshold": 6},
        "resources": pods.resources("postgres", spec.pods.resources, settings.resources),
        "securityContext": pods.container_security(),
        "volumeMounts": [
            {"name": "data", "mountPath": DATA},
            {"name": "run", "mountPath": "/var/run/postgresql"},
            {"name": "shared-memory", "mountPath": "/dev/shm"},
            {"name": "password", "mountPath": PASSWORD_DIR, "readOnly": True},
        ],
    }


def _set_password(settings: Postgres, spec: AirflowBaseSpec, image: str) -> dict[str, Any]:
    """Brings the superuser's password to what the Secret says, before the server starts."""
    return {
        "name": "set-password",
        "image": image,
        "imagePullPolicy": settings.image.pull_policy,
        "command": ["sh", "-euc", SET_PASSWORD],
        "env": [{"name": "PGDATA", "value": PGDATA}],
        "resources": pods.resources("postgres", spec.pods.resources, settings.resources),
        "securityContext": pods.container_security(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [
            {"name": "data", "mountPath": DATA},
            {"name": "shared-memory", "mountPath": "/dev/shm"},
            {"name": "password", "mountPath": PASSWORD_DIR, "readOnly": True},
        ],
    }
