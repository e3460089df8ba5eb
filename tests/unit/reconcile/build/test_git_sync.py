"""git-sync beside whatever parses or runs DAGs."""

from __future__ import annotations

import pytest

from airflow_operator.domain.errors import Waiting
from airflow_operator.reconcile import keys
from airflow_operator.reconcile.build import dags, git_files, git_sync
from tests.unit import factory
from tests.unit.factory import KEYS

REPO = "https://git.example.com/etl.git"
CREDENTIALS = {"credentialsSecretRef": {"name": "git"}}
PASSWORD = {("Secret", "git"): factory.secret("git", username="me", password="p")}
TOKEN = {("Secret", "git"): factory.secret("git", token="t")}
PEM = "-----BEGIN OPENSSH PRIVATE KEY-----\nx\n-----END OPENSSH PRIVATE KEY-----\n"
SSH = {"repo": "ssh://git@git.example.com/etl.git", **CREDENTIALS}
HOSTS = "git.example.com ssh-ed25519 AAAA"


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
    secret = next(item["secret"] for item in dags.volumes(found) if "secret" in item)
    assert secret["items"] == [{"key": "password", "path": "password"}]
    assert secret["defaultMode"] == 0o440


def test_a_token_alone_is_enough():
    found = cluster(TOKEN, **CREDENTIALS)
    assert env(sidecar(found))["GITSYNC_USERNAME"] == "git"
    secret = next(item["secret"] for item in dags.volumes(found) if "secret" in item)
    assert secret["items"] == [{"key": "token", "path": "password"}]


@pytest.mark.parametrize("prefix", ["GITSYNC", "GIT_SYNC"])
def test_the_secret_of_the_official_chart_is_understood(prefix):
    names = (f"{prefix}_USERNAME", f"{prefix}_PASSWORD")
    found = cluster({("Secret", "git"): factory.secret("git", **dict.fromkeys(names, "x"))}, **CREDENTIALS)
    assert env(sidecar(found))["GITSYNC_USERNAME"] == {"secretKeyRef": {"name": "git", "key": names[0]}}
    assert mounted(found, "git-dags-folder")["secret"]["items"] == [{"key": names[1], "path": "password"}]


@pytest.mark.parametrize("member", ["ssh-privatekey", "gitSshKey"])
@pytest.mark.parametrize("repo", ["ssh://git@git.example.com:2222/etl.git", "git@git.example.com:team/etl.git"])
def test_ssh_with_known_hosts_of_the_secret(member, repo):
    secret = factory.secret("git", **{member: PEM, "known_hosts": HOSTS})
    found = cluster({("Secret", "git"): secret}, **{**SSH, "repo": repo})
    made = env(sidecar(found))
    assert made["GITSYNC_SSH_KEY_FILE"] == "/etc/git-secret/ssh"
    assert (made["GITSYNC_SSH_KNOWN_HOSTS"], made["GITSYNC_SSH_KNOWN_HOSTS_FILE"]) == ("true", "/etc/git-secret/known_hosts")
    assert not {"GITSYNC_USERNAME", "GITSYNC_PASSWORD_FILE"} & set(made)
    items = [{"key": member, "path": "ssh"}, {"key": "known_hosts", "path": "known_hosts"}]
    assert mounted(found, "git-dags-folder")["secret"]["items"] == items


def test_known_hosts_of_the_spec_win_and_lie_in_a_config_map():
    secret = factory.secret("git", **{"ssh-privatekey": PEM, "known_hosts": "other"})
    found = cluster({("Secret", "git"): secret}, knownHosts=HOSTS, **SSH)
    assert env(sidecar(found))["GITSYNC_SSH_KNOWN_HOSTS_FILE"] == "/etc/git-known-hosts/known_hosts"
    made = git_files.known_hosts(found)
    assert made["data"] == {"dags-folder": f"{HOSTS}\n"}
    volume = mounted(found, "hosts-dags-folder")["configMap"]
    assert volume == {"name": made["metadata"]["name"], "items": [{"key": "dags-folder", "path": "known_hosts"}]}
    assert mounted(found, "git-dags-folder")["secret"]["items"] == [{"key": "ssh-privatekey", "path": "ssh"}]


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        ({"ssh-privatekey": PEM}, "the key known_hosts with the server's public keys: add it, or set knownHosts"),
        ({"known_hosts": HOSTS}, "the key ssh-privatekey"),
        ({"username": "a", "password": "b"}, "the key ssh-privatekey"),
        ({"ssh-privatekey": PEM.rstrip(), "known_hosts": HOSTS}, "lacks the line break at its end"),
        ({"ssh-privatekey": "nonsense\n", "known_hosts": HOSTS}, "is not a private key"),
    ],
)
def test_a_secret_that_ssh_could_not_use_is_waited_for(data, wanted):
    with pytest.raises(Waiting) as told:
        cluster({("Secret", "git"): factory.secret("git", **data)}, **SSH)
    assert wanted in told.value.message
    assert "spec.dags[dags-folder].git.credentialsSecretRef" in told.value.message


APP = {"githubAppPrivateKey": PEM, "githubAppInstallationID": "77"}


