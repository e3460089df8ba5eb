"""What the benchmarks share: a fresh API server, the operator as a process of its own, fleets of clusters, and the audit log's figures."""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, nullcontext
from datetime import datetime
from pathlib import Path
from typing import Any

from airflow_operator.domain.kinds import (
    AIRFLOW_BASE,
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
from devcluster.processes import free_ports, processor_seconds
from tests.integration.eventually import eventually
from tests.integration.running import install_crds

ROOT = Path(__file__).parents[2]
BASE = "platform"
CHILDREN = (SERVICE_ACCOUNT, ROLE_BINDING, SECRET, CONFIG_MAP, PERSISTENT_VOLUME_CLAIM, SERVICE, DEPLOYMENT, STATEFUL_SET)
OURS = "app.kubernetes.io/managed-by=airflow-operator"
WRITES_AT_ONCE = 32
"""As many requests at a time as the operator has by default."""


PER_NAMESPACE = 20
"""Clusters of a fleet that share a namespace."""

Entry = dict[str, Any]
"""An event of the audit log."""


@contextmanager
def api_server(*, audit: bool = True) -> Iterator[ControlPlane]:
    """A fresh control plane without controllers, with the CRDs; `audit`: whether it keeps who asked for what."""
    with ControlPlane(audit=audit) as plane:
        install_crds(plane)
        yield plane


class RunningOperator:
    """The measured operator; made by `operator`."""

    def __init__(self, kubeconfig: Path, writes_per_second: int = 0, log: Path | None = None) -> None:
        """Start it; `writes_per_second` is its own limit, 0 for none; `log` gets what it says, where it would say too much."""
        (self._port,) = free_ports(1)
        command = [sys.executable, "-m", "tests.bench.operator", str(kubeconfig), str(self._port), str(writes_per_second)]
        self._log = log
        with log.open("wb") if log else nullcontext() as words:
            self._process = subprocess.Popen(command, cwd=ROOT, stderr=words)

    async def watching(self) -> None:
        """Return when it watches."""
        deadline = time.monotonic() + 60
        while not await asyncio.to_thread(self._ready):
            assert self._process.poll() is None, "the operator ended"
            assert time.monotonic() < deadline, "the operator is not ready within a minute"
            await asyncio.sleep(0.05)

    async def resting(self) -> None:
        """Return when it has looked at all that is there."""
        before = -1.0
        while (now := self.processor_seconds) > before + 0.1:
            before = now
            await asyncio.sleep(1)

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
        return processor_seconds(self._process.pid)

    @property
    def last_words(self) -> str:
        """The end of its log, where it has one."""
        return "\n".join(["the operator said last:", *self._log.read_text().splitlines()[-20:]]) if self._log else ""

    def end(self) -> None:
        """As a killed pod ends."""
        self._process.kill()
        self._process.wait()


@asynccontextmanager
async def operator(kubeconfig: Path, writes_per_second: int = 0, log: Path | None = None) -> AsyncIterator[RunningOperator]:
    """The measured operator for the length of the block, which begins when it watches."""
    running = RunningOperator(kubeconfig, writes_per_second, log)
    try:
        await running.watching()
        yield running
    except Exception as error:
        error.add_note(running.last_words)
        raise
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


async def until_bases_are_told(kube: Kube, namespaces: Iterable[str]) -> None:
    """Return once the operator has said what it thinks of every base: what it offers wakes its clusters."""
    for namespace in namespaces:

        async def told(namespace: str = namespace) -> bool:
            return bool(dig(await kube.get(AIRFLOW_BASE, namespace, BASE), "status", "conditions"))

        await eventually(told, within=60, every=0.1)


async def write_all(write: Callable[[Manifest], Awaitable[Any]], documents: Iterable[Manifest]) -> None:
    """Write documents, as many at a time as the client allows."""
    await asyncio.gather(*(write(document) for document in documents))


def applied(item: Live) -> bool:
    """Whether the status says that everything of this generation is applied."""
    conditions = dig(item, "status", "conditions", default=[])
    row: dict[str, Any] = next((row for row in conditions if row["type"] == "ObjectsApplied"), {})
    workloads = any(row["type"] == "SchedulersAvailable" for row in conditions)
    return workloads and row.get("status") == "True" and row.get("observedGeneration") == item["metadata"]["generation"]


async def until_applied(kube: Kube, fleet: Mapping[str, Sequence[str]], *, within: float = 900.0) -> None:
    """Return once every cluster says so; `fleet` holds their names by namespace."""
    deadline = time.monotonic() + within
    left = list(fleet)
    while left:
        assert time.monotonic() < deadline, f"not applied within {within:.0f} s: {left}"
        found = {item["metadata"]["name"] for item in await kube.list(AIRFLOW_CLUSTER, left[0]) if applied(item)}
        if found >= set(fleet[left[0]]):
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


def spread(title: str, count: int) -> dict[str, list[str]]:
    """Names of so many clusters by namespace, whose names begin with `title`; the last namespace may have fewer."""
    names = numbered(count)
    return {f"{title}-{start // PER_NAMESPACE:03d}": names[start : start + PER_NAMESPACE] for start in range(0, count, PER_NAMESPACE)}


# What the audit log tells.


class Requests:
    """The operator's requests since the last `reset`, by the audit log."""

    def __init__(self, plane: ControlPlane) -> None:
        """Count from here on."""
        self._plane = plane
        self.reset()

    def reset(self) -> None:
        """Count from here on."""
        self._skip = len(self._plane.audit())

    def all(self) -> list[Entry]:
        """The operator's own and its framework's, oldest first."""
        return [entry for entry in self.everybodys() if by(entry, "airflow-operator", "kopf")]

    def everybodys(self) -> list[Entry]:
        """Those of others too."""
        return self._plane.audit(self._skip)

    def counted(self) -> dict[str, int]:
        """Number of requests by verb; watches apart."""
        return dict(Counter(entry["verb"] for entry in self.all() if entry["verb"] != "watch"))

    async def quiet(self, seconds: float = 3.0) -> None:
        """Return once the operator has asked for nothing for so long."""
        count = -1
        while count != (now := len([entry for entry in self.all() if entry["verb"] != "watch"])):
            count = now
            await asyncio.sleep(seconds)


def by(entry: Entry, *clients: str) -> bool:
    """Whether one of these clients asked, by the beginning of its user agent."""
    return str(entry.get("userAgent", "")).startswith(clients)


def is_write(entry: Entry) -> bool:
    """Whether it changes an object of the cluster; reviews of rights do not."""
    return (
        entry["verb"] not in ("get", "list", "watch") and "authorization" not in entry["requestURI"] and "dryRun" not in entry["requestURI"]
    )


def is_child(entry: Entry) -> bool:
    """Whether it writes something else than our own resources and events."""
    return is_write(entry) and entry["objectRef"]["resource"] not in ("airflowclusters", "airflowbases", "events")


def moment(entry: Entry, field: str) -> float:
    """A time of the audit log in seconds: `requestReceivedTimestamp`, or `stageTimestamp` when it was answered."""
    return datetime.fromisoformat(entry[field]).timestamp()


def most_in_a_second(moments: Iterable[float]) -> int:
    """The largest number of moments that any second holds."""
    ordered = sorted(moments)
    most = first = 0
    for last, now in enumerate(ordered):
        while now - ordered[first] >= 1.0:
            first += 1
        most = max(most, last - first + 1)
    return most


def percentile(values: Iterable[float], share: float) -> float:
    """The smallest value that so large a share does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


# What the scripts print.


def arguments(description: str | None) -> argparse.ArgumentParser:
    """What every script takes: where to write its figures."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    return parser


def tell(found: Mapping[str, Any], file: Path | None) -> None:
    """Print figures by their names, and write them to `file`."""
    for name, value in found.items():
        print(f"  {name:<55} {value}")
    keep(found, file)


def keep(found: Any, file: Path | None) -> None:
    """Write figures as JSON, where a file is named."""
    if file:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(found, indent=1))
