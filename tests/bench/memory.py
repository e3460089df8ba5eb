"""`python -m tests.bench.memory [UPDATES] [--clusters N]`: whether the operator holds more memory after many updates than after a few.

Each round sends twenty updates to every cluster: a new spec, a child that somebody changed (which is set right), twelve touches of children
that change nothing of the operator's, and six of the Secret that git logs in with. The next round begins when every new spec is applied and
what was changed is right again, so the operator keeps up. One API server, no controllers.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from itertools import cycle
from typing import Any

from airflow_operator.domain.kinds import AIRFLOW_CLUSTER, DEPLOYMENT
from airflow_operator.domain.labels import CLUSTER
from airflow_operator.domain.manifest import Manifest, dig
from airflow_operator.kube.protocol import Kube
from tests.bench import rig

NAMESPACE = "memory"
CHILD_TOUCHES, SECRET_TOUCHES = 12, 6
A_ROUND = 2 + CHILD_TOUCHES + SECRET_TOUCHES
"""Updates that each cluster gets in a round."""
WARM_UP = 0.1
"""The share of the updates after which memory is looked at first."""
WITHIN = 120.0
"""Seconds that a round may take."""


class Member:
    """One cluster of the fleet, and what happens to it."""

    def __init__(self, kube: Kube, name: str) -> None:
        """Nothing is made yet."""
        self._kube = kube
        self.name = name
        self._children: Iterator[Manifest] = iter(())
        self._secret = self._place("v1", "Secret", f"git-{name}")

    async def make(self) -> None:
        """The cluster and its Secret."""
        await self._kube.create({**self._secret, "stringData": {"username": "git", "password": "of no use"}})
        document = rig.cluster(self.name, NAMESPACE)
        document["spec"]["dags"][0]["git"]["credentialsSecretRef"] = {"name": f"git-{self.name}"}
        await self._kube.create(document)

    async def meet(self) -> None:
        """See what the operator made."""
        made = await rig.children(self._kube, NAMESPACE, self.name)
        self._children = cycle([self._place(item["apiVersion"], item["kind"], item["metadata"]["name"]) for item in made])

    async def one_round(self, number: int) -> None:
        """Its updates, one after the other."""
        for touch in range(CHILD_TOUCHES):
            await self._touch(next(self._children), f"{number}.{touch}")
        for touch in range(SECRET_TOUCHES):
            await self._touch(self._secret, f"{number}.{touch}")
        await self._kube.patch(DEPLOYMENT, NAMESPACE, f"{self.name}-api-server", [{"op": "replace", "path": "/spec/replicas", "value": 9}])
        change = {"op": "add", "path": "/spec/scheduler", "value": {"replicas": 2 + number % 2}}
        await self._kube.patch(AIRFLOW_CLUSTER, NAMESPACE, self.name, [change])

    async def _touch(self, item: Manifest, value: str) -> None:
        touched = {**item["metadata"], "annotations": {"example.com/touched": value}}
        await self._kube.apply({**item, "metadata": touched}, manager="somebody")

    @staticmethod
    def _place(api_version: str, kind: str, name: str) -> Manifest:
        return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name, "namespace": NAMESPACE}}


async def kept_up(kube: Kube, fleet: Sequence[Member]) -> None:
    """Return once every new spec is applied, and every child that somebody changed is right again."""
    names = {member.name for member in fleet}
    deadline = time.monotonic() + WITHIN
    while True:
        ready = {item["metadata"]["name"] for item in await kube.list(AIRFLOW_CLUSTER, NAMESPACE) if rig.applied(item)}
        servers = await kube.list(DEPLOYMENT, NAMESPACE, labels="app.kubernetes.io/component=api-server")
        right = {item["metadata"]["labels"][CLUSTER] for item in servers if dig(item, "spec", "replicas") == 1}
        if ready & right >= names:
            return
        assert time.monotonic() < deadline, f"not set right within {WITHIN:.0f} s: {sorted(names - (ready & right))}"
        await asyncio.sleep(0.2)


async def measure(updates: int, clusters: int) -> dict[str, Any]:
    """Every figure by its name."""
    # Who asked for what would only slow the API server down.
    with rig.api_server(audit=False) as plane:
        async with rig.client(plane) as kube, rig.operator(plane.kubeconfig) as operator:
            found: dict[str, Any] = {"clusters": clusters, "MiB before the first": round(operator.memory, 1)}
            await rig.make_namespace(kube, NAMESPACE)
            fleet = [Member(kube, name) for name in rig.numbered(clusters)]
            await asyncio.gather(*(member.make() for member in fleet))
            await rig.until_applied(kube, {NAMESPACE: [member.name for member in fleet]})
            for member in fleet:
                await member.meet()
            found["MiB when all are applied"] = round(operator.memory, 1)
            began = time.monotonic()
            rounds = -(-updates // (A_ROUND * clusters))
            warm = max(1, round(rounds * WARM_UP))
            for number in range(1, rounds + 1):
                await asyncio.gather(*(member.one_round(number) for member in fleet))
                await kept_up(kube, fleet)
                if number == warm:
                    found["updates until warm"] = number * A_ROUND * clusters
                    found["MiB when warm"] = before = round(operator.memory, 1)
            found["updates"] = rounds * A_ROUND * clusters
            found["seconds"] = round(time.monotonic() - began, 1)
            found["MiB at the end"] = round(operator.memory, 1)
            found["growth since it was warm, %"] = round(100 * (operator.memory / before - 1), 1)
            found["processor seconds of the operator"] = round(operator.processor_seconds, 1)
    return found


def main() -> None:
    """Print the figures."""
    parser = rig.arguments(__doc__)
    parser.add_argument("updates", nargs="?", type=int, default=20000)
    parser.add_argument("--clusters", type=int, default=20)
    asked = parser.parse_args()
    rig.tell(asyncio.run(measure(asked.updates, asked.clusters)), asked.json)


if __name__ == "__main__":
    main()
