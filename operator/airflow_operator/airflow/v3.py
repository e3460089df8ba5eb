"""Airflow 3.

Sources: the release's own command line, `config_templates/config.yml`, `api_fastapi/.../monitor.py` and `utils/db_manager.py`.
"""

from __future__ import annotations

from types import MappingProxyType

from airflow_operator.airflow.facts import DAG_PROCESSOR, SCHEDULER_PROBES, TRIGGERER, Component, Options, Release, server_probes

_HEALTH = "/api/v2/monitor/health"

_DEFAULTS: Options = MappingProxyType(
    {
        "core": {"load_examples": "False"},
        # Without one Airflow makes up an issuer from its own host name, which differs between replicas.
        "api_auth": {"jwt_issuer": "airflow"},
        # A killed scheduler's tasks wait this long for adoption (Airflow: 300 s).
        "scheduler": {"orphaned_tasks_check_interval": "60"},
        "workers": {
            # A restart or a busy moment of the API server must not fail tasks (Airflow: 5 tries of 5 s).
            "execution_api_timeout": "30",
            "execution_api_retries": "15",
            "execution_api_retry_wait_max": "10",
            "max_failed_heartbeats": "10",
        },
    }
)

AIRFLOW_3_3 = Release(
    minor="3.3",
    api_server=Component(
        name="api-server",
        command="api-server",
        ports=MappingProxyType({"api-server": 8080}),
        probes=server_probes(_HEALTH),
        signs_tokens=True,
        checks_tokens=True,
        serves_logs=True,
        health_key="metadatabase",
    ),
    scheduler=Component(
        name="scheduler",
        command="scheduler",
        ports=MappingProxyType({"health": 8974}),
        probes=SCHEDULER_PROBES,
        signs_tokens=True,
        health_key="scheduler",
        # Below 30 s a killed scheduler's job row looks alive for minutes and its tasks wait for adoption.
        grace=60,
    ),
    dag_processor=DAG_PROCESSOR,
    triggerer=TRIGGERER,
    health_path=_HEALTH,
    base_url=("api", "base_url"),
    secret_key=("api", "secret_key"),
    refresh=("dag_processor", "refresh_interval"),
    defaults=_DEFAULTS,
    dag_bundle_class="airflow.dag_processing.bundles.local.LocalDagBundle",
)
