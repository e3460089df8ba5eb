"""What Airflow reads: airflow.cfg, the keys that check tokens, the probe's script."""

from __future__ import annotations

from airflow_operator.airflow import config as airflow_config
from airflow_operator.airflow.config import Config
from airflow_operator.api.dags import ONCE
from airflow_operator.domain import names
from airflow_operator.domain.durations import seconds
from airflow_operator.domain.manifest import Manifest
from airflow_operator.jobs.sources import airflow_scripts
from airflow_operator.reconcile.build import auth, dags, ingress, logs, meta, metrics, pods
from airflow_operator.reconcile.keys import JWT_SECRET, Keys
from airflow_operator.reconcile.validate import ValidatedCluster

CONFIG_FILE = "airflow.cfg"
JWKS_FILE = "jwks.json"
JWKS_DIR = "/opt/airflow/jwks"
JWT_DIR = "/opt/airflow/jwt"
JWT_FILE = "private-key.pem"
POD_TEMPLATE_DIR = "/opt/airflow/pod-template"
POD_TEMPLATE_FILE = "pod_template.yaml"
PROBE_FILE = "heartbeat.py"
DRAIN_FILE = "drain.py"


_TOKEN_KEYS = {"jwt_private_key_path": f"{JWT_DIR}/{JWT_FILE}", "trusted_jwks_url": f"{JWKS_DIR}/{JWKS_FILE}"}


@meta.once
def airflow_cfg(cluster: ValidatedCluster) -> Manifest:
    """airflow.cfg: the operator's defaults, what the user sets, and last what the operator owns. Nothing secret."""
    periods = [seconds(entry.git.period) for entry in cluster.spec.dags if entry.git and entry.git.period != ONCE]
    usual = airflow_config.defaults(cluster.release, min(periods, default=None))
    merged = airflow_config.merge(
        usual, ingress.settings(cluster), logs.defaults(cluster), metrics.defaults(cluster), cluster.spec.config, owned(cluster)
    )
    return meta.config_map(cluster, "config", {CONFIG_FILE: airflow_config.render(merged)})


def owned(cluster: ValidatedCluster) -> Config:
    """Options that follow from the spec; `config` and `env` refuse them."""
    made: Config = {
        "core": {"executor": ",".join(cluster.spec.executors)},
        "logging": {"base_log_folder": pods.LOGS_DIR},
        # The scheduler's probe asks this server: an exec probe of Airflow's own costs 4 to 5 % of a core.
        "scheduler": {"enable_health_check": "True"},
    }
    if cluster.runs_task_pods:
        template = f"{POD_TEMPLATE_DIR}/{POD_TEMPLATE_FILE}"
        made["kubernetes_executor"] = {"namespace": cluster.namespace, "pod_template_file": template}
    return airflow_config.merge(
        made,
        _of_tasks(cluster),
        dags.config(cluster),
        auth.settings(cluster),
        logs.owned(cluster),
        ingress.owned(cluster),
        metrics.owned(cluster),
    )


def _of_tasks(cluster: ValidatedCluster) -> Config:
    """How tasks reach Airflow."""
    if not cluster.release.task_sdk:
        return {}
    url = f"http://{names.api_server(cluster.name)}.{cluster.namespace}.svc:8080{cluster.base_path}/execution/"
    made: Config = {"core": {"execution_api_server_url": url}}
    if not cluster.brings(JWT_SECRET):
        # All components read one file; only those that hold the key files touch these paths (seen on 3.3.2).
        made["api_auth"] = dict(_TOKEN_KEYS)
        if cluster.release.token_algorithm:
            made["api_auth"]["jwt_algorithm"] = cluster.release.token_algorithm
    return made


def jwks(cluster: ValidatedCluster, keys: Keys) -> Manifest:
    """The public keys that the API server accepts tokens of; read once per process, hence named by content."""
    return meta.config_map(cluster, "jwks", {JWKS_FILE: keys.jwks()})


def probes(cluster: ValidatedCluster) -> Manifest:
    """The script behind the probes of components without an HTTP endpoint."""
    return meta.config_map(cluster, "probes", {PROBE_FILE: airflow_scripts()[PROBE_FILE]})


def drain(cluster: ValidatedCluster) -> Manifest:
    """The script that keeps the heartbeat of a scheduler fresh while it waits for the tasks that it runs."""
    return meta.config_map(cluster, "drain", {name: airflow_scripts()[name] for name in (DRAIN_FILE, PROBE_FILE)})
