"""git-sync beside whatever parses or runs DAGs."""

from __future__ import annotations

import pytest

from airflow_operator.reconcile import keys
from airflow_operator.reconcile.build import git_sync
from tests.unit import factory
from tests.unit.factory import KEYS

REPO = "https://git.example.com/etl.git"
CREDENTIALS = {"credentialsSecretRef": {"name": "git"}}
PASSWORD = {("Secret", "git"): factory.secret("git", username="me", password="p")}
TOKEN = {("Secret", "git"): factory.secret("git", token="t")}


def cluster(references=None, name=None, **git):
    row = {"git": {"repo": REPO, **git}, **({"name": name} if name else {})}
    return factory.cluster(references=references, dags=[row])


def entry(**git):
    return cluster(**git).spec.dags[0]


def env(container):
    return {item["name"]: item.get("value", item.get("valueFrom")) for item in container["env"]}


def sidecar(found, *, reports=True):
    (made,) = git_sync.sidecars(found, KEYS, reports=reports)
    return made


def first_sync(found, *, patient=False):
    (made,) = git_sync.init_containers(found, patient=patient)
    return made


def test_only_documented_variables_are_used():
    found = cluster(PASSWORD, **CREDENTIALS)
    for container in (sidecar(found), first_sync(found)):
        assert {name for name in env(container) if not name.startswith("GITSYNC_")} == set()


def test_what_is_followed():
    found = env(sidecar(cluster(ref="v1", depth=0, period="90s")))
    wanted = {"GITSYNC_REPO": REPO, "GITSYNC_REF": "v1", "GITSYNC_DEPTH": "0", "GITSYNC_PERIOD": "90s"}
    assert wanted.items() <= found.items()


def test_a_sidecar_ends_after_some_failures_so_that_its_words_can_be_read():
    made = sidecar(cluster())
    assert env(made)["GITSYNC_MAX_FAILURES"] == "3"
    assert "GITSYNC_ONE_TIME" not in env(made)
    assert made["terminationMessagePolicy"] == "FallbackToLogsOnError"
    assert made["startupProbe"]["httpGet"]["port"] == 1234
    assert env(made)["GITSYNC_HTTP_BIND"] == ":1234"


def test_a_task_waits_for_the_repository_and_a_component_says_what_is_wrong():
    assert env(first_sync(cluster(), patient=True))["GITSYNC_MAX_FAILURES"] == "-1"
    impatient = env(first_sync(cluster()))
    assert (impatient["GITSYNC_MAX_FAILURES"], impatient["GITSYNC_ONE_TIME"]) == ("3", "true")


def test_the_password_is_a_file_and_only_the_user_name_a_variable():
    found = cluster(PASSWORD, **CREDENTIALS)
    made = env(sidecar(found))
    assert made["GITSYNC_PASSWORD_FILE"] == "/etc/git-secret/password"
    assert made["GITSYNC_USERNAME"] == {"secretKeyRef": {"name": "git", "key": "username"}}
    assert "GITSYNC_PASSWORD" not in made
    secret = next(item["secret"] for item in git_sync.volumes(found) if "secret" in item)
    assert secret["items"] == [{"key": "password", "path": "password"}]
    assert secret["defaultMode"] == 0o440


def test_a_token_alone_is_enough():
    found = cluster(TOKEN, **CREDENTIALS)
    assert env(sidecar(found))["GITSYNC_USERNAME"] == "git"
    secret = next(item["secret"] for item in git_sync.volumes(found) if "secret" in item)
    assert secret["items"] == [{"key": "token", "path": "password"}]


def test_without_credentials_there_are_none():
    assert not {"GITSYNC_USERNAME", "GITSYNC_PASSWORD_FILE"} & set(env(sidecar(cluster())))
    assert all("secret" not in item for item in git_sync.volumes(cluster()))


def test_only_the_one_that_reports_knows_the_webhook():
    assert "GITSYNC_WEBHOOK_URL" not in env(sidecar(cluster(), reports=False))
    made = env(sidecar(cluster()))
    assert made["GITSYNC_WEBHOOK_SUCCESS_STATUS"] == "200"
    token = git_sync.webhook_token("team", "demo", cluster().spec.dags[0], KEYS)
    assert made["GITSYNC_WEBHOOK_URL"] == f"http://airflow-operator.airflow-operator.svc:8090/git-sync/team/demo/dags-folder/{token}"


def test_a_token_is_good_for_one_entry_of_one_cluster_with_its_keys():
    tokens = {
        git_sync.webhook_token(*args)
        for args in (
            ("team", "demo", entry(), KEYS),
            ("team", "demo", entry(name="other"), KEYS),
            ("team", "demo", entry(ref="release"), KEYS),
            ("team", "demo", entry(repo="https://git.example.com/other.git"), KEYS),
            ("team", "other", entry(), KEYS),
            ("other", "demo", entry(), KEYS),
            ("team", "demo", entry(), keys.Keys(keys.generate())),
        )
    }
    assert len(tokens) == 7
    assert all(len(token) == 32 for token in tokens)


@pytest.mark.parametrize(("sub_path", "path"), [(None, "repo"), ("dags", "repo/dags"), ("a/b", "repo/a/b")])
def test_where_the_dags_lie(sub_path, path):
    found = cluster(name="etl", **({"subPath": sub_path} if sub_path else {}))
    (entry,) = found.spec.dags
    assert git_sync.bundle_path(entry) == f"/opt/airflow/bundles/etl/{path}"
    (mount,) = git_sync.mounts(found)
    assert mount["mountPath"] == "/opt/airflow/bundles/etl"
    assert mount["readOnly"] is True
