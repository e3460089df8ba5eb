"""`python -m tests.bench.latency [PAIRS]`: how much later one cluster is there than if somebody only wrote its objects.

One AirflowCluster after another is created, each when the operator rests; after each of them a bare asyncio client writes the same objects
under another name. All times are the API server's own, from its audit log: from the arrival of the AirflowCluster, or of the bare client's
first request, to the end of the last write of a child. One API server, no controllers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

from airflow_operator.domain.kinds import AIRFLOW_CLUSTER
from airflow_operator.domain.labels import MANAGED_BY, MANAGER
from airflow_operator.domain.manifest import Manifest
from airflow_operator.kube.protocol import Kube
from tests.bench import rig
from tests.integration.eventually import eventually

WARM_UP = 3
"""Pairs before the first that counts."""
REST = 0.4
"""Seconds without a request, after which the operator rests."""


def span(begun: Iterable[rig.Entry], done: Iterable[rig.Entry]) -> float:
    """Seconds from the first arrival to the last answer."""
    first = min(rig.moment(entry, "requestReceivedTimestamp") for entry in begun)
    return max(rig.moment(entry, "stageTimestamp") for entry in done) - first


async def by_operator(kube: Kube, requests: rig.Requests, namespace: str, name: str) -> tuple[float, float]:
    """Seconds to the last child, and to the status that says so."""
    await requests.quiet(REST)
    requests.reset()
    await kube.create(rig.cluster(name, namespace))

    def told() -> list[rig.Entry]:
        return [entry for entry in requests.all() if rig.is_write(entry) and entry["objectRef"].get("subresource") == "status"]

    async def applied() -> bool:
        # The log may be a moment behind what is read.
        return rig.applied(await kube.get(AIRFLOW_CLUSTER, namespace, name) or {}) and bool(told())

    # Seldom: the times are the API server's, and looking costs it some.
    await eventually(applied, within=60, every=0.1)
    begun = [entry for entry in requests.everybodys() if entry["verb"] == "create" and entry["objectRef"]["resource"] == "airflowclusters"]
    children = [entry for entry in requests.all() if rig.is_child(entry)]
    assert len(children) > 20, f"{name}: the operator made less than a cluster needs"
    return span(begun, children), span(begun, told())


async def by_bare_client(kube: Kube, requests: rig.Requests, documents: Sequence[Manifest]) -> float:
    """Seconds of the bare client, while the operator rests."""
    await requests.quiet(REST)
    requests.reset()
    await rig.write_all(kube.apply, documents)
    written = [entry for entry in requests.everybodys() if rig.by(entry, "bare-client")]
    return span(written, written)


async def one_pair(kube: Kube, requests: rig.Requests, namespace: str, name: str) -> dict[str, float]:
    """Seconds of both."""
    children, status = await by_operator(kube, requests, namespace, name)
    made = await rig.children(kube, namespace, name)
    # Objects that the operator does not take for its own: it would be busy with them.
    others = (f'"{MANAGED_BY}": "{MANAGER}"', f'"{MANAGED_BY}": "somebody"')
    bare = await by_bare_client(kube, requests, rig.renamed(made, [(namespace, namespace.replace("operator", "bare")), others]))
    return {"operator": children, "status": status, "bare client": bare}


async def measure(pairs: int) -> list[dict[str, float]]:
    """The pairs that count."""
    with rig.api_server() as plane:
        async with rig.client(plane) as kube, rig.operator(plane.kubeconfig):
            requests = rig.Requests(plane)
            found = []
            for namespace, names in rig.spread("operator", WARM_UP + pairs).items():
                await rig.make_namespace(kube, namespace)
                await rig.make_namespace(kube, namespace.replace("operator", "bare"))
                found += [await one_pair(kube, requests, namespace, name) for name in names]
            return found[WARM_UP:]


def summary(pairs: Sequence[dict[str, float]]) -> dict[str, Any]:
    """Percentiles in milliseconds; the p99 of fewer than a hundred pairs is the worst of them."""
    columns = {
        "operator, to the last child": [pair["operator"] for pair in pairs],
        "bare client": [pair["bare client"] for pair in pairs],
        "operator's more, to the last child": [pair["operator"] - pair["bare client"] for pair in pairs],
        "operator's more, to the status": [pair["status"] - pair["bare client"] for pair in pairs],
    }
    shares = {"p50": 0.5, "p99": 0.99}
    return {
        f"{name}, {word}, ms": round(1000 * rig.percentile(values, share))
        for name, values in columns.items()
        for word, share in shares.items()
    }


def main() -> None:
    """Print the figures."""
    parser = rig.arguments(__doc__)
    parser.add_argument("pairs", nargs="?", type=int, default=60)
    asked = parser.parse_args()
    rig.tell({"pairs": asked.pairs, **summary(asyncio.run(measure(asked.pairs)))}, asked.json)


if __name__ == "__main__":
    main()
