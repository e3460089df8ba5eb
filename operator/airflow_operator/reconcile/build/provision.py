"""The Jobs in the operator's own image that make, drop or look at a cluster's database."""

from __future__ import annotations

import json
from typing import Any

from airflow_operator.api.external import External
from airflow_operator.domain import labels, names
from airflow_operator.domain.hashing import digest
from airflow_operator.domain.manifest import Manifest
from airflow_operator.reconcile import certificates, evidence, keys
from airflow_operator.reconcile.base_access import BaseAccess
from airflow_operator.reconcile.build import airflow_env, meta, postgres
from airflow_operator.reconcile.build.errand import FILES, Crew, Errand, crew_of_base, job, secret_files
from airflow_operator.reconcile.keys import Keys
from airflow_operator.reconcile.validate import ValidatedCluster


def provision_name(cluster: ValidatedCluster, key_id: str) -> str:
    """Its name says what it was asked: another server, key, database or namespace of the same name is another Job."""
    asked: list[Any] = [cluster.base.server, cluster.base.host, cluster.database, key_id, cluster.namespace_uid, cluster.base.adopts]
    if cluster.spec.database is None:
        return names.child(cluster.name, f"provision-{digest(asked)}")
    return names.child(cluster.name, f"database-{digest([*asked, cluster.base.endpoint, digest(cluster.base.ca)])}")


def database_job(cluster: ValidatedCluster, own: Keys) -> Manifest:
    """The Job that makes the database, or looks at the one that the user brings."""
    return inspect(cluster, own) if cluster.spec.database else provision(cluster, own)


def inspect(cluster: ValidatedCluster, own: Keys) -> Manifest:
    """Looks at a database that the user brings, in the namespace that holds its credentials. Nothing of the base reaches it."""
    assert cluster.spec.database is not None
    env = {
        "ACTION": "Inspect",
        **connection_env(cluster.base),
        "DATABASE": cluster.database,
        "USER_FILE": f"{FILES}/user",
        "PASSWORD_FILE": f"{FILES}/password",
        "CONNECT_TIMEOUT": "60",
    }
    sources = [secret_files(cluster.spec.database.credentials_secret_ref.name, user="username", password="password"), *_ca_of(cluster)]
    metadata = {
        **meta.child(cluster, "batch/v1", "Job", "database")["metadata"],
        "name": provision_name(cluster, own.key_id),
        "annotations": {evidence.OWNER: cluster.namespace_uid},
    }
    spec = cluster.spec
    crew = Crew(spec.pods, cluster.platform.operator_image, resources=(spec.pods.resources, spec.jobs.resources))
    return job(metadata, Errand("database", "look", env, sources), crew)


def connection_env(base: BaseAccess) -> dict[str, str]:
    """Libpq's variables of a connection to the base's server, without who connects."""
    made = {"PGHOST": base.host, "PGPORT": str(base.port)}
    if base.external:
        made["PGSSLMODE"] = base.external.tls.mode
    return {**made, **({"PGSSLROOTCERT": f"{FILES}/ca.crt"} if base.ca else {})}


def _ca_of(cluster: ValidatedCluster) -> list[dict[str, Any]]:
    made = airflow_env.database_ca(cluster)
    return [{"configMap": {"name": meta.name_of(made), "items": [{"key": airflow_env.CA_FILE, "path": "ca.crt"}]}}] if made else []


def provision(cluster: ValidatedCluster, own: Keys, action: str = "Provision") -> Manifest:
    """Of the cluster nothing reaches this pod but names and a password: it holds the server's administrator password."""
    owner = {"namespaceUID": cluster.namespace_uid, "namespace": cluster.namespace, "cluster": cluster.name}
    env = {
        "ACTION": action,
        **connection_env(cluster.base),
        **_who(cluster.base.external),
        "ADMIN_PASSWORD_FILE": f"{FILES}/admin-password",
        "DATABASE": cluster.database,
        "ROLE": cluster.database,
        "ROLE_PASSWORD_FILE": f"{FILES}/role-password",
        "KEY_ID_FILE": f"{FILES}/key-id",
        "OWNER": json.dumps(owner, sort_keys=True),
        "CONNECT_TIMEOUT": "60",
        **({"ADOPT": "true"} if cluster.base.adopts else {}),
    }
    sources = [
        *administrator(cluster.base.admin_secret, cluster.base.external),
        secret_files(names.keys_copy(cluster.namespace, cluster.name), role_password=keys.DATABASE_PASSWORD, key_id=keys.KEY_ID),
    ]
    makes = action == "Provision"
    dropped = names.child(cluster.name, f"deprovision-{digest([own.key_id, cluster.namespace_uid])}")
    metadata = {
        "name": provision_name(cluster, own.key_id) if makes else dropped,
        "namespace": cluster.base.namespace,
        "labels": provisioning_labels(cluster.namespace, cluster.name, cluster.base.name),
        "annotations": {evidence.OWNER: cluster.namespace_uid},
    }
    return job(metadata, Errand("provision", "provision", env, sources), crew_of_base(cluster.base.spec, cluster.platform.operator_image))


def _who(external: External | None) -> dict[str, str]:
    """Who connects to which database to begin with."""
    if external is None:
        # The embedded server has no other users than the operator's.
        return {"ADMIN_USER": postgres.SUPERUSER, "CLOSE_TO_PUBLIC": "postgres,template1"}
    return {"ADMIN_USER_FILE": f"{FILES}/admin-user", "ADMIN_DATABASE": external.admin_database or "postgres"}


def administrator(secret: str, external: External | None) -> list[dict[str, Any]]:
    """Files of a Job beside the base: the administrator's password, of an external server the name and the certificates too."""
    if external is None:
        return [secret_files(secret, admin_password=postgres.PASSWORD)]
    made = [secret_files(secret, admin_user="username", admin_password="password")] if secret else []
    if external.tls.ca:
        kind, name, key = certificates.place(external.tls.ca)
        made.append({kind[0].lower() + kind[1:]: {"name": name, "items": [{"key": key, "path": "ca.crt"}]}})
    return made


def provisioning_labels(namespace: str, cluster: str, base: str) -> dict[str, str]:
    """Labels of what the operator keeps for a cluster beside its base; in another namespace no owner reference is possible."""
    marks = {**labels.of_cluster(cluster, "provision"), labels.CLUSTER_NAMESPACE: namespace, labels.BASE: base}
    del marks[labels.INSTANCE]
    return marks
