"""Airflow's StatsD metrics, and how the exporter turns them into Prometheus' with labels.

Source: "Metric Descriptions" of Airflow's documentation for 2.10 to 3.3, and `metrics_template.yaml` of 3.2 and 3.3. A metric with
dimensions is sent twice: by a name that holds them (`ti.start.DAG.TASK`), and by one without (`ti.start`), whose tags StatsD drops.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

PREFIX = "airflow"
"""`[metrics] statsd_prefix`, with which every name begins."""

LABELLED: Mapping[str, str] = {
    "{job_name}_start": "job_start",
    "{job_name}_end": "job_end",
    "{job_name}_heartbeat_failure": "job_heartbeat_failure",
    "operator_failures_{operator}": "operator_failures",
    "operator_successes_{operator}": "operator_successes",
    "ti.start.{dag_id}.{task_id}": "ti_start",
    "ti.finish.{dag_id}.{task_id}.{state}": "ti_finish",
    "ti.scheduled.{queue}.{dag_id}.{task_id}": "ti_scheduled",
    "ti.queued.{queue}.{dag_id}.{task_id}": "ti_queued",
    "ti.running.{queue}.{dag_id}.{task_id}": "ti_running",
    "ti.deferred.{queue}.{dag_id}.{task_id}": "ti_deferred",
    # Each job has a number of its own: as a label it would make a new time series for every task that ever ran.
    "local_task_job.task_exit.{}.{dag_id}.{task_id}.{return_code}": "local_task_job_task_exit",
    "task_instance_created_{operator}": "task_instance_created",
    "task_removed_from_dag.{dag_id}": "task_removed_from_dag",
    "task_restored_to_dag.{dag_id}": "task_restored_to_dag",
    "task.cpu_usage.{dag_id}.{task_id}": "task_cpu_usage",
    "task.mem_usage.{dag_id}.{task_id}": "task_mem_usage",
    "dag.{dag_id}.{task_id}.duration": "task_duration",
    "dag.{dag_id}.{task_id}.queued_duration": "task_queued_duration",
    "dag.{dag_id}.{task_id}.scheduled_duration": "task_scheduled_duration",
    "dagrun.duration.success.{dag_id}": "dagrun_duration_success",
    "dagrun.duration.failed.{dag_id}": "dagrun_duration_failed",
    "dagrun.schedule_delay.{dag_id}": "dagrun_schedule_delay",
    "dagrun.dependency-check.{dag_id}": "dagrun_dependency_check",
    "dagrun.{dag_id}.first_task_scheduling_delay": "dagrun_first_task_scheduling_delay",
    "dag_processing.last_duration.{dag_file}": "dag_processing_last_duration",
    "dag_processing.last_run.seconds_ago.{dag_file}": "dag_processing_last_run_seconds_ago",
    "dag_processing.last_num_of_db_queries.{dag_file}": "dag_processing_last_num_of_db_queries",
    "executor.open_slots.{executor}": "executor_open_slots",
    "executor.queued_tasks.{executor}": "executor_queued_tasks",
    "executor.running_tasks.{executor}": "executor_running_tasks",
    "pool.open_slots.{pool}": "pool_open_slots",
    "pool.queued_slots.{pool}": "pool_queued_slots",
    "pool.running_slots.{pool}": "pool_running_slots",
    "pool.deferred_slots.{pool}": "pool_deferred_slots",
    "pool.scheduled_slots.{pool}": "pool_scheduled_slots",
    "pool.starving_tasks.{pool}": "pool_starving_tasks",
    "triggers.running.{hostname}": "triggers_running",
    "triggerer.capacity_left.{hostname}": "triggerer_capacity_left",
}
"""Name in Airflow's documentation, with its variables, to the name in Prometheus; each variable that has a name is a label."""

SENT_TWICE: tuple[str, ...] = (
    r"operator_(failures|successes)",
    r"ti\.(start|finish|scheduled|queued|running|deferred)",
    r"local_task_job\.task_exit",
    r"task_instance_created",
    r"task_(removed_from|restored_to)_dag",
    r"task\.(cpu_usage|mem_usage|duration|queued_duration|scheduled_duration)",
    r"dagrun\.(duration\.success|duration\.failed|schedule_delay|dependency-check|first_task_scheduling_delay)",
    r"dag_processing\.(last_duration|last_run\.seconds_ago)",
    r"pool\.(open|queued|running|deferred|scheduled)_slots",
    r"pool\.starving_tasks",
    r"triggers\.running",
    r"triggerer\.capacity_left",
)
"""The same metrics without their dimensions, as regular expressions: they are dropped.

A gauge would be that of whatever was sent last, and a counter would be counted twice in every sum. An executor's stay: those of a cluster
with one executor have no other name before Airflow 3.2.
"""

_VARIABLE = re.compile(r"\{(\w*)\}")


def mapping() -> dict[str, Any]:
    """The exporter's mapping. What it does not name is exported under its own name, with `_` for each `.`."""
    return {"mappings": [*_dropped(), *_labelled()]}


def _dropped() -> Iterator[dict[str, Any]]:
    for name in SENT_TWICE:
        yield {"match": rf"^{PREFIX}\.{name}$", "match_type": "regex", "action": "drop", "name": "dropped"}


def _labelled() -> Iterator[dict[str, Any]]:
    for name, prometheus in LABELLED.items():
        found = _VARIABLE.findall(name)
        yield {
            "match": _pattern(name, found),
            "match_type": "regex",
            "name": f"{PREFIX}_{prometheus}",
            "labels": {variable: f"${place}" for place, variable in enumerate(found, 1) if variable},
        }


def _pattern(name: str, variables: list[str]) -> str:
    """A regular expression of a documented name; one of its variables may hold dots.

    That is the task's where there is one: tasks of task groups have dots in their names before Airflow 3.3, DAGs seldom have any.
    """
    dotted = "task_id" if "task_id" in variables else variables[-1]
    groups = {variable: "(.+)" if variable == dotted and variable != "job_name" else "([^.]+)" for variable in variables}
    made = _VARIABLE.sub(lambda found: groups[found[1]], name.replace(".", r"\."))
    return rf"^{PREFIX}\.{made}$"
