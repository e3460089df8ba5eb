"""Remote logs, and the clean-up of a volume."""

from __future__ import annotations

import os
import time

from airflow_operator.domain.manifest import dig
from airflow_operator.jobs.files import log_retention
from airflow_operator.reconcile.build import components, config, logs, task_pods
from tests.unit import factory

REMOTE = {"url": "s3://bucket/logs", "connectionId": "aws_logs", "connectionSecretRef": {"name": "store", "key": "uri"}}
STORE = {("Secret", "store"): factory.secret("store", uri="aws://")}


def remote(**fields):
    settings = {"executors": ["KubernetesExecutor"], "logs": {"remote": REMOTE}, "references": STORE, **fields}
    return factory.cluster(**settings)


def cfg(cluster):
    return config.airflow_cfg(cluster)["data"]["airflow.cfg"]


def of_store(container):
    return [item for item in container["env"] if item["name"] == "AIRFLOW_CONN_AWS_LOGS"]


def test_airflow_sends_logs_to_the_store():
    text = cfg(remote())
    for line in ("remote_logging = True", "remote_base_log_folder = s3://bucket/logs", "remote_log_conn_id = aws_logs"):
        assert line in text
    assert "delete_local_logs = True" in text


def test_copies_may_stay():
    assert "delete_local_logs = False" in cfg(remote(config={"logging": {"delete_local_logs": False}}))


def test_a_cloud_identity_needs_no_connection():
    text = cfg(factory.cluster(logs={"remote": {"url": "gs://bucket"}}))
    assert "remote_log_conn_id = \n" in text


def test_every_component_and_every_task_gets_the_connection():
    cluster = remote()
    reference = {"secretKeyRef": {"name": "store", "key": "uri"}}
    found = [build(cluster, factory.KEYS)["spec"]["template"]["spec"]["containers"][0] for build in components.COMPONENTS.values()]
    found += task_pods.template(cluster)["spec"]["containers"][:1]
    assert [of_store(container) for container in found] == [[{"name": "AIRFLOW_CONN_AWS_LOGS", "valueFrom": reference}]] * len(found)


def test_another_connection_restarts_the_components():
    def checksums(uri):
        cluster = remote(references={("Secret", "store"): factory.secret("store", uri=uri)})
        made = [build(cluster, factory.KEYS) for build in components.COMPONENTS.values()]
        return [item["spec"]["template"]["metadata"]["annotations"] for item in made]

    assert all(one != other for one, other in zip(checksums("aws://a"), checksums("aws://b"), strict=True))


def test_there_is_no_clean_up_unless_it_is_asked_for():
    assert logs.objects(factory.cluster(logs={"volume": {"size": "1Gi"}})) == []


def test_old_logs_are_removed_from_the_volume_once_a_day():
    script, job = logs.objects(factory.cluster(logs={"volume": {"claimName": "mine"}, "retention": "720h"}))
    assert job["spec"]["schedule"].endswith(" 3 * * *")
    pod = dig(job, "spec", "jobTemplate", "spec", "template", "spec")
    assert pod["containers"][0]["args"] == ["python", "/opt/airflow/operator/log_retention.py", "/opt/airflow/logs", str(720 * 3600)]
    volumes = {item["name"]: item for item in pod["volumes"]}
    assert volumes["logs"]["persistentVolumeClaim"] == {"claimName": "mine"}
    assert volumes["script"]["configMap"]["name"] == script["metadata"]["name"]
    # A Job with the cluster's label would be taken for a child of the cluster itself.
    assert "metadata" not in job["spec"]["jobTemplate"]


def test_the_script_removes_what_is_old_and_nothing_else(tmp_path):
    old, young = tmp_path / "dag_id=a" / "run_id=1" / "attempt=1.log", tmp_path / "dag_id=b" / "attempt=1.log"
    for path in (old, young):
        path.parent.mkdir(parents=True)
        path.write_text("words")
    (tmp_path / "dag_id=empty").mkdir()
    long_ago = time.time() - 7200
    for path in (old, old.parent, old.parent.parent, young.parent):
        os.utime(path, (long_ago, long_ago))
    assert log_retention.clean(str(tmp_path), time.time() - 3600) == (1, 1, 0)
    assert young.read_text() == "words"
    assert not old.exists()
    # A folder that lost a file just now goes another day.
    assert (tmp_path / "dag_id=empty").is_dir()
    for path in (old.parent, old.parent.parent):
        os.utime(path, (long_ago, long_ago))
    log_retention.clean(str(tmp_path), time.time() - 3600)
    assert not old.parent.exists()


def test_what_cannot_be_removed_is_a_failure(tmp_path, monkeypatch, capsys):
    path = tmp_path / "attempt=1.log"
    path.write_text("words")
    monkeypatch.setattr("os.unlink", lambda _: (_ for _ in ()).throw(PermissionError("not yours")))
    monkeypatch.setattr("sys.argv", ["log_retention.py", str(tmp_path), "-60"])
    assert log_retention.main() == 1
    assert "not yours" in capsys.readouterr().err
