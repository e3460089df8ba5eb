"""`python -m tests.bench.fleet [CLUSTERS]`: what a fleet of converged clusters costs, and how fast one of them changes.

One API server without controllers, so many AirflowClusters, twenty in a namespace. Requests are counted by the API server's audit log.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Mapping, Sequence
from typing import Any

from airflow_operator.domain.kinds import AIRFLOW_CLUSTER
from airflow_operator.kube.protocol import Kube
from devcluster.control_plane import ControlPlane
from tests.bench import rig


async def one_change(plane: ControlPlane, kube: Kube, namespace: str, name: str, value: int) -> float:
    """Seconds from the arrival of a change of the spec to the end of the first write to a child."""
    skip = len(plane.audit())
    change = {"op": "add", "path": "/spec/scheduler", "value": {"replicas": value}}
    await kube.patch(AIRFLOW_CLUSTER, namespace, name, [change])
    deadline = time.monotonic() + 60
    while True:
        new = [entry for entry in plane.audit(skip) if entry.get("objectRef", {}).get("namespace") == namespace]
        begun = next((entry for entry in new if rig.by(entry, "bare-client") and entry["verb"] == "patch"), None)
        done = next((entry for entry in new if rig.by(entry, "airflow-operator") and rig.is_child(entry)), None)
        if begun and done:
            return rig.moment(done, "stageTimestamp") - rig.moment(begun, "requestReceivedTimestamp")
        assert time.monotonic() < deadline, f"{namespace}/{name}: no child was written within a minute"
        await asyncio.sleep(0.05)


async def looked_at_all(requests: rig.Requests, count: int) -> float:
    """Seconds between the first request and the first look at the last cluster; a watch that ends now began in the process before."""
    while True:
        seen: dict[tuple[str, str], float] = {}
        for entry in requests.all():
            reference = entry.get("objectRef", {})
            if entry["verb"] == "get" and reference.get("resource") == "airflowclusters":
                seen.setdefault((reference["namespace"], reference["name"]), rig.moment(entry, "stageTimestamp"))
        if len(seen) == count:
            begun = next(entry for entry in requests.all() if entry["verb"] != "watch")
            return max(seen.values()) - rig.moment(begun, "requestReceivedTimestamp")
        await asyncio.sleep(0.5)


async def measure(count: int, changes: int, idle: float) -> dict[str, Any]:
    """Every figure by its name; `idle`: for how many seconds nothing happens."""
    fleet = rig.spread("fleet", count)
    found: dict[str, Any] = {"clusters": count}
    with rig.api_server() as plane:
        async with rig.client(plane) as kube:
            requests = rig.Requests(plane)
            async with rig.operator(plane.kubeconfig) as operator:
                await _create(kube, fleet, found, operator)
                await requests.quiet()
                created = requests.counted()
                found["requests to create, a cluster"] = {verb: round(number / count, 1) for verb, number in created.items()}
                requests.reset()
                await asyncio.sleep(idle)
                found[f"requests in {idle:g} s of idleness"] = requests.counted()
                firsts = [(namespace, names[0]) for namespace, names in fleet.items()]
                waits = [await one_change(plane, kube, *firsts[n % len(firsts)], 2 + n // len(firsts)) for n in range(changes)]
                found["seconds to the child's write, median"] = round(statistics.median(waits), 3)
                found["seconds to the child's write, p99"] = round(rig.percentile(waits, 0.99), 3)
                await requests.quiet()
                found["MiB after the changes"] = round(operator.memory)
            requests.reset()
            async with rig.operator(plane.kubeconfig) as operator:
                found["seconds of a restart to the last look"] = round(await looked_at_all(requests, count), 1)
                await requests.quiet()
                found["writes to children after a restart"] = len([entry for entry in requests.all() if rig.is_child(entry)])
                found["MiB after a restart"] = round(operator.memory)
    return found


async def _create(kube: Kube, fleet: Mapping[str, Sequence[str]], found: dict[str, Any], operator: rig.RunningOperator) -> None:
    found["MiB before the first"] = round(operator.memory)
    for namespace in fleet:
        await rig.make_namespace(kube, namespace)
    await rig.until_bases_are_told(kube, fleet)
    began = time.monotonic()
    await rig.write_all(kube.create, [rig.cluster(name, namespace) for namespace, names in fleet.items() for name in names])
    await rig.until_applied(kube, fleet)
    found["seconds until all are applied"] = round(time.monotonic() - began, 1)
    found["processor seconds of the operator"] = round(operator.processor_seconds, 1)
    found["MiB when all are applied"] = round(operator.memory)


def main() -> None:
    """Print the figures."""
    parser = rig.arguments(__doc__)
    parser.add_argument("clusters", nargs="?", type=int, default=1000)
    parser.add_argument("--changes", type=int, default=50, help="how many clusters are changed, one after the other")
    parser.add_argument("--idle", type=float, default=30.0, metavar="SECONDS", help="for how long an idle operator is watched")
    asked = parser.parse_args()
    rig.tell(asyncio.run(measure(asked.clusters, asked.changes, asked.idle)), asked.json)


if __name__ == "__main__":
    main()
