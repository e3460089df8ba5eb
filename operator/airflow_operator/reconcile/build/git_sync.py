"""git-sync v4 beside whatever parses or runs DAGs; only its documented GITSYNC_* variables."""

from __future__ import annotations

from typing import Any

from airflow_operator.api.dags import DagSource, Git
from airflow_operator.reconcile import references
from airflow_operator.reconcile.build import pods
from airflow_operator.reconcile.keys import Keys
from airflow_operator.reconcile.validate import ValidatedCluster

UID = 65533
"""User of the git-sync image."""

ROOT = "/git"
LINK = "repo"
CREDENTIALS = "/etc/git-secret"
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
    """Volumes of a pod that reads DAGs: a tree, and the credentials as files, so that a new password needs no restart."""
    made: list[dict[str, Any]] = []
    for entry in cluster.spec.dags:
        made.append({"name": _volume(entry), "emptyDir": {}})
        ref = entry.git.credentials_secret_ref if entry.git else None
        if ref:
            member = _password_member(cluster, ref.name)
            items = [{"key": member, "path": "password"}]
            made.append({"name": _credentials(entry), "secret": {"secretName": ref.name, "items": items, "defaultMode": 0o440}})
    return made


def init_containers(cluster: ValidatedCluster, *, patient: bool) -> list[dict[str, Any]]:
    """One sync before Airflow starts. `patient`: a task pod waits for the repository instead of failing its task."""
    return [
        _container(cluster, entry, f"git-sync-init-{index}" if index else "git-sync-init", _once(patient))
        for index, entry in enumerate(cluster.spec.dags)
    ]


def sidecars(cluster: ValidatedCluster, keys: Keys, *, reports: bool) -> list[dict[str, Any]]:
    """Containers that keep the tree up to date; `reports`: they tell the operator each commit."""
    made = []
    for index, entry in enumerate(cluster.spec.dags):
        port = FIRST_PORT + index
        extra = {"GITSYNC_HTTP_BIND": f":{port}", "GITSYNC_MAX_FAILURES": str(ATTEMPTS)}
        if reports and cluster.platform.webhook_url:
            extra["GITSYNC_WEBHOOK_URL"] = webhook_url(cluster, entry, keys)
            extra["GITSYNC_WEBHOOK_SUCCESS_STATUS"] = "200"
        container = _container(cluster, entry, f"git-sync-{index}" if index else "git-sync", extra)
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


def _container(cluster: ValidatedCluster, entry: DagSource, name: str, extra: dict[str, str]) -> dict[str, Any]:
    settings = entry.git
    assert settings is not None
    mounted: list[dict[str, Any]] = [{"name": _volume(entry), "mountPath": ROOT}]
    if settings.credentials_secret_ref:
        mounted.append({"name": _credentials(entry), "mountPath": CREDENTIALS, "readOnly": True})
    variables = {**_settings(settings), **extra}
    return {
        "name": name,
        "image": pods.image(cluster.spec.git_sync.image),
        "imagePullPolicy": cluster.spec.git_sync.image.pull_policy,
        "env": [*pods.variables(variables), *_login(cluster, settings)],
        "resources": pods.resources("git-sync", cluster.spec.git_sync.resources),
        "securityContext": pods.container_security(UID, UID),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": mounted,
    }


def _settings(git: Git) -> dict[str, str]:
    return {
        "GITSYNC_REPO": git.repo,
        "GITSYNC_REF": git.ref,
        "GITSYNC_ROOT": ROOT,
        "GITSYNC_LINK": LINK,
        "GITSYNC_DEPTH": str(git.depth),
        "GITSYNC_PERIOD": git.period,
    }


def _once(patient: bool) -> dict[str, str]:
    return {"GITSYNC_ONE_TIME": "true", "GITSYNC_MAX_FAILURES": "-1" if patient else str(ATTEMPTS)}


def _login(cluster: ValidatedCluster, git: Git) -> list[dict[str, Any]]:
    ref = git.credentials_secret_ref
    if not ref:
        return []
    username = username_reference(cluster, ref.name)
    named = pods.from_secret("GITSYNC_USERNAME", ref.name, username.key) if username else {"name": "GITSYNC_USERNAME", "value": "git"}
    return [named, {"name": "GITSYNC_PASSWORD_FILE", "value": f"{CREDENTIALS}/password"}]


def username_reference(cluster: ValidatedCluster, secret: str) -> references.Reference | None:
    """The member with the user name: git-sync takes it from the environment, so a new one rolls the pods."""
    if references.GIT_USERNAME not in _members(cluster, secret):
        return None
    return references.Reference("spec.dags", "Secret", secret, references.GIT_USERNAME)


def _password_member(cluster: ValidatedCluster, secret: str) -> str:
    return references.GIT_PASSWORD if references.GIT_PASSWORD in _members(cluster, secret) else references.GIT_TOKEN


def _members(cluster: ValidatedCluster, secret: str) -> dict[str, str]:
    return dict(cluster.references.get(("Secret", secret), {}).get("data") or {})


def _volume(entry: DagSource) -> str:
    return f"dags-{entry.name}"


def _credentials(entry: DagSource) -> str:
    return f"git-{entry.name}"
