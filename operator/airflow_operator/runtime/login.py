"""How kopf logs in, and which namespace a pod's service account or a kubeconfig stands for."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from airflow_operator.domain.manifest import dig

if TYPE_CHECKING:
    from airflow_operator.kube.transport import Session

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
PAUSE = 5.0
"""Seconds between two logins: the API server may refuse a good token while it starts."""


class NoLogin(Exception):
    """Nothing says where the API server is; the message says what to do."""


class Login:
    """The logins of kopf, each time with the same session: credentials are the affair of what is behind it."""

    def __init__(self, session: Session) -> None:
        """Nothing is asked of the session here."""
        self._session = session
        self._not_before = 0.0

    async def __call__(self) -> dict[str, Any]:
        """The session in the words of kopf.AiohttpSession; waits when asked twice in a short time."""
        clock = asyncio.get_running_loop().time
        await asyncio.sleep(self._not_before - clock())
        self._not_before = clock() + PAUSE
        # kopf never takes back what failed once, and 401 may pass: an expiry that never comes makes them differ.
        # The session takes paths, so there is no address before them.
        return {"server": "", "aiohttp_session": self._session, "expiration": datetime.now(UTC) + timedelta(days=3650)}


def in_cluster(environ: Mapping[str, str], account: Path = SERVICE_ACCOUNT) -> bool:
    """Whether this process runs in a pod with a service account."""
    return bool(environ.get("KUBERNETES_SERVICE_HOST")) and (account / "token").exists()


def default_kubeconfig() -> str:
    """The kubeconfig that kubectl would read; of several files in KUBECONFIG the first that exists."""
    candidates = [part for part in os.environ.get("KUBECONFIG", "").split(os.pathsep) if part] or ["~/.kube/config"]
    for candidate in candidates:
        path = Path(candidate).expanduser()
        if path.exists():
            return str(path)
    raise NoLogin("No kubeconfig was found. Name one with --kubeconfig or KUBECONFIG, or run in a pod with a service account.")


def require(kubeconfig: str | None = None, context: str | None = None) -> None:
    """Raises `NoLogin` where this is no pod with a service account and no kubeconfig has the context."""
    if not _is_pods_own(kubeconfig, context):
        _chosen(kubeconfig, context)


def namespace_of(kubeconfig: str | None = None, context: str | None = None) -> str:
    """The namespace that kubectl would use: that of the context, or of the pod; else `default`. Raises `NoLogin` as `require` does."""
    if _is_pods_own(kubeconfig, context):
        return (SERVICE_ACCOUNT / "namespace").read_text(encoding="utf-8").strip()
    return str(_chosen(kubeconfig, context).get("namespace") or "default")


def _is_pods_own(kubeconfig: str | None, context: str | None) -> bool:
    return kubeconfig is None and context is None and in_cluster(os.environ)


def _chosen(kubeconfig: str | None, context: str | None) -> Mapping[str, Any]:
    """The context of a kubeconfig that is meant."""
    path = Path(kubeconfig or default_kubeconfig())
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise NoLogin(f"The kubeconfig {path} cannot be read: {error}") from None
    name = context or document.get("current-context")
    for item in dig(document, "contexts", default=()):
        if item.get("name") == name:
            return dict(item["context"])
    raise NoLogin(f"{path} has no context {name!r}.")
