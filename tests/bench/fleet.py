"""`python -m tests.bench.fleet [CLUSTERS] [--json FILE]`: what a fleet of converged clusters costs, and how fast one of them changes.

One API server without controllers, so many AirflowClusters, twenty in a namespace. Requests are counted by the API server's audit log.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from airflow_operator.domain.kinds import AIRFLOW_CLUSTER
from airflow_operator.kube.protocol import Kube
from devcluster.control_plane import ControlPlane
from tests.bench import rig

PER_NAMESPACE = 20
CHANGES = 50
IDLE = 30.0
"""Seconds for which an idle operator is watched."""

Entry = dict[str, Any]


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
        return [entry for entry in self._plane.audit(self._skip) if entry.get("userAgent", "").startswith(("airflow-operator", "kopf"))]

    def counted(self) -> dict[str, int]:
        """Number of requests by verb; watches apart."""
        return dict(Counter(entry["verb"] for entry in self.all() if entry["verb"] != "watch"))


def is_write(entry: Entry) -> bool:
    """Whether it changes an object of the cluster; reviews of rights do not."""
    return (
        entry["verb"] not in ("get", "list", "watch") and "authorization" not in entry["requestURI"] and "dryRun" not in entry["requestURI"]
    )


def is_child(entry: Entry) -> bool:
    """Whether it writes something else than our own resources and events."""
    return is_write(entry) and entry["objectRef"]["resource"] not in ("airflowclusters", "airflowbases", "events")


def moment(entry: Entry, field: str) -> float:
    """A time of the audit log in seconds."""
    return datetime.fromisoformat(entry[field]).timestamp()


async def quiet(requests: Requests, seconds: float = 3.0) -> None:
    """Return once the operator has asked for nothing for so long."""
    count = -1
    while count != (now := len([entry for entry in requests.all() if entry["verb"] != "watch"])):
        count = now
        await asyncio.sleep(seconds)


async def one_change(plane: ControlPlane, kube: Kube, namespace: str, name: str, value: int) -> float:
    """Seconds from the arrival of a change of the spec to the end of the first write to a child."""
    skip = len(plane.audit())
    change = {"op": "add", "path": "/spec/scheduler", "value": {"replicas": value}}
    await kube.patch(AIRFLOW_CLUSTER, namespace, name, [change])
    deadline = time.monotonic() + 60
    while True:
        new = [entry for entry in plane.audit(skip) if entry.get("objectRef", {}).get("namespace") == namespace]
        begun = next((entry for entry in new if entry.get("userAgent", "").startswith("bare-client") and entry["verb"] == "patch"), None)
        done = next((entry for entry in new if entry.get("userAgent", "").startswith("airflow-operator") and is_child(entry)), None)
        if begun and done:
            return moment(done, "stageTimestamp") - moment(begun, "requestReceivedTimestamp")
        assert time.monotonic() < deadline, f"{namespace}/{name}: no child was written within a minute"
        await asyncio.sleep(0.05)


def percentile(values: Iterable[float], share: float) -> float:
    """The smallest value that so large a share does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


async def looked_at_all(requests: Requests, count: int) -> float:
    """Seconds between the first request and the first look at the last cluster."""
    while True:
        seen: dict[tuple[str, str], float] = {}
        for entry in requests.all():
            reference = entry.get("objectRef", {})
            if entry["verb"] == "get" and reference.get("resource") == "airflowclusters":
                seen.setdefault((reference["namespace"], reference["name"]), moment(entry, "stageTimestamp"))
        if len(seen) == count:
            return max(seen.values()) - moment(requests.all()[0], "requestReceivedTimestamp")
        await asyncio.sleep(0.5)


async def measure(count: int) -> dict[str, Any]:
    """Every figure by its name."""
    namespaces = [f"fleet-{number:03d}" for number in range(max(1, count // PER_NAMESPACE))]
    per = count // len(namespaces)
    found: dict[str, Any] = {"clusters": per * len(namespaces)}
    with rig.api_server() as plane:
        async with rig.client(plane) as kube:
            requests = Requests(plane)
            with rig.operator(plane) as operator:
                await _create(kube, namespaces, per, found, operator)
                await quiet(requests)
                created = requests.counted()
                found["requests to create, a cluster"] = {verb: round(number / count, 1) for verb, number in created.items()}
                requests.reset()
                await asyncio.sleep(IDLE)
                found[f"requests in {IDLE:.0f} s of idleness"] = requests.counted()
                waits = [
                    await one_change(plane, kube, namespaces[n % len(namespaces)], "c0000", 2 + n // len(namespaces))
                    for n in range(CHANGES)
                ]
                found["seconds to the child's write, median"] = round(statistics.median(waits), 3)
                found["seconds to the child's write, p99"] = round(percentile(waits, 0.99), 3)
                await quiet(requests)
                found["MiB after the changes"] = round(operator.memory)
            requests.reset()
            with rig.operator(plane) as operator:
                found["seconds of a restart to the last look"] = round(await looked_at_all(requests, per * len(namespaces)), 1)
                await quiet(requests)
                found["writes to children after a restart"] = len([entry for entry in requests.all() if is_child(entry)])
                found["MiB after a restart"] = round(operator.memory)
    return found


async def _create(kube: Kube, namespaces: Sequence[str], per: int, found: dict[str, Any], operator: rig.RunningOperator) -> None:
    found["MiB before the first"] = round(operator.memory)
    for namespace in namespaces:
        await rig.make_namespace(kube, namespace)
    began = time.monotonic()
    await rig.write_all(kube.create, [rig.cluster(name, namespace) for namespace in namespaces for name in rig.numbered(per)])
    await rig.until_applied(kube, namespaces, per * len(namespaces))
    found["seconds until all are applied"] = round(time.monotonic() - began, 1)
    found["processor seconds of the operator"] = round(operator.processor_seconds, 1)
    found["MiB when all are applied"] = round(operator.memory)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("clusters", nargs="?", type=int, default=1000)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    found = asyncio.run(measure(asked.clusters))
    for name, value in found.items():
        print(f"  {name:<45} {value}")
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
