"""DAGs on a volume, in the image, and in a repository that Airflow fetches itself."""

from __future__ import annotations

import base64
import json

import pytest

from airflow_operator.domain.errors import Waiting
from airflow_operator.reconcile import plan
from airflow_operator.reconcile.build import airflow_env, components, config, git_bundle, git_sync, task_pods
from tests.unit import factory
from tests.unit.factory import KEYS

LOCAL = "airflow.dag_processing.bundles.local.LocalDagBundle"
REPO = "https://git.example.com/etl.git"
PEM = "-----BEGIN OPENSSH PRIVATE KEY-----\nx\n-----END OPENSSH PRIVATE KEY-----\n"


def claim(name="dags", *modes):
    live = {"kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": {"accessModes": list(modes or ("ReadWriteMany",))}}
    return {("PersistentVolumeClaim", name): live}


def bundles(found):
    return json.loads(config.owned(found)["dag_processor"]["dag_bundle_config_list"])


def pods_of(found):
    """Pod specs of what reads DAGs."""
    workloads = [builder(found, KEYS)["spec"]["template"]["spec"] for builder in (components.dag_processor, components.triggerer)]
    return [*workloads, task_pods.template(found)["spec"]]


@pytest.mark.parametrize(("sub_path", "path"), [(None, ""), ("a/b", "/a/b")])
def test_a_volume_is_mounted_by_all_that_read_dags(sub_path, path):
    volume = {"claimName": "dags", **({"subPath": sub_path} if sub_path else {})}
    found = factory.cluster(references=claim(), dags=[{"name": "nfs", "volume": volume}])
    assert bundles(found) == [{"name": "nfs", "classpath": LOCAL, "kwargs": {"path": f"/opt/airflow/bundles/nfs{path}"}}]
    for spec in pods_of(found):
        mounted = {item["name"]: item for item in spec["volumes"]}["dags-nfs"]
        assert mounted["persistentVolumeClaim"] == {"claimName": "dags", "readOnly": True}
        assert {"name": "dags-nfs", "mountPath": "/opt/airflow/bundles/nfs", "readOnly": True} in spec["containers"][0]["volumeMounts"]
        assert "initContainers" not in spec
        assert len(spec["containers"]) == 1


def test_a_folder_of_the_image_is_mounted_by_nobody():
    found = factory.cluster(dags=[{"image": {"path": "/opt/airflow/dags"}}])
    assert bundles(found) == [{"name": "dags-folder", "classpath": LOCAL, "kwargs": {"path": "/opt/airflow/dags"}}]
    for spec in pods_of(found):
        assert not [item for item in spec["volumes"] if item["name"].startswith("dags-")]


def bundled(references=None, **git):
    rows = [{"name": "etl-main", "git": {"repo": REPO, "ref": "main", "period": "90s", "delivery": "Bundle", **git}}]
    return factory.cluster(references=references, dags=rows)


def connection(found):
    return json.loads(base64.b64decode(git_bundle.connections(found)["data"]["etl-main"]))


def test_a_public_repository_needs_no_connection():
    found = bundled(subPath="dags")
    arguments = {"repo_url": REPO, "tracking_ref": "main", "refresh_interval": 90, "subdir": "dags"}
    assert bundles(found) == [{"name": "etl-main", "classpath": git_bundle.CLASS, "kwargs": arguments}]
    assert git_bundle.connections(found) is None
    assert git_bundle.environment(found) == []
    assert git_sync.sidecars(found, KEYS, reports=True) == git_sync.init_containers(found, patient=True) == []


def test_user_name_and_password_are_a_connection_from_a_secret():
    found = bundled({("Secret", "git"): factory.secret("git", username="me", password="p%s\n")}, credentialsSecretRef={"name": "git"})
    assert bundles(found)[0]["kwargs"]["git_conn_id"] == "airflow_operator_dags_etl_main"
    assert connection(found) == {"conn_type": "git", "login": "me", "password": "p%s"}
    made = {"name": "demo-dag-connections", "key": "etl-main"}
    variable = {"name": "AIRFLOW_CONN_AIRFLOW_OPERATOR_DAGS_ETL_MAIN", "valueFrom": {"secretKeyRef": made}}
    for spec in pods_of(found):
        assert variable in spec["containers"][0]["env"]
    assert variable not in components.api_server(found, KEYS)["spec"]["template"]["spec"]["containers"][0]["env"]
    assert "demo-dag-connections" in {item["metadata"]["name"] for item in plan.prerequisites(found, KEYS)}
    assert "p%s" not in json.dumps([config.airflow_cfg(found), *pods_of(found)])


def test_a_token_is_a_password():
    found = bundled({("Secret", "git"): factory.secret("git", token="t")}, credentialsSecretRef={"name": "git"})
    assert connection(found) == {"conn_type": "git", "login": "git", "password": "t"}


