"""What Airflow reads: airflow.cfg, the keys that check tokens, the probe's script."""

from __future__ import annotations

from airflow_operator.airflow import config as airflow_config
from airflow_operator.airflow.config import Config
from airflow_operator.api.dags import ONCE
from airflow_operator.domain import names
from airflow_operator.domain.durations import seconds
from airflow_operator.domain.manifest import Manifest
from airflow_operator.jobs.sources import airflow_scripts
from airflow_operator.reconcile.build import dags, meta, pods
from airflow_operator.reconcile.keys import Keys
from airflow_operator.reconcile.validate import ValidatedCluster

CONFIG_FILE = "airflow.cfg"
JWKS_FILE = "jwks.json"
JWKS_DIR = "/opt/airflow/jwks"
JWT_DIR = "/opt/airflow/jwt"
JWT_FILE = "private-key.pem"
POD_TEMPLATE_DIR = "/opt/airflow/pod-template"
POD_TEMPLATE_FILE = "pod_template.yaml"
PROBE_FILE = "heartbeat.py"


def airflow_cfg(cluster: ValidatedCluster) -> Manifest:
    """airflow.cfg: the operator's defaults, what the user sets, and last what the operator owns. Nothing secret."""
    periods = [seconds(entry.git.period) for entry in cluster.spec.dags if entry.git and entry.git.period != ONCE]
    merged = airflow_config.merge(airflow_config.defaults(min(periods, default=None)), cluster.spec.config, owned(cluster))
    return meta.config_map(cluster, "config", {CONFIG_FILE: airflow_config.render(merged)})


def owned(cluster: ValidatedCluster) -> Config:
    """Options that follow from the spec; `config` and `env` refuse them."""
    service = names.api_server(cluster.name)
    made: Config = {
        "core": {
            "executor": ",".join(cluster.spec.executors),
            "auth_manager": cluster.release.auth_manager_fab,
            "execution_api_server_url": f"http://{service}.{cluster.namespace}.svc:8080{cluster.base_path}/execution/",
        },
        # All components read one file; only those that hold the key files touch these paths (seen on 3.3.2).
        "api_auth": {"jwt_private_key_path": f"{JWT_DIR}/{JWT_FILE}", "trusted_jwks_url": f"{JWKS_DIR}/{JWKS_FILE}"},
        "kubernetes_executor": {
            "namespace": cluster.namespace,
            "pod_template_file": f"{POD_TEMPLATE_DIR}/{POD_TEMPLATE_FILE}",
        },
        "logging": {"base_log_folder": pods.LOGS_DIR},
        # The scheduler's probe asks this server: an exec probe of Airflow's own costs 4 to 5 % of a core.
        "scheduler": {"enable_health_check": "True"},
    }
    return {**made, **dags.config(cluster)}


def jwks(cluster: ValidatedCluster, keys: Keys) -> Manifest:
    """The public keys that the API server accepts tokens of; read once per process, hence named by content."""
    return meta.config_map(cluster, "jwks", {JWKS_FILE: keys.jwks()})


def probes(cluster: ValidatedCluster) -> Manifest:
    """The script behind the probes of components without an HTTP endpoint."""
    return meta.config_map(cluster, "probes", {PROBE_FILE: airflow_scripts()[PROBE_FILE]})
