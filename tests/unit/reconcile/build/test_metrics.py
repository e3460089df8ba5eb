"""Airflow's metrics: what is set in airflow.cfg, the exporter beside it, and how names become labels."""

from __future__ import annotations

import re
from configparser import ConfigParser

import pytest
import yaml

from airflow_operator.airflow import statsd
from airflow_operator.airflow.releases import RELEASES
from airflow_operator.domain.errors import InvalidSpec
from airflow_operator.domain.labels import CHECKSUM
from airflow_operator.domain.pod_security import violations
from airflow_operator.reconcile.build import components, config, metrics, rbac
from tests.unit import factory

OFF = ({}, {"metrics": {"enabled": False}})
MINE = {"metrics": {"mappingsRef": {"configMapKeyRef": {"name": "mine", "key": "statsd.yaml"}}}}


def mine(text="mappings: []"):
    return {("ConfigMap", "mine"): {"kind": "ConfigMap", "metadata": {"name": "mine"}, "data": {"statsd.yaml": text}}}


def objects(**fields):
    made = metrics.objects(factory.cluster(**{"metrics": {}, **fields}), factory.KEYS)
    return {item["kind"]: item for item in made}


def pod(**fields):
    return objects(**fields)["Deployment"]["spec"]["template"]


def container(**fields):
    return pod(**fields)["spec"]["containers"][0]


def section(**fields):
    parser = ConfigParser()
    parser.read_string(config.airflow_cfg(factory.cluster(**fields))["data"]["airflow.cfg"])
    return dict(parser["metrics"]) if parser.has_section("metrics") else {}


@pytest.mark.parametrize("version", RELEASES)
def test_every_release_is_told_where_to_send_them(version):
    found = section(version=version, metrics={})
    assert {option: found[option] for option in ("statsd_on", "statsd_host", "statsd_port", "statsd_prefix")} == {
        "statsd_on": "True",
        "statsd_host": "demo-statsd.team.svc",
        "statsd_port": "9125",
        "statsd_prefix": "airflow",
    }


def test_timers_of_2_11_are_all_in_one_unit_unless_somebody_wants_otherwise():
    assert section(version="2.11.2", metrics={})["timer_unit_consistency"] == "True"
    assert section(version="2.11.2", metrics={}, config={"metrics": {"timer_unit_consistency": False}})["timer_unit_consistency"] == "False"


@pytest.mark.parametrize("fields", OFF)
@pytest.mark.parametrize("version", RELEASES)
def test_without_it_there_is_nothing(fields, version):
    cluster = factory.cluster(version=version, **fields)
    assert metrics.objects(cluster, factory.KEYS) == []
    assert section(version=version, **fields) == {}
    assert "demo-statsd" not in {item["metadata"]["name"] for item in rbac.service_accounts(cluster)}


def test_the_exporter_listens_where_airflow_sends_and_prometheus_asks():
    made = objects()
    service = made["Service"]
    assert service["metadata"]["name"] == "demo-statsd"
    assert [(port["port"], port["protocol"]) for port in service["spec"]["ports"]] == [(9125, "UDP"), (9102, "TCP")]
    assert service["spec"]["selector"].items() <= pod()["metadata"]["labels"].items()
    assert service["metadata"]["annotations"] == {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": "9102",
        "prometheus.io/path": "/metrics",
    }
    ports = {port["name"]: (port["containerPort"], port["protocol"]) for port in container()["ports"]}
    assert ports == {"statsd": (9125, "UDP"), "metrics": (9102, "TCP")}
    assert {"--statsd.listen-udp=:9125", "--web.listen-address=:9102"} <= set(container()["args"])
    assert made["Deployment"]["spec"]["replicas"] == 1


def test_its_pod_may_nothing_and_writes_nothing():
    spec = pod()["spec"]
    assert violations(spec) == []
    assert spec["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is True
    assert (spec["automountServiceAccountToken"], spec["serviceAccountName"]) == (False, "demo-statsd")
    assert not any("emptyDir" in volume for volume in spec["volumes"])


def test_its_own_mapping_is_mounted_and_named_by_content():
    made = objects()
    name = made["ConfigMap"]["metadata"]["name"]
    assert made["ConfigMap"]["immutable"] is True
    assert pod()["spec"]["volumes"] == [{"name": "mappings", "configMap": {"name": name}}]
    (mount,) = container()["volumeMounts"]
    (file,) = made["ConfigMap"]["data"]
    assert f"--statsd.mapping-config={mount['mountPath']}/{file}" in container()["args"]
    assert yaml.safe_load(made["ConfigMap"]["data"][file]) == statsd.mapping()


def test_a_mapping_of_the_users_takes_its_place_and_a_change_restarts_the_exporter_alone():
    made = objects(**MINE, references=mine())
    assert "ConfigMap" not in made
    (source,) = pod(**MINE, references=mine())["spec"]["volumes"][0]["projected"]["sources"]
    assert source["configMap"] == {"name": "mine", "items": [{"key": "statsd.yaml", "path": "mappings.yaml"}]}
    one, other = (pod(**MINE, references=mine(text))["metadata"]["annotations"][CHECKSUM] for text in ("a", "b"))
    assert one != other
    airflow = [
        [build(factory.cluster(**MINE, references=mine(text)), factory.KEYS) for build in components.COMPONENTS.values()] for text in "ab"
    ]
    assert airflow[0] == airflow[1]


def test_a_mapping_that_is_not_there_is_waited_for_only_where_it_is_used():
    off = {"metrics": {**MINE["metrics"], "enabled": False}}
    assert factory.cluster(**off).metrics is None
    with pytest.raises(Exception, match=r"spec\.metrics\.mappingsRef names ConfigMap mine, which does not exist"):
        factory.cluster(**MINE)


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ({}, "docker.io/prom/statsd-exporter:v0.31.0"),
        ({"tag": "v1"}, "docker.io/prom/statsd-exporter:v1"),
        ({"repository": "r.example/s"}, "r.example/s:v0.31.0"),
        ({"digest": f"sha256:{'a' * 64}"}, f"docker.io/prom/statsd-exporter@sha256:{'a' * 64}"),
    ],
)
def test_the_image(image, expected):
    assert container(metrics={"image": image})["image"] == expected


