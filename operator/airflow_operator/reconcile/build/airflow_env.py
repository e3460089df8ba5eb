"""Environment and mounts of a container of the Airflow image. Files hold what is public; the environment holds secrets."""

from __future__ import annotations

from typing import Any

from airflow_operator.airflow.releases import AIRFLOW_HOME, Component
from airflow_operator.api.pods import Component as Settings
from airflow_operator.domain import names
from airflow_operator.reconcile import keys
from airflow_operator.reconcile.build import config, git_bundle, meta, pods
from airflow_operator.reconcile.validate import ValidatedCluster

CONNECTION_KEY = "connection"


def common() -> list[dict[str, Any]]:
    """What every Airflow process has, task pods included."""
    return [
        {"name": "AIRFLOW_HOME", "value": AIRFLOW_HOME},
        {"name": "AIRFLOW_CONFIG", "value": f"{pods.CONFIG_DIR}/{config.CONFIG_FILE}"},
        # The image's entrypoint would start Airflow once more to look at the database (2 to 4 s of CPU); the operator gates.
        {"name": "CONNECTION_CHECK_MAX_COUNT", "value": "0"},
    ]


def database(cluster: ValidatedCluster) -> list[dict[str, Any]]:
    """What a process that opens the database has; on Airflow 3 task pods are none of these."""
    return [
        pods.from_secret("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", names.connection(cluster.name), CONNECTION_KEY),
        pods.from_secret("AIRFLOW__CORE__FERNET_KEY", names.keys(cluster.name), keys.FERNET),
    ]


def of_component(cluster: ValidatedCluster, facts: Component, settings: Settings) -> list[dict[str, Any]]:
    """Environment of a component; the operator's own variables come last and cannot be replaced."""
    own = common() + database(cluster)
    if facts.serves_logs:
        own.append(pods.from_secret("AIRFLOW__API__SECRET_KEY", names.keys(cluster.name), keys.API_SECRET))
    if facts.reads_dags:
        own += git_bundle.environment(cluster)
    return pods.environment(pods.plain(cluster.spec.env), pods.plain(settings.env), own)


def of_task(cluster: ValidatedCluster) -> list[dict[str, Any]]:
    """Environment of a task pod: no database URL, no fernet key, no signing key. A task whose DAG is fetched by itself logs in to git."""
    return pods.environment(pods.plain(cluster.spec.env), common(), git_bundle.environment(cluster))


def of_job(cluster: ValidatedCluster) -> list[dict[str, Any]]:
    """Environment of the Jobs that work on the database."""
    return pods.environment(pods.plain(cluster.spec.env), common(), database(cluster))


def env_from(cluster: ValidatedCluster) -> dict[str, Any]:
    """`envFrom` where the spec has any."""
    found = pods.plain(cluster.spec.env_from)
    return {"envFrom": found} if found else {}


def mounts() -> list[dict[str, Any]]:
    """The directory of airflow.cfg."""
    return [{"name": "config", "mountPath": pods.CONFIG_DIR, "readOnly": True}]


def volumes(cluster: ValidatedCluster) -> list[dict[str, Any]]:
    """The volume of airflow.cfg."""
    return [pods.config_map_volume("config", meta.name_of(config.airflow_cfg(cluster)))]
