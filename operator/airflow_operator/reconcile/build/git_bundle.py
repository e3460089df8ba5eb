"""Repositories that Airflow fetches itself: GitDagBundle of apache-airflow-providers-git, with a connection from a Secret.

Read in the provider's versions 0.0.6, 0.0.7, 0.2.4, 0.4.0 and 0.5.0. What those of older releases cannot fetch, the schema refuses.
"""

from __future__ import annotations

import base64
import json
from typing import Any

from airflow_operator.api.dags import DagSource
from airflow_operator.domain import names
from airflow_operator.domain.durations import seconds
from airflow_operator.domain.manifest import Manifest, dig
from airflow_operator.reconcile import git_credentials
from airflow_operator.reconcile.build import git_files, meta, pods
from airflow_operator.reconcile.git_credentials import KNOWN_HOSTS, PASSWORD_FILE, PRIVATE_KEY_FILE, Login
from airflow_operator.reconcile.keys import encode
from airflow_operator.reconcile.references import Reference
from airflow_operator.reconcile.validate import ValidatedCluster

CLASS = "airflow.providers.git.bundles.git.GitDagBundle"
COMPONENT = "dag-connections"
DIRECTORY = "/opt/airflow/git"


def fetched(entry: DagSource) -> bool:
    """Whether Airflow fetches this entry itself."""
    return entry.git is not None and entry.git.delivery == "Bundle"


def bundle(entry: DagSource) -> dict[str, Any]:
    """The entry of Airflow's bundle list. The URL is here and not in the connection: it is no secret, and public ones need no other."""
    git = entry.git
    assert git is not None
    arguments = {"repo_url": git.repo, "tracking_ref": git.ref, "refresh_interval": int(seconds(git.period))}
    if git.sub_path:
        arguments["subdir"] = git.sub_path
    if git.credentials_secret_ref:
        arguments["git_conn_id"] = _connection_id(entry)
    return {"name": entry.name, "classpath": CLASS, "kwargs": arguments}


def connections(cluster: ValidatedCluster) -> Manifest | None:
    """The Secret with a connection an entry; None where no entry has credentials."""
    found = {entry.name: json.dumps(_connection(cluster, entry), sort_keys=True) for entry in _with_credentials(cluster)}
    return meta.child(cluster, "v1", "Secret", COMPONENT, type="Opaque", data=encode(found)) if found else None


def environment(cluster: ValidatedCluster) -> list[dict[str, Any]]:
    """The connections as Airflow finds them: variables of every process that fetches, task pods included."""
    secret = names.child(cluster.name, COMPONENT)
    return [pods.from_secret(f"AIRFLOW_CONN_{_connection_id(entry).upper()}", secret, entry.name) for entry in _with_credentials(cluster)]


def files(cluster: ValidatedCluster, entry: DagSource) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Volumes with the keys of SSH, each with its mount; passwords are in the connection."""
    login = _login(cluster, entry)
    if entry.git is None or PRIVATE_KEY_FILE not in login.files:
        return []
    return git_files.secrets(cluster, entry, login, _directory(entry)) + git_files.hosts(cluster, entry, f"{_directory(entry)}-hosts")


def started_with(cluster: ValidatedCluster) -> list[Reference]:
    """User names and passwords: a new one rolls the pods that fetch."""
    return [
        Reference("spec.dags", "Secret", entry.git.credentials_secret_ref.name, member)
        for entry in _with_credentials(cluster)
        if entry.git and entry.git.credentials_secret_ref
        for login in (_login(cluster, entry),)
        for member in (*login.members.values(), *(login.files[file] for file in (PASSWORD_FILE,) if file in login.files))
    ]


def _with_credentials(cluster: ValidatedCluster) -> list[DagSource]:
    return [entry for entry in cluster.spec.dags if fetched(entry) and entry.git and entry.git.credentials_secret_ref]


def _connection_id(entry: DagSource) -> str:
    return f"airflow_operator_dags_{entry.name.replace('-', '_')}"


def _connection(cluster: ValidatedCluster, entry: DagSource) -> dict[str, Any]:
    login = _login(cluster, entry)
    if PRIVATE_KEY_FILE in login.files:
        assert entry.git is not None
        hosts = f"{_directory(entry)}-hosts" if entry.git.known_hosts else _directory(entry)
        extra = {
            "key_file": f"{_directory(entry)}/{PRIVATE_KEY_FILE}",
            "known_hosts_file": f"{hosts}/{KNOWN_HOSTS}",
            "strict_host_key_checking": "yes",
        }
        return {"conn_type": "git", "extra": extra}
    username = login.members.get("GITSYNC_USERNAME")
    name = _value(cluster, entry, username) if username else login.plain.get("GITSYNC_USERNAME", "")
    return {"conn_type": "git", "login": name, "password": _value(cluster, entry, login.files.get(PASSWORD_FILE, "")).rstrip("\n")}


def _login(cluster: ValidatedCluster, entry: DagSource) -> Login:
    return git_credentials.login(entry.git, _data(cluster, entry)) or Login() if entry.git else Login()


def _data(cluster: ValidatedCluster, entry: DagSource) -> dict[str, str]:
    ref = entry.git.credentials_secret_ref if entry.git else None
    return dict(dig(cluster.references.get(("Secret", ref.name)), "data", default={})) if ref else {}


def _value(cluster: ValidatedCluster, entry: DagSource, member: str) -> str:
    return base64.b64decode(_data(cluster, entry).get(member, "")).decode(errors="replace")


def _directory(entry: DagSource) -> str:
    return f"{DIRECTORY}/{entry.name}"
