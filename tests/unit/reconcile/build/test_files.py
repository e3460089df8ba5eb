"""Files that a user brings: certificates and local settings."""

from __future__ import annotations

import json

from airflow_operator.reconcile.build import components, dags, git_sync, jobs, task_pods
from tests.unit import factory

CA = {"configMapKeyRef": {"name": "company-ca", "key": "bundle.pem"}}
SETTINGS = {"secretKeyRef": {"name": "policies", "key": "local.py"}}
FOUND = {
    ("ConfigMap", "company-ca"): {"data": {"bundle.pem": "-----BEGIN"}},
    ("Secret", "policies"): factory.secret("policies", **{"local.py": "x = 1"}),
}
GIT = [{"git": {"repo": "https://git.example.com/a.git"}}]


def cluster(**fields):
    return factory.cluster(executors=["KubernetesExecutor"], references=FOUND, **fields)


def pods(made):
    workloads = [build(made, factory.KEYS) for build in components.COMPONENTS.values()]
    return [
        *(item["spec"]["template"]["spec"] for item in [*workloads, jobs.check(made, "1/1")]),
        task_pods.template(made)["spec"],
    ]


def test_every_airflow_container_trusts_the_certificates():
    for pod in pods(cluster(trustedCA=CA)):
        container = pod["containers"][0]
        variables = {item["name"]: item.get("value") for item in container["env"]}
        for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "AWS_CA_BUNDLE", "GIT_SSL_CAINFO"):
            assert variables[name] == "/opt/airflow/trusted-ca/ca.crt"
        assert {"name": "trusted-ca", "mountPath": "/opt/airflow/trusted-ca", "readOnly": True} in container["volumeMounts"]
        volume = next(item for item in pod["volumes"] if item["name"] == "trusted-ca")
        items = [{"key": "bundle.pem", "path": "ca.crt"}]
        assert volume["projected"]["sources"] == [{"configMap": {"name": "company-ca", "items": items}}]


def test_the_user_may_trust_others_in_one_place():
    made = cluster(trustedCA=CA, env=[{"name": "REQUESTS_CA_BUNDLE", "value": "/mine"}])
    variables = [item for item in pods(made)[0]["containers"][0]["env"] if item["name"] == "REQUESTS_CA_BUNDLE"]
    assert variables == [{"name": "REQUESTS_CA_BUNDLE", "value": "/mine"}]


def test_git_sync_trusts_them_too_unless_the_repository_has_its_own():
    def authority(**git):
        made = cluster(trustedCA=CA, dags=[{"git": {**GIT[0]["git"], **git}}])
        container = git_sync.init_containers(made, patient=True)[0]
        volumes = [item for item in dags.volumes(made) if item["name"].startswith("ca-")]
        return "GITSYNC_GIT_CONFIG" in {item["name"] for item in container["env"]}, json.dumps(volumes)

    assert authority()[0]
    assert "company-ca" in authority()[1]
    assert "policies" in authority(ca={"secretKeyRef": {"name": "policies", "key": "local.py"}})[1]
    assert authority(repo="http://git/a.git") == (False, "[]")


def test_local_settings_lie_on_pythons_path_beside_the_configuration():
    for pod in pods(cluster(localSettingsRef=SETTINGS)):
        volume = next(item for item in pod["volumes"] if item["name"] == "config")
        own, theirs = volume["projected"]["sources"]
        assert own["configMap"]["name"].startswith("demo-config-")
        assert theirs["secret"] == {"name": "policies", "items": [{"key": "local.py", "path": "airflow_local_settings.py"}]}


def test_a_change_of_either_restarts_every_component():
    def checksums(**found):
        made = factory.cluster(trustedCA=CA, localSettingsRef=SETTINGS, references={**FOUND, **found.get("changed", {})})
        workloads = [build(made, factory.KEYS) for build in components.COMPONENTS.values()]
        return [item["spec"]["template"]["metadata"]["annotations"] for item in workloads]

    before = checksums()
    for changed in (
        {("ConfigMap", "company-ca"): {"data": {"bundle.pem": "new"}}},
        {("Secret", "policies"): factory.secret("policies", **{"local.py": "y"})},
    ):
        assert all(one != other for one, other in zip(before, checksums(changed=changed), strict=True))
