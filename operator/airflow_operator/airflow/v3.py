"""Airflow 3: the newest release, and of each older one what differs from the one after it.

Sources: the release's own command line, `config_templates/config.yml`, `api_fastapi/.../monitor.py`, `api_fastapi/auth/tokens.py`,
`utils/db_manager.py` and `jobs/`.
"""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

from airflow_operator.airflow.facts import DAG_PROCESSOR, FAB, SCHEDULER_PROBES, TRIGGERER, Component, Options, Release, server_probes

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

AIRFLOW_3_2 = replace(AIRFLOW_3_3, minor="3.2")

_DEFAULTS_3_1: Options = MappingProxyType(
    {
        **_DEFAULTS,
        # Only since 3.2 a migration makes the tables of every provider that is installed (`RunDBManager`). Before, it makes those of the
        # auth manager of that moment: without this, who comes to FAB later has none.
        "database": {"external_db_managers": f"{FAB}.models.db.FABDBManager"},
    }
)

AIRFLOW_3_1 = replace(
    AIRFLOW_3_2,
    minor="3.1",
    defaults=_DEFAULTS_3_1,
    # "Cannot guess the algorithm when using JWKS" (`JWTValidator`); from 3.2 on it is that of the key.
    token_algorithm="EdDSA",
)

_DEFAULTS_3_0: Options = MappingProxyType(
    {
        **_DEFAULTS_3_1,
        # Each is a process with all of Airflow (Airflow: 4, and 1 from 3.1 on).
        "api": {"workers": "1"},
        # It has no `execution_api_timeout`: its client waits the 5 s of its HTTP library.
        "workers": {option: value for option, value in _DEFAULTS["workers"].items() if option != "execution_api_timeout"},
    }
)

AIRFLOW_3_0 = replace(AIRFLOW_3_1, minor="3.0", defaults=_DEFAULTS_3_0)
