"""git-sync v4 beside whatever parses or runs DAGs; only its documented GITSYNC_* variables."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from airflow_operator.api.dags import DAGS_FOLDER, DEFAULT_DEPTH, ONCE, DagSource, Git
from airflow_operator.reconcile import git_credentials
from airflow_operator.reconcile.build import git_files, pods
from airflow_operator.reconcile.git_credentials import KNOWN_HOSTS, Login
from airflow_operator.reconcile.keys import Keys
from airflow_operator.reconcile.references import Reference
from airflow_operator.reconcile.validate import ValidatedCluster

UID = 65533
"""User of the git-sync image."""

ROOT = "/git"
LINK = "repo"
HOSTS_DIR = "/etc/git-known-hosts"
CA_DIR = "/etc/git-ca"
FIRST_PORT = 1234
ATTEMPTS = 3
"""Failures in a row after which the sidecar ends, so that its last words can be read from its termination message."""


def bundle_root(entry: DagSource) -> str:
    """Where an entry's volume is mounted in Airflow: outside the dags folder, whose walker fails on worktrees."""
    return f"/opt/airflow/bundles/{entry.name}"


def bundle_path(entry: DagSource) -> str:
    """The directory of an entry's DAG files."""
    sub_path = entry.git.sub_path if entry.git else ""
    return "/".join(part for part in (bundle_root(entry), LINK, sub_path) if part)


def synced(cluster: ValidatedCluster) -> list[DagSource]:
    """The entries that git-sync fetches."""
    return [entry for entry in cluster.spec.dags if entry.git and entry.git.delivery == "Sidecar"]


def volumes(cluster: ValidatedCluster, entry: DagSource) -> list[dict[str, Any]]:
    """An entry's volumes: a tree, and what git-sync logs in with as files, so that a new one needs no restart."""
    return [{"name": volume_of(entry), "emptyDir": {}}, *(volume for volume, _ in _files(cluster, entry))]


def volume_of(entry: DagSource) -> str:
    """The volume with an entry's DAGs."""
    return f"dags-{entry.name}"


def init_containers(cluster: ValidatedCluster, *, patient: bool) -> list[dict[str, Any]]:
    """One sync before Airflow starts. `patient`: a task pod waits for the repository instead of failing its task."""
    return [_container(cluster, entry, _name("git-sync-init", "", entry), _once(patient)) for entry in synced(cluster)]


def sidecars(cluster: ValidatedCluster, keys: Keys, *, reports: bool) -> list[dict[str, Any]]:
    """Containers that keep the tree up to date; `reports`: they tell the operator each commit."""
    made = []
    for index, entry in enumerate(synced(cluster)):
        if entry.git and entry.git.period == ONCE:
            continue
        port = FIRST_PORT + index
        extra = {"GITSYNC_HTTP_BIND": f":{port}", "GITSYNC_MAX_FAILURES": str(ATTEMPTS)}
        if reports and cluster.platform.webhook_url:
            extra["GITSYNC_WEBHOOK_URL"] = webhook_url(cluster, entry, keys)
            extra["GITSYNC_WEBHOOK_SUCCESS_STATUS"] = "200"
        container = _container(cluster, entry, _name("git-sync", "of-", entry), extra)
        probe = {"httpGet": {"path": "/", "port": port}, "periodSeconds": 2, "timeoutSeconds": 2, "failureThreshold": 30}
        made.append({**container, "startupProbe": probe})
    return made


def webhook_url(cluster: ValidatedCluster, entry: DagSource, keys: Keys) -> str:
    """Where git-sync reports; the token in it is this cluster's own, so a tenant can lie about itself alone."""
    path = f"{cluster.namespace}/{cluster.name}/{entry.name}/{webhook_token(cluster.namespace, cluster.name, entry, keys)}"
    return f"{cluster.platform.webhook_url.rstrip('/')}/git-sync/{path}"


