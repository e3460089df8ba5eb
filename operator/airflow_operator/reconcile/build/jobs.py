"""The Jobs of a cluster: provision (beside the base), check, migrate and users (in the Airflow image)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from airflow_operator.domain import labels, names
from airflow_operator.domain.hashing import digest
from airflow_operator.domain.manifest import Manifest
from airflow_operator.jobs.sources import airflow_scripts
from airflow_operator.reconcile import evidence, keys
from airflow_operator.reconcile.build import airflow_env, config, custom, meta, pods, postgres, rbac
from airflow_operator.reconcile.keys import Keys
from airflow_operator.reconcile.validate import ValidatedCluster

DEADLINES: Mapping[str, int] = {"provision": 300, "check": 600, "migrate": 6 * 3600, "users": 600}
"""Seconds that a Job's pod may take; a migration of a large history takes hours."""

ADMIN_DIR = "/run/secrets/airflow-admin"
PROVISION_DIR = "/run/secrets/provision"


def scripts(cluster: ValidatedCluster) -> Manifest:
    """The scripts that the Jobs run in the Airflow image."""
    return meta.config_map(
        cluster, "scripts", {name: text for name, text in airflow_scripts().items() if name not in (config.PROBE_FILE, config.DRAIN_FILE)}
    )


def provision_name(cluster: ValidatedCluster, key_id: str) -> str:
    """Its name says what it was asked: another server, key or database is another Job."""
    return names.child(cluster.name, f"provision-{digest([cluster.base.server, cluster.base.host, cluster.database, key_id])}")


def provision(cluster: ValidatedCluster, own: Keys, action: str = "Provision") -> Manifest:
    """Makes (or drops) the cluster's database and role, beside the base and in the operator's own image.

    Of the cluster nothing reaches this pod but names and a password: it holds the server's administrator password.
    """
    settings, own_image = cluster.base.spec.pods, cluster.base.spec.jobs.image
    owner = {"namespaceUID": cluster.namespace_uid, "namespace": cluster.namespace, "cluster": cluster.name}
    env = {
        "ACTION": action,
        "PGHOST": cluster.base.host,
        "PGPORT": str(cluster.base.port),
        "ADMIN_USER": postgres.SUPERUSER,
        "ADMIN_PASSWORD_FILE": f"{PROVISION_DIR}/admin-password",
        "DATABASE": cluster.database,
        "ROLE": cluster.database,
        "ROLE_PASSWORD_FILE": f"{PROVISION_DIR}/role-password",
        "KEY_ID_FILE": f"{PROVISION_DIR}/key-id",
        "OWNER": json.dumps(owner, sort_keys=True),
        "CONNECT_TIMEOUT": "60",
    }
    sources = [
        {"secret": {"name": cluster.base.admin_secret, "items": [{"key": postgres.PASSWORD, "path": "admin-password"}]}},
        {
            "secret": {
                "name": names.keys_copy(cluster.namespace, cluster.name),
                "items": [{"key": keys.DATABASE_PASSWORD, "path": "role-password"}, {"key": keys.KEY_ID, "path": "key-id"}],
            }
        },
    ]
    container = {
        "name": "provision",
        "image": pods.image(own_image, cluster.platform.operator_image) if own_image else cluster.platform.operator_image,
        "imagePullPolicy": own_image.pull_policy if own_image else "IfNotPresent",
        "command": ["python", "-m", "airflow_operator.jobs.provision"],
        "env": pods.variables(env),
        "resources": pods.resources("job", settings.resources, cluster.base.spec.jobs.resources),
        "securityContext": {**pods.container_security(postgres.OPERATOR_UID, postgres.OPERATOR_UID), "readOnlyRootFilesystem": True},
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [{"name": "provision", "mountPath": PROVISION_DIR, "readOnly": True}],
    }
    spec = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "restartPolicy": "Never",
        "activeDeadlineSeconds": DEADLINES["provision"],
        "securityContext": {"fsGroup": postgres.OPERATOR_UID, "runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
        **(pods.pull_secrets(own_image) if own_image else {}),
        "volumes": [{"name": "provision", "projected": {"sources": sources, "defaultMode": 0o440}}],
        **pods.scheduling(settings),
    }
    marks = provisioning_labels(cluster.namespace, cluster.name, cluster.base.name)
    template = pods.pod(pods.secured(spec, "provision", settings), {**settings.labels, **marks}, settings.annotations)
    name = provision_name(cluster, own.key_id) if action == "Provision" else names.child(cluster.name, f"deprovision-{digest(own.key_id)}")
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": cluster.base.namespace, "labels": marks},
        "spec": {"backoffLimit": 2, "template": template},
    }


