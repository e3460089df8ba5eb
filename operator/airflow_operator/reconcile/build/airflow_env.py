"""Environment and mounts of a container of the Airflow image. Files hold what is public; the environment holds secrets."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from airflow_operator.airflow.facts import AIRFLOW_HOME, Component, Option
from airflow_operator.api.environment import EnvFrom
from airflow_operator.api.pods import Component as Settings
from airflow_operator.domain import names
from airflow_operator.domain.manifest import Manifest
from airflow_operator.reconcile import keys
from airflow_operator.reconcile.build import config, files, git_bundle, meta, pods
from airflow_operator.reconcile.validate import ValidatedCluster

CONNECTION_KEY = "connection"
LOCAL_SETTINGS = "airflow_local_settings.py"
TRUST_DIR = f"{AIRFLOW_HOME}/trusted-ca"
TRUST_FILE = "ca.crt"
TRUST_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "AWS_CA_BUNDLE", "GIT_SSL_CAINFO")
HOSTNAME_CALLABLE: Option = ("core", "hostname_callable")
ASYNC_CONNECTION_KEY = "connection-async"
CA_DIR = f"{AIRFLOW_HOME}/database-ca"
CA_FILE = "ca.crt"


def common() -> list[dict[str, Any]]:
    """What every Airflow process has, task pods included."""
    return [
        {"name": "AIRFLOW_HOME", "value": AIRFLOW_HOME},
        {"name": "AIRFLOW_CONFIG", "value": f"{pods.CONFIG_DIR}/{config.CONFIG_FILE}"},
        # The image's entrypoint would start Airflow once more to look at the database (2 to 4 s of CPU); the operator gates.
        {"name": "CONNECTION_CHECK_MAX_COUNT", "value": "0"},
    ]


def database(cluster: ValidatedCluster) -> list[dict[str, Any]]:
    """What a process that opens the database has; with the task SDK task pods are none of these."""
    made = [
        pods.from_secret("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", names.connection(cluster.name), CONNECTION_KEY),
        pods.from_secret("AIRFLOW__CORE__FERNET_KEY", *cluster.key_source(keys.FERNET)),
    ]
    if cluster.base.external and cluster.release.task_sdk:
        # Airflow 3.0 knows no such option: it makes that URL of the other one, and never connects with it.
        made.append(pods.from_secret("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC", names.connection(cluster.name), ASYNC_CONNECTION_KEY))
    return made


def of_component(cluster: ValidatedCluster, facts: Component, settings: Settings) -> list[dict[str, Any]]:
    """Environment of a component; the operator's own variables come last and cannot be replaced."""
    own = common() + database(cluster)
    if facts.serves_logs:
        own.append(pods.from_secret(_variable(cluster.release.secret_key), *cluster.key_source(keys.API_SECRET)))
    if facts.signs_tokens and cluster.brings(keys.JWT_SECRET):
        own.append(pods.from_secret("AIRFLOW__API_AUTH__JWT_SECRET", *cluster.key_source(keys.JWT_SECRET)))
    if facts.reads_dags:
        own += git_bundle.environment(cluster)
    usual = [*(_of_worker(cluster) if facts.runs_tasks else []), *trust(cluster), *remote_logs(cluster)]
    if cluster.spec.external_url and facts.name == cluster.release.api_server.name:
        usual += pods.variables({"FORWARDED_ALLOW_IPS": "*"})
    return pods.environment(usual, pods.plain(cluster.spec.env), pods.plain(settings.env), own)


def of_task(cluster: ValidatedCluster) -> list[dict[str, Any]]:
    """Environment of a task pod: with the task SDK no database URL, no fernet key, no signing key.

    A task whose DAG is fetched by itself logs in to git.
    """
    own = [] if cluster.release.task_sdk else database(cluster)
    usual = [*trust(cluster), *remote_logs(cluster)]
    return pods.environment(
        usual, pods.plain(cluster.spec.env), pods.plain(cluster.spec.task_pods.env), common(), own, git_bundle.environment(cluster)
    )


def of_job(cluster: ValidatedCluster) -> list[dict[str, Any]]:
    """Environment of the Jobs that work on the database."""
    return pods.environment(trust(cluster), pods.plain(cluster.spec.env), common(), database(cluster))


