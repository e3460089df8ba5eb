"""What git reads beside a repository's URL, as files: credentials, the keys of hosts, certificate authorities."""

from __future__ import annotations

from typing import Any

from airflow_operator.api.certificates import CertificateAuthority
from airflow_operator.api.dags import DagSource, Git
from airflow_operator.domain.manifest import Manifest
from airflow_operator.reconcile.build import meta
from airflow_operator.reconcile.git_credentials import KNOWN_HOSTS, Login
from airflow_operator.reconcile.validate import ValidatedCluster

CA_FILE = "ca.crt"

Mounted = tuple[dict[str, Any], dict[str, Any]]
"""A volume and its mount."""


def known_hosts(cluster: ValidatedCluster) -> Manifest | None:
    """The public keys of SSH servers that the spec names; None where it names none."""
    found = {entry.name: entry.git.known_hosts for entry in cluster.spec.dags if entry.git and entry.git.known_hosts}
    # ssh does not read a last line without its end.
    return meta.config_map(cluster, "known-hosts", {name: f"{text.rstrip()}\n" for name, text in found.items()}) if found else None


def secrets(cluster: ValidatedCluster, entry: DagSource, login: Login, path: str) -> list[Mounted]:
    """The members of the credentials' Secret that are files."""
    if not entry.git or not entry.git.credentials_secret_ref:
        return []
    items = [{"key": member, "path": file} for file, member in login.files.items()]
    secret = {"secretName": entry.git.credentials_secret_ref.name, "items": items, "defaultMode": 0o440}
    return [_mounted(f"git-{entry.name}", path, secret=secret)]


def hosts(cluster: ValidatedCluster, entry: DagSource, path: str) -> list[Mounted]:
    """The entry's known hosts, where the spec has them."""
    found = known_hosts(cluster) if entry.git and entry.git.known_hosts else None
    if found is None:
        return []
    config_map = {"name": meta.name_of(found), "items": [{"key": entry.name, "path": KNOWN_HOSTS}]}
    return [_mounted(f"hosts-{entry.name}", path, configMap=config_map)]


def authority(cluster: ValidatedCluster, git: Git | None) -> CertificateAuthority | None:
    """Who may sign the server's certificate: the repository's own word, then that of the deployment."""
    if git is None or git.ca:
        return git.ca if git else None
    return cluster.spec.trusted_ca if git.repo.startswith("https://") else None


def authorities(cluster: ValidatedCluster, entry: DagSource, path: str) -> list[Mounted]:
    """The certificate authorities of an entry, where they are not the public ones."""
    ca = authority(cluster, entry.git)
    if ca and ca.secret_key_ref:
        items = [{"key": ca.secret_key_ref.key, "path": CA_FILE}]
        return [_mounted(f"ca-{entry.name}", path, secret={"secretName": ca.secret_key_ref.name, "items": items, "defaultMode": 0o440})]
    if ca and ca.config_map_key_ref:
        items = [{"key": ca.config_map_key_ref.key, "path": CA_FILE}]
        return [_mounted(f"ca-{entry.name}", path, configMap={"name": ca.config_map_key_ref.name, "items": items})]
    return []


def _mounted(name: str, path: str, **source: dict[str, Any]) -> Mounted:
    return {"name": name, **source}, {"name": name, "mountPath": path, "readOnly": True}
