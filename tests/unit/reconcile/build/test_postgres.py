"""The embedded PostgreSQL."""

from __future__ import annotations

import pytest

from airflow_operator.api import parse_base
from airflow_operator.domain import labels
from airflow_operator.reconcile.build import postgres
from tests.unit import factory
from tests.unit.strategies import resource


def build(pods=None, **settings):
    document = resource("AirflowBase", "platform", "team", {"database": {"postgres": settings}, **({"pods": pods} if pods else {})})
    service, server = postgres.postgres("platform", "team", "uid", parse_base(document).spec)
    return service, server


def container(server):
    (made,) = server["spec"]["template"]["spec"]["containers"]
    return made


def test_the_server_answers_where_it_is_looked_for():
    service, server = build()
    assert service["metadata"]["name"] == server["metadata"]["name"] == server["spec"]["serviceName"] == "platform-postgres"
    assert service["spec"]["selector"] == server["spec"]["selector"]["matchLabels"]
    assert service["spec"]["selector"].items() <= server["spec"]["template"]["metadata"]["labels"].items()
    # A busy node must not take the only endpoint away.
    assert service["spec"]["publishNotReadyAddresses"] is True


def test_the_data_outlives_the_server():
    _, server = build(storage={"size": "20Gi", "storageClassName": "fast"})
    (claim,) = server["spec"]["volumeClaimTemplates"]
    assert claim["spec"]["resources"]["requests"]["storage"] == "20Gi"
    assert claim["spec"]["storageClassName"] == "fast"
    assert labels.INSTANCE not in claim["metadata"]["labels"]
    assert claim["metadata"]["labels"][labels.RETAINED] == "true"
    assert server["spec"]["persistentVolumeClaimRetentionPolicy"] == {"whenDeleted": "Retain", "whenScaled": "Retain"}


def test_the_default_class_is_the_clusters_own():
    assert "storageClassName" not in build()[1]["spec"]["volumeClaimTemplates"][0]["spec"]


@pytest.mark.parametrize(("settings", "image"), [({}, "docker.io/library/postgres:17"), ({"version": 15}, "docker.io/library/postgres:15")])
def test_the_image_follows_the_version(settings, image):
    assert container(build(**settings)[1])["image"] == image


def test_parameters_are_arguments_in_a_fixed_order():
    made = container(build(parameters={"work_mem": "4MB", "max_connections": 200})[1])
    assert made["args"] == ["postgres", "-c", "max_connections=200", "-c", "work_mem=4MB"]


def test_the_password_is_a_file():
    made = container(build()[1])
    given = {item["name"]: item.get("value") for item in made["env"]}
    assert given["POSTGRES_PASSWORD_FILE"] == "/run/secrets/postgres/password"
    assert "POSTGRES_PASSWORD" not in given
    assert "UTF8" in given["POSTGRES_INITDB_ARGS"]


def test_probes_ask_for_an_open_port_only():
    made = container(build()[1])
    assert all("tcpSocket" in made[probe] for probe in ("startupProbe", "readinessProbe", "livenessProbe"))


def test_the_bases_own_settings_reach_the_pod():
    pods = {
        "labels": {"team": "db"},
        "annotations": {"n": "1"},
        "nodeSelector": {"a": "1"},
        "resources": {"requests": {"cpu": "2", "memory": "2Gi"}},
    }
    _, server = build(pods, resources={"requests": {"memory": "4Gi"}})
    template = server["spec"]["template"]
    assert template["metadata"]["labels"]["team"] == "db"
    assert template["metadata"]["annotations"] == {"n": "1"}
    assert template["spec"]["nodeSelector"] == {"a": "1"}
    assert container(server)["resources"]["requests"] == {"cpu": "2", "memory": "4Gi"}


def test_the_password_secret_outlives_the_base():
    made = postgres.password_secret("platform", "team", "secret")
    assert "ownerReferences" not in made["metadata"]
    assert labels.INSTANCE not in made["metadata"]["labels"]
    assert made["metadata"]["annotations"] == labels.KEPT_BY_ARGO_CD
    assert made["data"] == factory.secret("x", password="secret")["data"]


def test_a_password_that_the_data_does_not_know_is_set_before_the_server_starts():
    made = postgres.password_secret("platform", "team", "new", to_set=True)
    marked = {**made, "metadata": {**made["metadata"], "uid": "secret-uid"}}
    document = resource("AirflowBase", "platform", "team", {"database": {"postgres": {}}})
    _, server = postgres.postgres("platform", "team", "uid", parse_base(document).spec, postgres.password_to_set(marked))
    template = server["spec"]["template"]
    (init,) = template["spec"]["initContainers"]
    assert init["image"] == container(server)["image"]
    assert {item["mountPath"] for item in init["volumeMounts"]} >= {postgres.DATA, postgres.PASSWORD_DIR}
    # Lost once more is another Secret: the server must start anew.
    assert template["metadata"]["annotations"][labels.SET_PASSWORD] == "secret-uid"


def test_a_password_that_the_server_was_made_with_changes_no_template():
    made = postgres.password_secret("platform", "team", "first")
    assert postgres.password_to_set({**made, "metadata": {**made["metadata"], "uid": "secret-uid"}}) == ""
    assert "initContainers" not in build()[1]["spec"]["template"]["spec"]
