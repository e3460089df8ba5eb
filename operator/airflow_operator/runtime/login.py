"""Where the API server is and how the operator authenticates: a pod's service account, or a kubeconfig."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from airflow_operator.domain.manifest import dig

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
PAUSE = 5.0
"""Seconds between two logins: the API server may refuse a good token while it starts."""


class NoLogin(Exception):
    """Nothing says where the API server is; the message says what to do."""


class Login:
    """Reads the connection data anew each time it is asked: the kubelet renews the token in its file."""

    def __init__(self, kubeconfig: str | None = None, context: str | None = None) -> None:
        """Both None: the pod's service account, else the current context of kubectl."""
        self._kubeconfig = kubeconfig
        self._context = context
        self._not_before = 0.0

    async def __call__(self) -> dict[str, Any]:
        """Connection data in the words of kopf.ConnectionInfo; waits when asked twice in a short time."""
        clock = asyncio.get_running_loop().time
        await asyncio.sleep(self._not_before - clock())
        self._not_before = clock() + PAUSE
        # kopf never takes back data that failed once, and 401 may pass: an expiry that never comes makes them differ.
        return {**read(self._kubeconfig, self._context), "expiration": datetime.now(UTC) + timedelta(days=3650)}


def in_cluster(environ: Mapping[str, str], account: Path = SERVICE_ACCOUNT) -> bool:
    """Whether this process runs in a pod with a service account."""
    return bool(environ.get("KUBERNETES_SERVICE_HOST")) and (account / "token").exists()


def read(kubeconfig: str | None = None, context: str | None = None) -> dict[str, Any]:
    """Where and how: a named kubeconfig, else the pod's account, else what kubectl would use."""
    if kubeconfig is None and context is None and in_cluster(os.environ):
        return from_service_account(os.environ)
    return from_kubeconfig(Path(kubeconfig or default_kubeconfig()), context)


def default_kubeconfig() -> str:
    """The kubeconfig that kubectl would read; of several files in KUBECONFIG the first that exists."""
    candidates = [part for part in os.environ.get("KUBECONFIG", "").split(os.pathsep) if part] or ["~/.kube/config"]
    for candidate in candidates:
        path = Path(candidate).expanduser()
        if path.exists():
            return str(path)
    raise NoLogin("No kubeconfig was found. Name one with --kubeconfig or KUBECONFIG, or run in a pod with a service account.")


def from_service_account(environ: Mapping[str, str], account: Path = SERVICE_ACCOUNT) -> dict[str, Any]:
    """The pod's own account, by address: name resolution may be what is broken."""
    host, port = environ["KUBERNETES_SERVICE_HOST"], environ.get("KUBERNETES_SERVICE_PORT", "443")
    return {
        "server": f"https://{f'[{host}]' if ':' in host else host}:{port}",
        "ca_path": str(account / "ca.crt"),
        "token": (account / "token").read_text(encoding="utf-8").strip(),
    }


def from_kubeconfig(path: Path, context: str | None = None) -> dict[str, Any]:
    """One context of a kubeconfig, the current one by default. Plugins that fetch tokens are not run."""
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise NoLogin(f"The kubeconfig {path} cannot be read: {error}") from None
    name = context or document.get("current-context")
    chosen = _named(document, "contexts", name, path)["context"]
    cluster = _named(document, "clusters", chosen["cluster"], path)["cluster"]
    user = _named(document, "users", chosen["user"], path).get("user") or {}
    if "exec" in user:
        raise NoLogin(f"User {chosen['user']} of {path} gets its token from a plugin, which the operator does not run.")

    def file(value: str | None) -> str | None:
        return str(path.parent / value) if value else None

    found = {
        "server": cluster["server"],
        "ca_path": file(cluster.get("certificate-authority")),
        "ca_data": cluster.get("certificate-authority-data"),
        "insecure": cluster.get("insecure-skip-tls-verify"),
        "certificate_path": file(user.get("client-certificate")),
        "certificate_data": user.get("client-certificate-data"),
        "private_key_path": file(user.get("client-key")),
        "private_key_data": user.get("client-key-data"),
        "token": user.get("token"),
        "username": user.get("username"),
        "password": user.get("password"),
    }
    return {key: value for key, value in found.items() if value is not None}


def namespace_of(kubeconfig: str | None = None, context: str | None = None) -> str:
    """The namespace that kubectl would use: that of the context, or of the pod; else `default`."""
    if kubeconfig is None and context is None and in_cluster(os.environ):
        return (SERVICE_ACCOUNT / "namespace").read_text(encoding="utf-8").strip()
    path = Path(kubeconfig or default_kubeconfig())
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise NoLogin(f"The kubeconfig {path} cannot be read: {error}") from None
    chosen = _named(document, "contexts", context or document.get("current-context"), path)["context"]
    return str(chosen.get("namespace") or "default")


def _named(document: Mapping[str, Any], section: str, name: str | None, path: Path) -> Mapping[str, Any]:
    for item in dig(document, section, default=()):
        if item.get("name") == name:
            return dict(item)
    raise NoLogin(f"{path} has no {section.removesuffix('s')} {name!r}.")
