"""A real API server for tests: one a worker, a namespace a test, and a log of who asked it for what."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from itertools import count

import pytest

from airflow_operator.kube.client import connect
from airflow_operator.kube.protocol import Kube
from devcluster.control_plane import ControlPlane

READS = ("get", "list", "watch")
_numbers = count(1)


@dataclass
class Audit:
    """Requests since the last `reset`, from the API server's audit log."""

    control_plane: ControlPlane
    namespace: str
    client: str = "airflow-operator"
    """Beginning of the user agent whose requests count."""
    _skip: int = 0

    def reset(self) -> None:
        """Count from here on."""
        self._skip = len(self.control_plane.audit())

    def requests(self, *, client: str | None = None) -> list[str]:
        """`VERB PLURAL/NAME` of each request in the namespace, oldest first; a dry run says so."""
        return [
            f"{entry['verb']} {entry['objectRef']['resource']}{_suffix(entry)}"
            for entry in self.control_plane.audit()[self._skip :]
            if entry.get("objectRef", {}).get("namespace") == self.namespace
            and entry.get("userAgent", "").startswith(client or self.client)
        ]

    def writes(self, *, client: str | None = None) -> list[str]:
        """The same without reads."""
        return [request for request in self.requests(client=client) if request.split()[0] not in READS]


def _suffix(entry: dict[str, dict[str, str]]) -> str:
    reference = entry["objectRef"]
    parts = [part for part in (reference.get("name"), reference.get("subresource")) if part]
    dry = " (dry run)" if "dryRun=All" in str(entry["requestURI"]) else ""
    return "".join(f"/{part}" for part in parts) + dry


@pytest.fixture(scope="session")
def control_plane() -> Iterator[ControlPlane]:
    """etcd, kube-apiserver and kube-controller-manager; no nodes (see `players`)."""
    with ControlPlane(controller_manager=True) as running:
        yield running


@pytest.fixture
async def kube(control_plane: ControlPlane) -> AsyncIterator[Kube]:
    """The operator's own client, as cluster administrator."""
    async with connect(control_plane.kubeconfig) as client:
        yield client


@pytest.fixture
def namespace(control_plane: ControlPlane, request: pytest.FixtureRequest) -> str:
    """A fresh namespace that admits only what Pod Security's restricted profile allows."""
    name = f"{re.sub('[^a-z0-9]+', '-', request.node.originalname.lower())[:40].strip('-')}-{next(_numbers)}"
    control_plane.kubectl("create", "namespace", name)
    control_plane.kubectl("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
    return name


@pytest.fixture
def audit(control_plane: ControlPlane, namespace: str) -> Audit:
    """Requests of the operator's client in the test's namespace."""
    return Audit(control_plane, namespace)