@pytest.mark.parametrize(
    ("identity", "variable"),
    [("githubAppID", "GITSYNC_GITHUB_APP_APPLICATION_ID"), ("githubAppClientID", "GITSYNC_GITHUB_APP_CLIENT_ID")],
)
def test_a_github_app(identity, variable):
    data = {**APP, identity: "1", "githubAppBaseURL": "https://github.example.com/api/v3"}
    found = cluster({("Secret", "git"): factory.secret("git", **data)}, **CREDENTIALS)
    made = env(sidecar(found))
    members = {
        variable: identity,
        "GITSYNC_GITHUB_APP_INSTALLATION_ID": "githubAppInstallationID",
        "GITSYNC_GITHUB_BASE_URL": "githubAppBaseURL",
    }
    assert {name: made[name]["secretKeyRef"]["key"] for name in members} == members
    assert made["GITSYNC_GITHUB_APP_PRIVATE_KEY_FILE"] == "/etc/git-secret/github-app.pem"
    assert mounted(found, "git-dags-folder")["secret"]["items"] == [{"key": "githubAppPrivateKey", "path": "github-app.pem"}]
    assert {reference.key for reference in git_sync.started_with(found)} == set(members.values())


def test_half_a_github_app_is_waited_for():
    with pytest.raises(Waiting, match="githubAppID or githubAppClientID"):
        cluster({("Secret", "git"): factory.secret("git", **APP)}, **CREDENTIALS)


@pytest.mark.parametrize(("field", "kind", "source"), [("secretKeyRef", "Secret", "secret"), ("configMapKeyRef", "ConfigMap", "configMap")])
def test_a_private_authority_is_a_file(field, kind, source):
    live = {"kind": kind, "metadata": {"name": "ca"}, "data": {"root.pem": ""}}
    found = cluster({(kind, "ca"): live}, ca={field: {"name": "ca", "key": "root.pem"}})
    assert env(sidecar(found))["GITSYNC_GIT_CONFIG"] == "http.sslCAInfo:/etc/git-ca/ca.crt"
    assert mounted(found, "ca-dags-folder")[source]["items"] == [{"key": "root.pem", "path": "ca.crt"}]


@pytest.mark.parametrize("submodules", ["Recursive", "Shallow", "Off"])
def test_submodules(submodules):
    assert env(sidecar(cluster(submodules=submodules)))["GITSYNC_SUBMODULES"] == submodules.lower()
    assert "GITSYNC_SUBMODULES" not in env(sidecar(cluster()))


def test_once_is_the_first_sync_alone():
    found = cluster(period="Once")
    assert git_sync.sidecars(found, KEYS, reports=True) == []
    assert "GITSYNC_PERIOD" not in env(first_sync(found))


def test_each_entry_has_its_own_of_everything():
    secrets = {("Secret", name): factory.secret(name, token=name) for name in ("one", "two")}
    rows = [
        {"git": {"repo": REPO, "credentialsSecretRef": {"name": "one"}}},
        {"name": "etl", "git": {"repo": f"{REPO}/2", "credentialsSecretRef": {"name": "two"}}},
    ]
    found = factory.cluster(references=secrets, dags=rows)
    made = git_sync.sidecars(found, KEYS, reports=True)
    assert [item["name"] for item in made] == ["git-sync", "git-sync-of-etl"]
    assert [env(item)["GITSYNC_HTTP_BIND"] for item in made] == [":1234", ":1235"]
    assert [env(item)["GITSYNC_REPO"] for item in made] == [REPO, f"{REPO}/2"]
    assert len({env(item)["GITSYNC_WEBHOOK_URL"] for item in made}) == 2
    firsts = git_sync.init_containers(found, patient=True)
    assert [item["name"] for item in firsts] == ["git-sync-init", "git-sync-init-etl"]
    assert [mount["mountPath"] for mount in dags.mounts(found)] == ["/opt/airflow/bundles/dags-folder", "/opt/airflow/bundles/etl"]
    for container, own in zip([*made, *firsts], ["one", "two"] * 2, strict=True):
        names = [mount["name"] for mount in container["volumeMounts"]]
        assert [mounted(found, name)["secret"]["secretName"] for name in names if name.startswith("git-")] == [own]


def test_no_two_containers_of_a_pod_are_called_the_same():
    rows = [{"name": name, "git": {"repo": REPO}} for name in ("init", "of", "of-init", "init-of", "dags-folder", "x" * 40)]
    found = factory.cluster(dags=rows)
    names = [item["name"] for item in [*git_sync.sidecars(found, KEYS, reports=False), *git_sync.init_containers(found, patient=False)]]
    assert len(set(names)) == len(names)
    assert all(len(name) <= 63 for name in names)


def mounted(found, name):
    """The volume of that name."""
    return next(item for item in dags.volumes(found) if item["name"] == name)


def test_without_credentials_there_are_none():
    assert not {"GITSYNC_USERNAME", "GITSYNC_PASSWORD_FILE"} & set(env(sidecar(cluster())))
    assert all("secret" not in item for item in dags.volumes(cluster()))


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
    assert dags.path(entry) == f"/opt/airflow/bundles/etl/{path}"
    (mount,) = dags.mounts(found)
    assert mount["mountPath"] == "/opt/airflow/bundles/etl"
    assert mount["readOnly"] is True