@pytest.mark.parametrize(
    ("hosts", "file"),
    [(None, "/opt/airflow/git/etl-main/known_hosts"), ("git ssh-ed25519 A", "/opt/airflow/git/etl-main-hosts/known_hosts")],
)
def test_ssh_takes_files_and_checks_the_host(hosts, file):
    secret = factory.secret("git", **{"ssh-privatekey": PEM, "known_hosts": "git ssh-ed25519 B"})
    more = {"knownHosts": hosts} if hosts else {}
    found = bundled({("Secret", "git"): secret}, repo="git@git:etl.git", credentialsSecretRef={"name": "git"}, **more)
    extra = connection(found)["extra"]
    assert extra == {"key_file": "/opt/airflow/git/etl-main/ssh", "known_hosts_file": file, "strict_host_key_checking": "yes"}
    for spec in pods_of(found):
        mounts = {item["mountPath"]: item["name"] for item in spec["containers"][0]["volumeMounts"]}
        assert mounts["/opt/airflow/git/etl-main"] == "git-etl-main"
        assert ("/opt/airflow/git/etl-main-hosts" in mounts) == bool(hosts)
    assert git_bundle.started_with(found) == []


def test_a_new_password_rolls_what_fetches():
    def template(password):
        secret = factory.secret("git", username="me", password=password)
        found = bundled({("Secret", "git"): secret}, credentialsSecretRef={"name": "git"})
        return {builder.__name__: builder(found, KEYS)["spec"]["template"] for builder in components.COMPONENTS.values()}

    one, other = template("1"), template("2")
    assert {name for name in one if one[name] != other[name]} == {"dag_processor", "triggerer"}


def test_a_github_app_is_not_for_bundles():
    app = factory.secret("git", githubAppID="1", githubAppInstallationID="2", githubAppPrivateKey=PEM)
    with pytest.raises(Waiting, match="delivery: Sidecar only"):
        bundled({("Secret", "git"): app}, credentialsSecretRef={"name": "git"})


def test_tasks_hold_no_connection_of_a_sidecar():
    rows = [{"git": {"repo": REPO, "credentialsSecretRef": {"name": "git"}}}]
    found = factory.cluster(references={("Secret", "git"): factory.secret("git", token="t")}, dags=rows)
    assert not [item for item in airflow_env.of_task(found) if item["name"].startswith("AIRFLOW_CONN")]


AIRFLOW_2 = {"version": "2.11.2", "executors": ["LocalExecutor", "KubernetesExecutor"]}


def test_airflow_2_has_one_folder_with_a_link_to_each_source():
    rows = [
        {"git": {"repo": REPO, "subPath": "dags"}},
        {"name": "nfs", "volume": {"claimName": "dags"}},
        {"name": "own", "image": {"path": "/x"}},
    ]
    found = factory.cluster(references=claim(), dags=rows, **AIRFLOW_2)
    assert config.owned(found)["core"]["dags_folder"] == "/opt/airflow/dag-sources"
    wanted = {
        "dags-folder": "/opt/airflow/bundles/dags-folder/repo/dags",
        "nfs": "/opt/airflow/bundles/nfs",
        "own": "/x",
    }
    links = " && ".join(f"ln -sfn {target} /opt/airflow/dag-sources/{name}" for name, target in wanted.items())
    for spec in [components.scheduler(found, KEYS)["spec"]["template"]["spec"], *pods_of(found)[1:]]:
        first, last = spec["initContainers"]
        assert (first["name"], last["name"]) == ("git-sync-init", "link-dags")
        assert last["command"] == ["bash", "-c", links]
        assert {"name": "dag-sources", "mountPath": "/opt/airflow/dag-sources", "readOnly": True} in spec["containers"][0]["volumeMounts"]
        assert {"name": "dag-sources", "emptyDir": {}} in spec["volumes"]


def test_airflow_2_10_takes_no_link_of_git_sync_for_its_folder():
    def folder(**entry):
        found = factory.cluster(references=claim(), version="2.10.5", dags=[entry], executors=["KubernetesExecutor"])
        names = {item["name"] for item in task_pods.template(found)["spec"].get("initContainers", [])}
        return config.owned(found)["core"]["dags_folder"], "link-dags" in names

    assert folder(git={"repo": REPO}) == ("/opt/airflow/dag-sources", True)
    assert folder(name="nfs", volume={"claimName": "dags"}) == ("/opt/airflow/bundles/nfs", False)


def test_airflow_2_reads_a_single_source_where_it_lies():
    found = factory.cluster(dags=[{"name": "etl", "git": {"repo": REPO}}], **AIRFLOW_2)
    assert config.owned(found)["core"]["dags_folder"] == "/opt/airflow/bundles/etl/repo"
    assert "link-dags" not in {item["name"] for item in task_pods.template(found)["spec"]["initContainers"]}
