"""A real scheduler and real task pods send their metrics to a real exporter, and Prometheus would find them there with labels."""

from __future__ import annotations

import re
import urllib.request

import pytest

from devcluster import Provider
from tests.e2e.deployment import CLUSTER, Deployment
from tests.e2e.kubectl import condition
from tests.e2e.prepare import load_images
from tests.e2e.reach import Reach
from tests.e2e.waiting import until

pytestmark = [pytest.mark.e2e_all, pytest.mark.timeout(900)]

SERVICE = f"{CLUSTER}-statsd"
EXPECTED = (
    "airflow_scheduler_heartbeat",
    'airflow_dagrun_duration_success_count{dag_id="hello"}',
    # Sent by the pod of the task itself.
    'airflow_ti_finish{dag_id="hello",state="success",task_id="greet"}',
    'airflow_pool_open_slots{pool="default_pool"}',
)


def samples(text: str) -> dict[str, float]:
    """Each sample of Prometheus' text format: name with labels -> value."""
    lines = [line.rpartition(" ") for line in text.splitlines() if line and not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}


def scraped(reach: Reach, service: dict[str, str]) -> dict[str, float]:
    """What Prometheus would get: the path is the one that the Service's annotations name."""
    try:
        with urllib.request.urlopen(reach.url + service["prometheus.io/path"], timeout=10) as answer:
            return samples(answer.read().decode())
    except OSError:
        # The way led to a pod that has gone.
        reach.close()
        return {}


def test_metrics_of_a_dag_run_are_scraped(cluster: Provider, another: Deployment) -> None:
    load_images(cluster, another.root, ["statsd-exporter"])
    base, resource = another.resources()
    resource["spec"]["metrics"] = {}
    another.kubectl.apply(base, resource)
    another.wait_until_ready()
    assert condition(another.cluster, "MetricsAvailable")["status"] == "True"
    assert {"name": "statsd", "desired": 1, "ready": 1} in another.cluster["status"]["components"]

    another.airflow().run_dag("hello")
    service = another.kubectl.get("service", SERVICE)
    assert service is not None
    annotations = service["metadata"]["annotations"]
    found: dict[str, float] = {}

    def all_there() -> bool:
        found.update(scraped(reach, annotations))
        return all(found.get(name, 0) > 0 for name in EXPECTED)

    with Reach(another.kubectl, SERVICE, int(annotations["prometheus.io/port"])) as reach:
        until("the metrics of the run", all_there, within=120, saying=lambda: "\n".join(sorted(found)))
    assert found['airflow_dagrun_duration_success_count{dag_id="hello"}'] == 1
    # What Airflow also sends without the dimensions would be counted twice.
    assert not [name for name in found if re.fullmatch(r"airflow_(ti_finish|pool_open_slots|dagrun_duration_success_count)", name)]
