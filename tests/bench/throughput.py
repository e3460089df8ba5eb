"""`python -m tests.bench.throughput [CLUSTERS] [PAIRS] [--json FILE]`: how much longer the operator takes than those who only write.

In each round so many AirflowClusters are created at once; the time ends when every status says that all of its generation is applied.
Then `kubectl apply --server-side`, and a bare asyncio client, write the very objects that the operator made, under other names. All of a
round runs on one API server (no controllers), one after the other: compare the ratios, not the seconds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

from airflow_operator.domain.manifest import Manifest
from airflow_operator.kube.protocol import Kube
from devcluster.control_plane import ControlPlane
from tests.bench import rig

WAYS = ("operator", "kubectl", "bare client")


async def by_operator(kube: Kube, namespace: str, names: Sequence[str]) -> float:
    """Seconds from the first create to the last status."""
    await rig.make_namespace(kube, namespace)
    began = time.monotonic()
    await rig.write_all(kube.create, [rig.cluster(name, namespace) for name in names])
    await rig.until_applied(kube, [namespace], len(names))
    return time.monotonic() - began


async def copies(kube: Kube, of: tuple[str, str], to: str, names: Sequence[str]) -> list[Manifest]:
    """What the operator made for one cluster, once for each name, in another namespace."""
    namespace, name = of
    made = await rig.children(kube, namespace, name)
    assert len(made) > 20, "the operator made less than a cluster needs"
    return [copy for other in names for copy in rig.renamed(made, [(namespace, to), (name, other)])]


async def by_kubectl(plane: ControlPlane, kube: Kube, namespace: str, documents: Sequence[Manifest]) -> float:
    """Seconds of one `kubectl apply --server-side` of all."""
    await rig.make_namespace(kube, namespace)
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(documents)})
    began = time.monotonic()
    await asyncio.to_thread(plane.kubectl, "apply", "--server-side", "--force-conflicts", "-f", "-", input=text)
    return time.monotonic() - began


async def by_bare_client(kube: Kube, namespace: str, documents: Sequence[Manifest]) -> float:
    """Seconds of the same by server-side apply, as many at a time as the operator would."""
    await rig.make_namespace(kube, namespace)
    began = time.monotonic()
    await rig.write_all(kube.apply, documents)
    return time.monotonic() - began


async def one_round(plane: ControlPlane, kube: Kube, number: int, names: Sequence[str]) -> dict[str, float]:
    """Seconds of each way."""
    with rig.operator(plane) as operator:
        before = operator.processor_seconds
        seconds = await by_operator(kube, f"round-{number}-operator", names)
        used, memory = operator.processor_seconds - before, operator.memory
    source = (f"round-{number}-operator", names[0])
    documents = await copies(kube, source, f"round-{number}-kubectl", names)
    kubectl = await by_kubectl(plane, kube, f"round-{number}-kubectl", documents)
    documents = await copies(kube, source, f"round-{number}-bare", names)
    bare = await by_bare_client(kube, f"round-{number}-bare", documents)
    print(
        f"round {number}: operator {seconds:.1f} s (its own processor {used:.1f} s, {memory:.0f} MiB), "
        f"kubectl {kubectl:.1f} s, bare client {bare:.1f} s; {len(documents)} objects",
        flush=True,
    )
    return {"operator": seconds, "kubectl": kubectl, "bare client": bare, "objects": len(documents), "processor": used, "memory": memory}


def ratios(rounds: Sequence[dict[str, float]], against: str) -> list[float]:
    """The operator's seconds as a multiple of another's, round by round."""
    return [found["operator"] / found[against] for found in rounds]


async def measure(clusters: int, pairs: int) -> list[dict[str, float]]:
    """The rounds; one more before them warms all caches and is not counted."""
    with rig.api_server() as plane:
        async with rig.client(plane) as kube:
            await one_round(plane, kube, 0, rig.numbered(min(clusters, 10)))
            return [await one_round(plane, kube, number, rig.numbered(clusters)) for number in range(1, pairs + 1)]


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("clusters", nargs="?", type=int, default=100)
    parser.add_argument("pairs", nargs="?", type=int, default=5)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    rounds = asyncio.run(measure(asked.clusters, asked.pairs))
    print(f"\n{asked.clusters} clusters, {asked.pairs} rounds: median of the ratios (least to most)")
    for against in WAYS[1:]:
        found = ratios(rounds, against)
        print(f"  operator / {against:<12} {statistics.median(found):.2f} ({min(found):.2f} to {max(found):.2f})")
    if asked.json:
        asked.json.write_text(json.dumps({"clusters": asked.clusters, "rounds": rounds}, indent=1))


if __name__ == "__main__":
    main()