def provisioning_labels(namespace: str, cluster: str, base: str) -> dict[str, str]:
    """Labels of what the operator keeps for a cluster beside its base; in another namespace no owner reference is possible."""
    marks = {**labels.of_cluster(cluster, "provision"), labels.CLUSTER_NAMESPACE: namespace, labels.BASE: base}
    del marks[labels.INSTANCE]
    return marks


def check(cluster: ValidatedCluster, identity: str) -> Manifest:
    """Compares the schema's revisions with those of the image."""
    return _job(cluster, "check", [cluster.image, identity], {evidence.DATABASE: identity, evidence.IMAGE: cluster.image}, {})


def migrate(cluster: ValidatedCluster, identity: str, asked_by: str, expect: str) -> Manifest:
    """Migrates the schema, after making sure that it still is what the evidence said."""
    notes = {evidence.DATABASE: identity, evidence.IMAGE: cluster.image, evidence.REQUEST: asked_by}
    return _job(cluster, "migrate", asked_by, notes, {"EXPECT": expect})


def users(cluster: ValidatedCluster, identity: str, secret: str, version: str) -> Manifest:
    """Makes the administrator. `version` stands for the Secret's content, under the cluster's own key."""
    notes, env = {evidence.DATABASE: identity}, {"ADMIN_DIR": ADMIN_DIR}
    return _job(cluster, "users", [identity, secret, version], notes, env, admin=secret)


def _job(
    cluster: ValidatedCluster, component: str, asked: Any, notes: Mapping[str, str], env: Mapping[str, str], *, admin: str = ""
) -> Manifest:
    """A Job in the Airflow image. Its name is a digest of what it was asked, so that another question is another Job."""
    defaults, own = cluster.spec.pods, cluster.spec.jobs
    variables = {"EXPECTED_VERSION": cluster.spec.version, "PYTHONUNBUFFERED": "1", **env}
    container = {
        "name": component,
        "image": cluster.image,
        "imagePullPolicy": cluster.spec.image.pull_policy,
        "args": ["python", f"{pods.SCRIPTS_DIR}/{component}.py"],
        "env": pods.environment(airflow_env.of_job(cluster), pods.variables(variables)),
        **airflow_env.env_from(cluster),
        "resources": pods.resources("job", defaults.resources, own.resources),
        "securityContext": pods.container_security(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [
            *airflow_env.mounts(),
            {"name": "scripts", "mountPath": pods.SCRIPTS_DIR, "readOnly": True},
            *([{"name": "admin", "mountPath": ADMIN_DIR, "readOnly": True}] if admin else []),
        ],
    }
    spec = {
        "serviceAccountName": rbac.account_name(cluster, "jobs"),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "restartPolicy": "Never",
        "activeDeadlineSeconds": DEADLINES[component],
        "securityContext": pods.airflow_security(),
        "containers": [container],
        "volumes": [
            *airflow_env.volumes(cluster),
            pods.config_map_volume("scripts", meta.name_of(scripts(cluster))),
            *([{"name": "admin", "secret": {"secretName": admin, "defaultMode": 0o440}}] if admin else []),
        ],
        **pods.pull_secrets(cluster.spec.image),
        **pods.scheduling(defaults, own),
    }
    marks = labels.of_cluster(cluster.name, component)
    notes_of_pod = pods.merged_maps(defaults.annotations, own.annotations)
    template = pods.pod(spec, {**pods.merged_maps(defaults.labels, own.labels), **marks}, notes_of_pod)
    template = custom.customized(template, component, custom.layers(cluster, "jobs", own), image=cluster.image)
    made = meta.child(cluster, "batch/v1", "Job", component, spec={"backoffLimit": 0, "template": template})
    made["metadata"]["name"] = names.child(cluster.name, f"{component}-{digest(asked)}")
    made["metadata"]["annotations"] = dict(notes)
    return made
