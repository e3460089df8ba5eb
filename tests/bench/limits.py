"""`python -m tests.bench.limits [CLUSTERS] [--writes-per-second N]`: the operator's own limit of writes, in peace and in a storm of 429.

So many AirflowClusters are created at once, twice: in peace, and while the API server seems overloaded. For some seconds every other
request of the operator, watches too, is answered 429 with Retry-After. Writes are counted by the API server's audit log, by the time at
which it received them.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

from airflow_operator.domain.labels import CLUSTER
from airflow_operator.kube.protocol import Kube
from tests.bench import rig
from tests.faults.proxy import Asked, Fault, Proxy, administrator, answer

SHARE = 0.5
"""Of all requests, while the storm lasts."""
RETRY_AFTER = 1
"""Seconds, as the refusals say."""
WITHIN = 300.0
"""Seconds for a fleet to be applied."""


class Storm:
    """Refuses a share of the requests until it is over."""

    def __init__(self, seconds: float) -> None:
        """It begins now."""
        self._until = time.monotonic() + seconds
        self._random = Random(1)
        self.refused = 0

    def __call__(self, asked: Asked) -> Fault | None:
        """What happens to a request."""
        if time.monotonic() > self._until or self._random.random() > SHARE:
            return None
        self.refused += 1
        return answer(429, "TooManyRequests", "the server has received too many requests", retry_after=RETRY_AFTER)


async def applied(kube: Kube, requests: rig.Requests, proxy: Proxy, fleet: Mapping[str, Sequence[str]], seconds: float) -> dict[str, Any]:
    """Create a fleet in a storm of so many seconds; what came of it."""
    for namespace in fleet:
        await rig.make_namespace(kube, namespace)
    await requests.quiet()
    requests.reset()
    began = time.monotonic()
    proxy.intervene = storm = Storm(seconds)
    await rig.write_all(kube.create, [rig.cluster(name, namespace) for namespace, names in fleet.items() for name in names])
    await rig.until_applied(kube, fleet, within=WITHIN)
    took = time.monotonic() - began
    await requests.quiet()
    written = [entry for entry in requests.all() if rig.is_write(entry)]
    return {
        "requests refused": storm.refused,
        "seconds until all are applied": round(took, 1),
        "writes": len(written),
        "writes of children": sum(map(rig.is_child, written)),
        "most writes in a second": most(written, "airflow-operator", "kopf"),
        "most writes in a second, finalizers apart": most(written, "airflow-operator"),
        "children of a cluster, least and most": await census(kube, fleet),
    }


def most(written: Sequence[rig.Entry], *clients: str) -> int:
    """The most that these clients wrote in any second."""
    return rig.most_in_a_second(rig.moment(entry, "requestReceivedTimestamp") for entry in written if rig.by(entry, *clients))


async def census(kube: Kube, fleet: Mapping[str, Sequence[str]]) -> tuple[int, int]:
    """How many children the poorest and the richest cluster have."""
    count = Counter({(namespace, name): 0 for namespace, names in fleet.items() for name in names})
    for namespace in fleet:
        for kind in rig.CHILDREN:
            owners = [item["metadata"]["labels"].get(CLUSTER) for item in await kube.list(kind, namespace, labels=rig.OURS)]
            count.update((namespace, owner) for owner in owners if owner)
    return min(count.values()), max(count.values())


async def measure(clusters: int, limit: int, storm: float) -> dict[str, dict[str, Any]]:
    """The figures in peace, and with a storm of so many seconds, which begins with the fleet."""
    with rig.api_server() as plane, tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        async with rig.client(plane) as kube, administrator(plane, directory) as upstream, Proxy(upstream, directory) as proxy:
            requests = rig.Requests(plane)
            async with rig.operator(proxy.kubeconfig, limit, log=directory / "log"):
                return {
                    "peace": await applied(kube, requests, proxy, rig.spread("peace", clusters), 0.0),
                    "storm": await applied(kube, requests, proxy, rig.spread("storm", clusters), storm),
                }


def main() -> None:
    """Print the figures."""
    parser = rig.arguments(__doc__)
    parser.add_argument("clusters", nargs="?", type=int, default=30)
    parser.add_argument("--writes-per-second", type=int, default=50, help="the operator's own limit")
    parser.add_argument("--storm", type=float, default=8.0, metavar="SECONDS", help="how long the API server refuses")
    asked = parser.parse_args()
    found = asyncio.run(measure(asked.clusters, asked.writes_per_second, asked.storm))
    figures = {"clusters": asked.clusters, "limit": asked.writes_per_second}
    rig.tell(figures | {f"{when}: {name}": value for when, values in found.items() for name, value in values.items()}, asked.json)


if __name__ == "__main__":
    main()
