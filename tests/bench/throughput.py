"""`python -m tests.bench.throughput [CLUSTERS] [PAIRS] [--without-kubectl]`: how much longer the operator takes than those who only write.

In each round so many AirflowClusters are created at once, twenty in a namespace; the time ends when every status says that all of its
generation is applied. Then `kubectl apply --server-side`, and a bare asyncio client, write the very objects that the operator made, under
other names. All of a round runs on one API server (no controllers), one after the other: compare the ratios, not the seconds.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from collections.abc import Awaitable, Mapping, Sequence

from airflow_operator.domain.manifest import Manifest
from airflow_operator.kube.protocol import Kube
from devcluster.control_plane import ControlPlane
from tests.bench import rig

OPERATOR, KUBECTL, BARE = "operator", "kubectl", "bare client"

Fleet = Mapping[str, Sequence[str]]
"""Names of clusters by namespace."""


async def by_operator(kube: Kube, fleet: Fleet) -> float:
    """Seconds from the first create to the last status."""
    for namespace in fleet:
        await rig.make_namespace(kube, namespace)
    await rig.until_bases_are_told(kube, fleet)
    began = time.monotonic()
    await rig.write_all(kube.create, [rig.cluster(name, namespace) for namespace, names in fleet.items() for name in names])
    await rig.until_applied(kube, fleet)
    return time.monotonic() - began


async def copies(kube: Kube, of: tuple[str, str], fleet: Fleet) -> list[Manifest]:
    """What the operator made for one cluster, once for each of a fleet whose namespaces are made for it."""
    made = await rig.children(kube, *of)
    assert len(made) > 20, "the operator made less than a cluster needs"
    for namespace in fleet:
        await rig.make_namespace(kube, namespace)
    places = [(namespace, name) for namespace, names in fleet.items() for name in names]
    return [copy for place in places for copy in rig.renamed(made, list(zip(of, place, strict=True)))]


async def by_kubectl(plane: ControlPlane, documents: Sequence[Manifest]) -> float:
    """Seconds of one `kubectl apply --server-side` of all."""
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(documents)})
    began = time.monotonic()
    await asyncio.to_thread(plane.kubectl, "apply", "--server-side", "--force-conflicts", "-f", "-", input=text)
    return time.monotonic() - began


async def by_bare_client(kube: Kube, documents: Sequence[Manifest]) -> float:
    """Seconds of the same by server-side apply, as many at a time as the operator would."""
    began = time.monotonic()
    await rig.write_all(kube.apply, documents)
    return time.monotonic() - began


async def one_round(plane: ControlPlane, kube: Kube, number: int, clusters: int, kubectl: bool) -> dict[str, float]:
    """Seconds of each way."""
    found: dict[str, float] = {}

    async def measured(way: str, work: Awaitable[float]) -> None:
        before = plane.processor_seconds
        found[way] = await work
        found[of_server(way)] = plane.processor_seconds - before

    fleet = rig.spread(f"operator-{number}", clusters)
    async with rig.operator(plane.kubeconfig) as operator:
        # The fleets of the rounds before are nothing that is measured.
        await operator.resting()
        before = operator.processor_seconds
        await measured(OPERATOR, by_operator(kube, fleet))
        found |= {"processor": operator.processor_seconds - before, "memory": operator.memory}
    namespace, names = next(iter(fleet.items()))
    source = (namespace, names[0])
    if kubectl:
        await measured(KUBECTL, by_kubectl(plane, await copies(kube, source, rig.spread(f"kubectl-{number}", clusters))))
    documents = await copies(kube, source, rig.spread(f"bare-{number}", clusters))
    await measured(BARE, by_bare_client(kube, documents))
    found["objects"] = len(documents)
    ways = [way for way in (OPERATOR, KUBECTL, BARE) if way in found]
    print(
        f"round {number}: {len(documents)} objects; "
        + ", ".join(f"{way} {found[way]:.1f} s ({found[of_server(way)]:.1f} s of processor for the API server)" for way in ways)
        + f"; the operator's own processor {found['processor']:.1f} s, {found['memory']:.0f} MiB",
        flush=True,
    )
    return found


def of_server(way: str) -> str:
    """The name of what a way cost the API server and etcd, in seconds of a processor."""
    return f"{way}: API server's processor"


def ratios(rounds: Sequence[dict[str, float]], what: str, against: str) -> str:
    """One figure as a multiple of another of the same round: the median, the least and the most."""
    found = [row[what] / row[against] for row in rounds]
    return f"{statistics.median(found):.2f} ({min(found):.2f} to {max(found):.2f})"


async def measure(clusters: int, pairs: int, kubectl: bool) -> list[dict[str, float]]:
    """The rounds; one more before them warms all caches and is not counted."""
    with rig.api_server() as plane:
        async with rig.client(plane) as kube:
            await one_round(plane, kube, 0, min(clusters, 10), kubectl)
            return [await one_round(plane, kube, number, clusters, kubectl) for number in range(1, pairs + 1)]


def main() -> None:
    """Print a table."""
    parser = rig.arguments(__doc__)
    parser.add_argument("clusters", nargs="?", type=int, default=100)
    parser.add_argument("pairs", nargs="?", type=int, default=5)
    parser.add_argument("--without-kubectl", action="store_true", help="compare with the bare client alone")
    asked = parser.parse_args()
    rounds = asyncio.run(measure(asked.clusters, asked.pairs, not asked.without_kubectl))
    print(f"\n{asked.clusters} clusters, {asked.pairs} rounds: median of the ratios (least to most)")
    for against in (BARE,) if asked.without_kubectl else (KUBECTL, BARE):
        print(f"  operator / {against:<12} {ratios(rounds, OPERATOR, against)}")
        print(f"    the API server's processor: {ratios(rounds, of_server(OPERATOR), of_server(against))}")
    rig.keep({"clusters": asked.clusters, "rounds": rounds}, asked.json)


if __name__ == "__main__":
    main()
