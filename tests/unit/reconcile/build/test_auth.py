"""Every way to log in, as airflow.cfg and the API server's pod know it."""

from __future__ import annotations

import base64
import json

import pytest

from airflow_operator.reconcile.build import auth, components, config
from tests.unit import factory

CLIENT = factory.secret("client", **{"client-id": "airflow", "client-secret": "s3cr3t"})
OIDC = {"fab": {"oidc": {"issuerURL": "https://login.example.com", "clientSecretRef": {"name": "client"}, "roleMapping": {"ops": "Op"}}}}


def cluster(settings, **fields):
    return factory.cluster(auth=settings, references={("Secret", "client"): CLIENT, **fields.pop("references", {})}, **fields)


def cfg(made):
    return config.airflow_cfg(made)["data"]["airflow.cfg"]


def pod(made):
    return components.api_server(made, factory.KEYS)["spec"]["template"]["spec"]


def decoded(secret):
    return {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}


def test_without_a_word_users_are_in_the_database():
    made = factory.cluster()
    assert "FabAuthManager" in cfg(made)
    assert "config_file" not in cfg(made)
    assert auth.objects(made, factory.KEYS) == []
    assert "initContainers" not in pod(made)


def test_another_manager_is_named_by_its_class():
    assert "auth_manager = a.b.Manager\n" in cfg(cluster({"manager": {"className": "a.b.Manager"}}))


def test_simple_users_have_passwords_that_stay():
    made = cluster({"simple": {"users": [{"name": "ann", "role": "admin"}, {"name": "bob", "role": "viewer"}]}})
    assert "simple_auth_manager_users = ann:admin,bob:viewer\n" in cfg(made)
    assert "simple_auth_manager_all_admins = False\n" in cfg(made)
    (secret,) = auth.objects(made, factory.KEYS)
    data = decoded(secret)
    assert json.loads(data["passwords.json"]) == {"ann": data["ann"], "bob": data["bob"]}
    assert data["ann"] != data["bob"]
    assert len(data["ann"]) == 24
    assert auth.objects(made, factory.KEYS) == [secret]


def test_airflow_may_write_its_copy_of_the_passwords():
    spec = pod(cluster({"simple": {}}))
    (copy,) = spec["initContainers"]
    assert copy["args"][-1] == "install -m 0600 /run/secrets/simple-auth/passwords.json /opt/airflow/simple-auth/passwords.json"
    mounted = {item["name"]: item for item in spec["containers"][0]["volumeMounts"]}
    assert mounted["simple-auth"].get("readOnly") is None
    assert "passwords" not in mounted


def test_where_everybody_is_an_administrator_there_are_no_passwords():
    made = cluster({"simple": {"allAdmins": True}})
    assert "simple_auth_manager_all_admins = True\n" in cfg(made)
    assert auth.objects(made, factory.KEYS) == []
    assert "initContainers" not in pod(made)


def test_oidc_is_configured_without_a_secret_in_the_configmap():
    made = cluster(OIDC)
    assert "config_file = /opt/airflow/webserver/webserver_config.py\n" in cfg(made)
    (config_map,) = auth.objects(made, factory.KEYS)
    assert config_map["immutable"] is True
    assert json.loads(config_map["data"]["oidc.json"])["roleMapping"] == {"ops": "Op"}
    assert "s3cr3t" not in json.dumps(config_map)
    spec = pod(made)
    volumes = {item["name"]: item for item in spec["volumes"]}
    assert volumes["webserver"]["configMap"]["name"] == config_map["metadata"]["name"]
    assert volumes["oidc-client"]["secret"]["secretName"] == "client"
    paths = {item["mountPath"] for item in spec["containers"][0]["volumeMounts"]}
    assert {"/opt/airflow/webserver", "/opt/airflow/oidc-client"} <= paths


def test_only_the_api_server_holds_the_clients_secret():
    made = cluster(OIDC)
    others = [build(made, factory.KEYS) for build in components.COMPONENTS.values() if build is not components.api_server]
    assert "oidc-client" not in json.dumps(others)


def test_a_new_client_secret_restarts_the_api_server_alone():
    def checksums(secret):
        made = cluster(OIDC, references={("Secret", "client"): secret})
        found = [build(made, factory.KEYS) for build in components.COMPONENTS.values()]
        return {item["metadata"]["name"]: item["spec"]["template"]["metadata"]["annotations"] for item in found}

    before, after = checksums(CLIENT), checksums(factory.secret("client", **{"client-id": "airflow", "client-secret": "new"}))
    assert [name for name in before if before[name] != after[name]] == ["demo-api-server"]


@pytest.mark.parametrize(("kind", "field", "source"), [("Secret", "secretKeyRef", "secret"), ("ConfigMap", "configMapKeyRef", "configMap")])
def test_a_file_of_ones_own(kind, field, source):
    reference = {field: {"name": "mine", "key": "pages.py"}}
    made = cluster({"fab": {"webserverConfigRef": reference}}, references={(kind, "mine"): {"data": {"pages.py": "eA=="}}})
    assert "config_file = /opt/airflow/webserver/webserver_config.py\n" in cfg(made)
    volume = next(item for item in pod(made)["volumes"] if item["name"] == "webserver")
    (found,) = volume["projected"]["sources"]
    assert found[source] == {"name": "mine", "items": [{"key": "pages.py", "path": "webserver_config.py"}]}
