"""git-sync v4 beside whatever parses or runs DAGs; only its documented GITSYNC_* variables."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from airflow_operator.api.dags import DAGS_FOLDER, DEFAULT_DEPTH, ONCE, DagSource, Git
from airflow_operator.domain.manifest import Manifest
from airflow_operator.reconcile import git_credentials
from airflow_operator.reconcile.build import meta, pods
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
CA_FILE = "ca.crt"
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


def mounts(cluster: ValidatedCluster) -> list[dict[str, Any]]:
    """Mounts of an Airflow container that reads DAGs."""
    return [{"name": _volume(entry), "mountPath": bundle_root(entry), "readOnly": True} for entry in cluster.spec.dags]


def volumes(cluster: ValidatedCluster) -> list[dict[str, Any]]:
    """Volumes of a pod that reads DAGs: a tree, and what git-sync logs in with as files, so that a new one needs no restart."""
    made: list[dict[str, Any]] = []
    for entry in cluster.spec.dags:
        made.append({"name": _volume(entry), "emptyDir": {}})
        made += [volume for volume, _ in _files(cluster, entry)]
    return made


def init_containers(cluster: ValidatedCluster, *, patient: bool) -> list[dict[str, Any]]:
    """One sync before Airflow starts. `patient`: a task pod waits for the repository instead of failing its task."""
    return [_container(cluster, entry, _name("git-sync-init", "", entry), _once(patient)) for entry in cluster.spec.dags]


def sidecars(cluster: ValidatedCluster, keys: Keys, *, reports: bool) -> list[dict[str, Any]]:
    """Containers that keep the tree up to date; `reports`: they tell the operator each commit."""
    made = []
    for index, entry in enumerate(cluster.spec.dags):
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


def known_hosts(cluster: ValidatedCluster) -> Manifest | None:
    """The public keys of SSH servers that the spec names; None where it names none."""
    found = {entry.name: entry.git.known_hosts for entry in cluster.spec.dags if entry.git and entry.git.known_hosts}
    # ssh does not read a last line without its end.
    return meta.config_map(cluster, "known-hosts", {name: f"{text.rstrip()}\n" for name, text in found.items()}) if found else None


def started_with(cluster: ValidatedCluster) -> list[Reference]:
    """What git-sync takes from the environment: a new value rolls the pods. Everything else is a file."""
    return [
        Reference("spec.dags", "Secret", git.credentials_secret_ref.name, member)
        for git in _gits(cluster.spec.dags)
        if git.credentials_secret_ref
        for member in _login(cluster, git).members.values()
    ]


def _gits(entries: Iterable[DagSource]) -> list[Git]:
    return [entry.git for entry in entries if entry.git]


def _login(cluster: ValidatedCluster, git: Git) -> Login:
    ref = git.credentials_secret_ref
    data = cluster.references.get(("Secret", ref.name), {}).get("data") if ref else None
    return git_credentials.login(git, data or {}) or Login()


def _files(cluster: ValidatedCluster, entry: DagSource) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """The volumes with what git-sync reads, each with its mount."""
    git = entry.git
    assert git is not None
    made = []
    if git.credentials_secret_ref:
        items = [{"key": member, "path": path} for path, member in _login(cluster, git).files.items()]
        secret = {"secretName": git.credentials_secret_ref.name, "items": items, "defaultMode": 0o440}
        made.append(_mounted(f"git-{entry.name}", git_credentials.DIRECTORY, secret=secret))
    hosts = known_hosts(cluster) if git.known_hosts else None
    if hosts:
        config_map = {"name": meta.name_of(hosts), "items": [{"key": entry.name, "path": KNOWN_HOSTS}]}
        made.append(_mounted(f"hosts-{entry.name}", HOSTS_DIR, configMap=config_map))
    if git.ca and git.ca.secret_key_ref:
        secret = {"secretName": git.ca.secret_key_ref.name, "items": [{"key": git.ca.secret_key_ref.key, "path": CA_FILE}]}
        made.append(_mounted(f"ca-{entry.name}", CA_DIR, secret={**secret, "defaultMode": 0o440}))
    if git.ca and git.ca.config_map_key_ref:
        config_map = {"name": git.ca.config_map_key_ref.name, "items": [{"key": git.ca.config_map_key_ref.key, "path": CA_FILE}]}
        made.append(_mounted(f"ca-{entry.name}", CA_DIR, configMap=config_map))
    return made


def _mounted(name: str, path: str, **source: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    return {"name": name, **source}, {"name": name, "mountPath": path, "readOnly": True}


def _container(cluster: ValidatedCluster, entry: DagSource, name: str, extra: dict[str, str]) -> dict[str, Any]:
    git = entry.git
    assert git is not None
    found = _login(cluster, git)
    secret = git.credentials_secret_ref.name if git.credentials_secret_ref else ""
    by_member = [pods.from_secret(variable, secret, member) for variable, member in found.members.items()]
    return {
        "name": name,
        "image": pods.image(cluster.spec.git_sync.image),
        "imagePullPolicy": cluster.spec.git_sync.image.pull_policy,
        "env": [*pods.variables({**_settings(git), **extra}), *by_member, *pods.variables(found.plain)],
        "resources": pods.resources("git-sync", cluster.spec.git_sync.resources),
        "securityContext": pods.container_security(UID, UID),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [{"name": _volume(entry), "mountPath": ROOT}, *(mount for _, mount in _files(cluster, entry))],
    }


def _settings(git: Git) -> dict[str, str]:
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
    if git.ca:
        made["GITSYNC_GIT_CONFIG"] = f"http.sslCAInfo:{CA_DIR}/{CA_FILE}"
    return made


def _once(patient: bool) -> dict[str, str]:
    return {"GITSYNC_ONE_TIME": "true", "GITSYNC_MAX_FAILURES": "-1" if patient else str(ATTEMPTS)}


def _name(stem: str, between: str, entry: DagSource) -> str:
    """A container's name: no entry's first sync and another's sidecar are called the same, whatever the entries are called."""
    return stem if entry.name == DAGS_FOLDER else f"{stem}-{between}{entry.name}"


def _volume(entry: DagSource) -> str:
    return f"dags-{entry.name}"
