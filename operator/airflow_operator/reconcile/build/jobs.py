"""The Jobs of a cluster that run in the Airflow image: check, migrate and users."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow_operator.domain import labels, names
from airflow_operator.domain.hashing import digest
from airflow_operator.domain.manifest import Manifest
from airflow_operator.jobs.sources import airflow_scripts
from airflow_operator.reconcile import evidence
from airflow_operator.reconcile.build import airflow_env, config, custom, meta, pods, rbac
from airflow_operator.reconcile.validate import ValidatedCluster

DEADLINES: Mapping[str, int] = {"check": 600, "migrate": 6 * 3600, "users": 600}
"""Seconds that a Job's pod may take; a migration of a large history takes hours."""

ADMIN_DIR = "/run/secrets/airflow-admin"


def scripts(cluster: ValidatedCluster) -> Manifest:
    """The scripts that the Jobs run in the Airflow image."""
    return meta.config_map(
        cluster, "scripts", {name: text for name, text in airflow_scripts().items() if name not in (config.PROBE_FILE, config.DRAIN_FILE)}
    )


def check(cluster: ValidatedCluster, identity: str) -> Manifest:
    """Compares the schema's revisions with those of the image."""
    return _job(cluster, "check", [cluster.image, identity], {evidence.DATABASE: identity, evidence.IMAGE: cluster.image}, {})


def migrate(cluster: ValidatedCluster, identity: str, asked_by: str, expect: str, supersedes: Sequence[str] = ()) -> Manifest:
    """Migrates the schema, after making sure that it still is what the evidence said."""
    notes = {evidence.DATABASE: identity, evidence.IMAGE: cluster.image, evidence.REQUEST: asked_by}
    void = {evidence.SUPERSEDES: ",".join(supersedes)} if supersedes else {}
    return _job(cluster, "migrate", asked_by, {**notes, **void}, {"EXPECT": expect})


def users(cluster: ValidatedCluster, identity: str, secret: str, version: str) -> Manifest:
    """Makes the administrator. `version` stands for the Secret's content, under the cluster's own key."""
    notes, env = {evidence.DATABASE: identity}, {"ADMIN_DIR": ADMIN_DIR}
    return _job(cluster, "users", [identity, secret, version], notes, env, admin=secret)


def trial(cluster: ValidatedCluster) -> Manifest:
    """A Job for a dry run, with the pod settings of all: the next real one may be months away."""
    made = _job(cluster, "check", "trial", {}, {})
    made["metadata"]["name"] = names.child(cluster.name, "jobs-trial")
    return made


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
            *airflow_env.mounts(cluster),
            *airflow_env.database_mounts(cluster),
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
            *airflow_env.database_volumes(cluster),
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