def test_settings_of_every_pod_are_its_own_too_but_for_the_resources():
    common = {"labels": {"team": "a"}, "nodeSelector": {"zone": "a"}, "resources": {"requests": {"cpu": "2"}}}
    made = pod(pods=common, metrics={"nodeSelector": {"disk": "b"}, "resources": {"limits": {"memory": "1Gi"}}})
    assert made["metadata"]["labels"]["team"] == "a"
    assert made["spec"]["nodeSelector"] == {"zone": "a", "disk": "b"}
    assert made["spec"]["containers"][0]["resources"] == {"requests": {"cpu": "10m", "memory": "1Gi"}, "limits": {"memory": "1Gi"}}


def test_the_last_word_is_the_users():
    patch = {"spec": {"terminationGracePeriodSeconds": 5, "containers": [{"name": "statsd", "args": ["--web.listen-address=:1"]}]}}
    made = pod(metrics={"podTemplate": patch})
    assert made["spec"]["terminationGracePeriodSeconds"] == 5
    assert made["spec"]["containers"][0]["args"] == ["--web.listen-address=:1"]
    with pytest.raises(InvalidSpec, match=r"spec\.metrics\.podTemplate\.spec\.containers\[statsd\]"):
        pod(metrics={"podTemplate": {"spec": {"containers": [{"name": "statsd", "$patch": "delete"}]}}})


def exported(name):
    """(name in Prometheus, labels) of a metric that Airflow sends; None where it is dropped."""
    for rule in statsd.mapping()["mappings"]:
        if found := re.fullmatch(rule["match"], f"airflow.{name}"):
            if rule.get("action") == "drop":
                return None
            return rule["name"].removeprefix("airflow_"), {key: found[int(group[1:])] for key, group in rule["labels"].items()}
    return name.replace(".", "_"), {}


@pytest.mark.parametrize(
    ("sent", "name", "labels"),
    [
        ("scheduler_heartbeat", "scheduler_heartbeat", {}),
        ("dag_processing.import_errors", "dag_processing_import_errors", {}),
        ("ti_failures", "ti_failures", {}),
        ("schedulerjob_start", "job_start", {"job_name": "schedulerjob"}),
        ("my.service_start", "my_service_start", {}),
        ("operator_failures_PythonOperator", "operator_failures", {"operator": "PythonOperator"}),
        ("task_instance_created__PythonDecoratedOperator", "task_instance_created", {"operator": "_PythonDecoratedOperator"}),
        ("ti.start.etl.load", "ti_start", {"dag_id": "etl", "task_id": "load"}),
        ("ti.finish.etl.group.load.success", "ti_finish", {"dag_id": "etl", "task_id": "group.load", "state": "success"}),
        ("ti.running.default.etl.load", "ti_running", {"queue": "default", "dag_id": "etl", "task_id": "load"}),
        ("local_task_job.task_exit.17.etl.load.0", "local_task_job_task_exit", {"dag_id": "etl", "task_id": "load", "return_code": "0"}),
        ("dag.etl.group.load.duration", "task_duration", {"dag_id": "etl", "task_id": "group.load"}),
        ("dag.etl.load.queued_duration", "task_queued_duration", {"dag_id": "etl", "task_id": "load"}),
        ("dagrun.duration.success.team.etl", "dagrun_duration_success", {"dag_id": "team.etl"}),
        ("dagrun.dependency-check.etl", "dagrun_dependency_check", {"dag_id": "etl"}),
        ("dagrun.etl.first_task_scheduling_delay", "dagrun_first_task_scheduling_delay", {"dag_id": "etl"}),
        ("dag_processing.last_duration.dags-folder.hello", "dag_processing_last_duration", {"dag_file": "dags-folder.hello"}),
        ("pool.open_slots.default_pool", "pool_open_slots", {"pool": "default_pool"}),
        ("executor.open_slots", "executor_open_slots", {}),
        ("executor.open_slots.LocalExecutor", "executor_open_slots", {"executor": "LocalExecutor"}),
        ("triggers.running.demo-triggerer-0.demo.svc", "triggers_running", {"hostname": "demo-triggerer-0.demo.svc"}),
    ],
)
def test_names_become_labels(sent, name, labels):
    assert exported(sent) == (name, labels)


@pytest.mark.parametrize(
    "sent", ["ti.start", "ti.finish", "task.duration", "pool.open_slots", "dagrun.duration.failed", "triggers.running"]
)
def test_what_was_sent_without_its_dimensions_is_dropped(sent):
    assert exported(sent) is None


def test_whatever_is_labelled_is_not_exported_without_labels_too():
    without = {re.sub(r"[._]?\{\w*\}", "", name) for name in statsd.LABELLED}
    kept = {name for name in without if exported(name) is not None}
    assert {name for name in kept if not name.startswith(("executor.", "_", "dag."))} == {"dag_processing.last_num_of_db_queries"}
