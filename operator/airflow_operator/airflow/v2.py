"""Airflow 2: a web server instead of the API server, no execution API, one DAGs folder, DAGs parsed by the scheduler or beside it.

The web server is called api-server in all names: they stay when a cluster goes from 2 to 3.
Sources: the release's own command line, `config_templates/config.yml`, `api/common/airflow_health.py`, `dag_processing/manager.py`.
"""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

from airflow_operator.airflow.facts import DAG_PROCESSOR, FAB, SCHEDULER_PROBES, TRIGGERER, Component, Options, Release, server_probes

_HEALTH = "/health"
_BACKENDS = f"{FAB}.api.auth.backend"

_DEFAULTS: Options = MappingProxyType(
    {
        "core": {"load_examples": "False"},
        # The REST API takes a user's name and password, as it does in Airflow 3 (Airflow 2: a browser's session only).
        "api": {"auth_backends": f"{_BACKENDS}.basic_auth,{_BACKENDS}.session"},
        # A killed scheduler's tasks wait this long for adoption (Airflow: 300 s).
        "scheduler": {"orphaned_tasks_check_interval": "60"},
        # Each is a process of 200 MiB (Airflow: 4); replicas are Kubernetes' way to more.
        "webserver": {"workers": "2"},
    }
)

AIRFLOW_2_11 = Release(
    minor="2.11",
    api_server=Component(
        name="api-server",
        command="webserver",
        ports=MappingProxyType({"api-server": 8080}),
        probes=server_probes(_HEALTH),
        serves_logs=True,
        health_key="metadatabase",
    ),
    scheduler=Component(
        name="scheduler",
        command="scheduler",
        ports=MappingProxyType({"health": 8974}),
        probes=SCHEDULER_PROBES,
        health_key="scheduler",
        # Below 30 s a killed scheduler's job row looks alive for minutes and its tasks wait for adoption.
        grace=60,
    ),
    dag_processor=DAG_PROCESSOR,
    triggerer=TRIGGERER,
    health_path=_HEALTH,
    base_url=("webserver", "base_url"),
    webserver_config=("webserver", "config_file"),
    proxy_fix=("webserver", "enable_proxy_fix"),
    proxy_flag="",
    secret_key=("webserver", "secret_key"),
    # A file that changed is parsed again at once (`file_parsing_sort_mode = modified_time`); new ones are listed at this interval.
    refresh=("scheduler", "dag_dir_list_interval"),
    defaults=_DEFAULTS,
    # Without it some timers are sent in seconds (those of 2.10 are), which StatsD reads as milliseconds.
    metrics=MappingProxyType({"timer_unit_consistency": "True"}),
    task_sdk=False,
    scheduler_parses=True,
)

# `DagFileProcessorManager.get_dag_directory`; all else that is used here is the same.
AIRFLOW_2_10 = replace(AIRFLOW_2_11, minor="2.10", resolves_folder=True, metrics=MappingProxyType({}))