def _of_worker(cluster: ValidatedCluster) -> list[dict[str, Any]]:
    """What a process that runs tasks itself has, unless the spec says otherwise."""
    # SIGTERM is for the scheduler alone, which waits for its tasks; sent to all processes it kills them (seen on 3.3.2).
    made = [{"name": "DUMB_INIT_SETSID", "value": "0"}]
    section, option = HOSTNAME_CALLABLE
    if option not in cluster.spec.config.get(section, {}):
        # The API server fetches logs from the host that ran the task: a Deployment's pod has no name that others can resolve.
        made.append({"name": _variable(HOSTNAME_CALLABLE), "value": "airflow.utils.net.get_host_ip_address"})
    return made


def _variable(option: Option) -> str:
    """The environment variable of an option of airflow.cfg."""
    return f"AIRFLOW__{'__'.join(option)}".upper()


def trust(cluster: ValidatedCluster) -> list[dict[str, Any]]:
    """Where Python, requests, curl, git and the AWS libraries look for the certificates that they trust; the user may say otherwise."""
    return pods.variables(dict.fromkeys(TRUST_VARIABLES, f"{TRUST_DIR}/{TRUST_FILE}") if cluster.spec.trusted_ca else {})


def remote_logs(cluster: ValidatedCluster) -> list[dict[str, Any]]:
    """The connection to the store of the logs, where a Secret holds it; tasks send their own logs, so they have it too."""
    remote = cluster.spec.logs.remote if cluster.spec.logs else None
    if remote is None or remote.connection_secret_ref is None or remote.connection_id is None:
        return []
    ref = remote.connection_secret_ref
    return [pods.from_secret(f"AIRFLOW_CONN_{remote.connection_id.upper()}", ref.name, ref.key)]


def env_from(cluster: ValidatedCluster, own: Iterable[EnvFrom] = ()) -> dict[str, Any]:
    """`envFrom` where the spec has any; of two sources of one variable the last wins."""
    found = pods.plain([*cluster.spec.env_from, *own])
    return {"envFrom": found} if found else {}


def mounts(cluster: ValidatedCluster) -> list[dict[str, Any]]:
    """The directory of airflow.cfg, and the certificates where some are brought."""
    made = [{"name": "config", "mountPath": pods.CONFIG_DIR, "readOnly": True}]
    return [*made, {"name": "trusted-ca", "mountPath": TRUST_DIR, "readOnly": True}] if cluster.spec.trusted_ca else made


def volumes(cluster: ValidatedCluster) -> list[dict[str, Any]]:
    """The volumes of these directories. That of airflow.cfg is on Python's path, so airflow_local_settings.py lies in it too."""
    name = meta.name_of(config.airflow_cfg(cluster))
    if cluster.spec.local_settings_ref:
        sources = [{"configMap": {"name": name}}, files.source(cluster.spec.local_settings_ref, LOCAL_SETTINGS)]
        made = [{"name": "config", "projected": {"sources": sources, "defaultMode": 0o440}}]
    else:
        made = [pods.config_map_volume("config", name)]
    return [*made, files.volume("trusted-ca", cluster.spec.trusted_ca, TRUST_FILE)] if cluster.spec.trusted_ca else made


def database_ca(cluster: ValidatedCluster) -> Manifest | None:
    """ConfigMap with the certificates that the database server's is checked with: the base's, brought to where the pods are."""
    return meta.config_map(cluster, "database-ca", {CA_FILE: cluster.base.ca}) if cluster.base.ca else None


def database_mounts(cluster: ValidatedCluster) -> list[dict[str, Any]]:
    """Where a process that opens the database finds these certificates."""
    return [{"name": "database-ca", "mountPath": CA_DIR, "readOnly": True}] if cluster.base.ca else []


def database_volumes(cluster: ValidatedCluster) -> list[dict[str, Any]]:
    """Their volume."""
    made = database_ca(cluster)
    return [pods.config_map_volume("database-ca", meta.name_of(made))] if made else []


def task_mounts(cluster: ValidatedCluster) -> list[dict[str, Any]]:
    """The same in a task pod: with the task SDK it opens no database."""
    return [] if cluster.release.task_sdk else database_mounts(cluster)


def task_volumes(cluster: ValidatedCluster) -> list[dict[str, Any]]:
    """Their volume."""
    return [] if cluster.release.task_sdk else database_volumes(cluster)
