"""What the benchmarks share: a fresh API server, the operator as a process of its own, and fleets of clusters."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from airflow_operator.domain.kinds import (
    AIRFLOW_CLUSTER,
    CONFIG_MAP,
    DEPLOYMENT,
    PERSISTENT_VOLUME_CLAIM,
    ROLE_BINDING,
    SECRET,
    SERVICE,
    SERVICE_ACCOUNT,
    STATEFUL_SET,
)
from airflow_operator.domain.manifest import Live, Manifest, dig
from airflow_operator.kube.client import connect
from airflow_operator.kube.protocol import Kube
from devcluster.control_plane import ControlPlane
from devcluster.processes import free_ports

ROOT = Path(__file__).parents[2]
BASE = "platform"
CHILDREN = (SERVICE_ACCOUNT, ROLE_BINDING, SECRET, CONFIG_MAP, PERSISTENT_VOLUME_CLAIM, SERVICE, DEPLOYMENT, STATEFUL_SET)
OURS = "app.kubernetes.io/managed-by=airflow-operator"
WRITES_AT_ONCE = 32
"""As many requests at a time as the operator has by default."""


@contextmanager
def api_server() -> Iterator[ControlPlane]:
    """A fresh control plane without controllers, with the CRDs."""
    with ControlPlane() as plane:
        plane.kubectl("apply", "--server-side", "-k", str(ROOT / "crds"))
        plane.kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd", "--all")
        yield plane


class RunningOperator:
    """The measured operator."""

    def __init__(self, plane: ControlPlane) -> None:
        """Start it and wait until it watches."""
        (self._port,) = free_ports(1)
        command = [sys.executable, "-m", "tests.bench.operator", str(plane.kubeconfig), str(self._port)]
        self._process = subprocess.Popen(command, cwd=ROOT)
        deadline = time.monotonic() + 60
        while not self._ready():
            assert self._process.poll() is None, "the operator ended"
            assert time.monotonic() < deadline, "the operator is not ready within a minute"
            time.sleep(0.05)

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/readyz", timeout=2) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    @property
    def memory(self) -> float:
        """MiB that it holds (resident)."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024

    @property
    def processor_seconds(self) -> float:
        """Seconds of a processor that it has used."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def end(self) -> None:
        """As a killed pod ends."""
        self._process.kill()
        self._process.wait()


@contextmanager
def operator(plane: ControlPlane) -> Iterator[RunningOperator]:
    """The measured operator for the length of the block."""
    running = RunningOperator(plane)
    try:
        yield running
    finally:
        running.end()


@asynccontextmanager
async def client(plane: ControlPlane) -> AsyncIterator[Kube]:
    """A bare client: writes what it is given."""
    async with connect(plane.kubeconfig, user_agent="bare-client", requests_at_once=WRITES_AT_ONCE) as kube:
        yield kube


def cluster(name: str, namespace: str) -> Manifest:
    """A usual AirflowCluster: two executors, DAGs from git, logs on a volume, a few settings."""
    return {
        "apiVersion": "airflow-operator.dev/v1alpha1",
        "kind": "AirflowCluster",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "baseRef": {"name": BASE},
            "version": "3.3.2",
            "executors": ["KubernetesExecutor", "LocalExecutor"],
            "config": {"core": {"parallelism": 64}},
            "dags": [{"git": {"repo": "https://git.example/dags.git", "ref": "main"}}],
            "logs": {"volume": {"size": "10Gi", "storageClassName": "fast"}},
        },
    }


async def make_namespace(kube: Kube, name: str) -> None:
    """A namespace with a base."""
    await kube.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    base = {"apiVersion": "airflow-operator.dev/v1alpha1", "kind": "AirflowBase", "metadata": {"name": BASE, "namespace": name}}
    await kube.create({**base, "spec": {"database": {"postgres": {"storage": {"size": "10Gi"}}}}})


async def write_all(write: Callable[[Manifest], Awaitable[Any]], documents: Iterable[Manifest]) -> None:
    """Write documents, as many at a time as the client allows."""
    await asyncio.gather(*(write(document) for document in documents))


def applied(item: Live) -> bool:
    """Whether the status says that everything of this generation is applied."""
    conditions = dig(item, "status", "conditions", default=[])
    row: dict[str, Any] = next((row for row in conditions if row["type"] == "ObjectsApplied"), {})
    workloads = any(row["type"] == "SchedulersAvailable" for row in conditions)
    return workloads and row.get("status") == "True" and row.get("observedGeneration") == item["metadata"]["generation"]


async def until_applied(kube: Kube, namespaces: Sequence[str], count: int, *, within: float = 900.0) -> None:
    """Return once every one of so many clusters says so."""
    deadline = time.monotonic() + within
    left = list(namespaces)
    while left:
        assert time.monotonic() < deadline, f"not applied within {within:.0f} s: {left}"
        found = await kube.list(AIRFLOW_CLUSTER, left[0])
        if len(found) * len(namespaces) == count and all(map(applied, found)):
            left.pop(0)
        else:
            # Seldom enough that the looking does not cost the API server much.
            await asyncio.sleep(0.2)


async def children(kube: Kube, namespace: str, name: str) -> list[Manifest]:
    """What the operator made for a cluster, its keys and their copy too, as somebody else would write it."""
    found = [item for kind in CHILDREN for item in await kube.list(kind, namespace, labels=f"{OURS},airflow-operator.dev/cluster={name}")]
    return [_bare(item) for item in found]


def _bare(item: Live) -> Manifest:
    meta = {key: item["metadata"][key] for key in ("name", "namespace", "labels", "annotations") if key in item["metadata"]}
    rest = {key: value for key, value in item.items() if key not in ("metadata", "status")}
    for field in ("clusterIP", "clusterIPs"):
        rest.get("spec", {}).pop(field, None)
    return {**rest, "metadata": meta}


def renamed(documents: Sequence[Manifest], changes: Sequence[tuple[str, str]]) -> list[Manifest]:
    """The same documents with other words in them."""
    text = json.dumps(documents)
    for old, new in changes:
        text = text.replace(old, new)
    return list(json.loads(text))


def numbered(count: int) -> list[str]:
    """Names of clusters."""
    return [f"c{number:04d}" for number in range(count)]