def webhook_token(namespace: str, cluster: str, entry: DagSource, keys: Keys) -> str:
    """The token that the webhook expects of one entry of one cluster; another repository or ref has another."""
    follows = [entry.git.repo, entry.git.ref] if entry.git else []
    return keys.checksum(["git-sync", namespace, cluster, entry.name, *follows], 32)


def started_with(cluster: ValidatedCluster) -> list[Reference]:
    """What git-sync takes from the environment: a new value rolls the pods. Everything else is a file."""
    return [
        Reference("spec.dags", "Secret", git.credentials_secret_ref.name, member)
        for git in _gits(synced(cluster))
        if git.credentials_secret_ref
        for member in _login(cluster, git).members.values()
    ]


def _gits(entries: Iterable[DagSource]) -> list[Git]:
    return [entry.git for entry in entries if entry.git]


def _login(cluster: ValidatedCluster, git: Git) -> Login:
    ref = git.credentials_secret_ref
    data = cluster.references.get(("Secret", ref.name), {}).get("data") if ref else None
    return git_credentials.login(git, data or {}) or Login()


def _files(cluster: ValidatedCluster, entry: DagSource) -> list[git_files.Mounted]:
    """The volumes with what git-sync reads, each with its mount."""
    assert entry.git is not None
    return [
        *git_files.secrets(cluster, entry, _login(cluster, entry.git), git_credentials.DIRECTORY),
        *git_files.hosts(cluster, entry, HOSTS_DIR),
        *git_files.authorities(cluster, entry, CA_DIR),
    ]


def _container(cluster: ValidatedCluster, entry: DagSource, name: str, extra: dict[str, str]) -> dict[str, Any]:
    git = entry.git
    assert git is not None
    found = _login(cluster, git)
    secret = git.credentials_secret_ref.name if git.credentials_secret_ref else ""
    by_member = [pods.from_secret(variable, secret, member) for variable, member in found.members.items()]
    return {
        "name": name,
        "image": pods.image(cluster.spec.git_sync.image, cluster.platform.git_sync_image),
        "imagePullPolicy": cluster.spec.git_sync.image.pull_policy,
        "env": [*pods.variables({**_settings(cluster, git), **extra}), *by_member, *pods.variables(found.plain)],
        "resources": pods.resources("git-sync", cluster.spec.git_sync.resources),
        "securityContext": pods.laid_over(pods.container_security(UID, UID), cluster.spec.git_sync.security_context),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [{"name": volume_of(entry), "mountPath": ROOT}, *(mount for _, mount in _files(cluster, entry))],
    }


def _settings(cluster: ValidatedCluster, git: Git) -> dict[str, str]:
    made = {
        "GITSYNC_REPO": git.repo,
        "GITSYNC_REF": git.ref,
        "GITSYNC_ROOT": ROOT,
        "GITSYNC_LINK": LINK,
        "GITSYNC_DEPTH": str(DEFAULT_DEPTH if git.depth is None else git.depth),
    }
    if git.period != ONCE:
        made["GITSYNC_PERIOD"] = git.period
    if git.submodules:
        made["GITSYNC_SUBMODULES"] = git.submodules.lower()
    if git.known_hosts:
        made["GITSYNC_SSH_KNOWN_HOSTS_FILE"] = f"{HOSTS_DIR}/{KNOWN_HOSTS}"
    if git_files.authority(cluster, git):
        made["GITSYNC_GIT_CONFIG"] = f"http.sslCAInfo:{CA_DIR}/{git_files.CA_FILE}"
    return made


def _once(patient: bool) -> dict[str, str]:
    return {"GITSYNC_ONE_TIME": "true", "GITSYNC_MAX_FAILURES": "-1" if patient else str(ATTEMPTS)}


def _name(stem: str, between: str, entry: DagSource) -> str:
    """A container's name: no entry's first sync and another's sidecar are called the same, whatever the entries are called."""
    return stem if entry.name == DAGS_FOLDER else f"{stem}-{between}{entry.name}"
