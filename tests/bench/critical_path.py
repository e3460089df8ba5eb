"""`python -m tests.bench.critical_path [ROUNDS]`: where the time goes from `kubectl apply` to the first DAG run, and to a new scheduler.

Each round is a new namespace on the cluster that `make up` prepared. A stage belongs to the operator when it ends with something that the
operator writes; the others are Kubernetes', PostgreSQL's and Airflow's own. Run it on a quiet machine.
"""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Mapping, Sequence

from airflow_operator.domain.kinds import AIRFLOW_BASE, AIRFLOW_CLUSTER, DEPLOYMENT, JOB, STATEFUL_SET
from airflow_operator.domain.manifest import Live, dig
from airflow_operator.kube.client import connect
from airflow_operator.kube.protocol import Kube
from airflow_operator.reconcile.rollout import settled
from tests.bench import rig
from tests.e2e.deployment import BASE, CLUSTER, Deployment
from tests.e2e.kubectl import is_true
from tests.e2e.prepare import prepare
from tests.e2e.waiting import Stopwatch, until

KINDS = (AIRFLOW_BASE, AIRFLOW_CLUSTER, STATEFUL_SET, DEPLOYMENT, JOB)
DAG = "hello"
STAGES = (
    ("StatefulSet of PostgreSQL made", True),
    ("PostgreSQL ready", False),
    ("provision Job made", True),
    ("database provisioned", False),
    ("migrate Job made", True),
    ("schema migrated", False),
    ("components made", True),
    ("components ready", False),
    ("Ready=True", True),
    ("first DAG run successful", False),
)
"""Each stage, and whether the operator ends it."""

Picture = Mapping[tuple[str, str], Live]


def reached(seen: Picture) -> list[bool]:
    """Which of the stages up to Ready=True are there."""
    server = seen.get(("StatefulSet", f"{BASE}-postgres"))
    provision, migrate = _job(seen, "provision"), _job(seen, "migrate")
    workloads = [seen.get(("Deployment", f"{CLUSTER}-{name}")) for name in ("api-server", "scheduler", "dag-processor")]
    workloads.append(seen.get(("StatefulSet", f"{CLUSTER}-triggerer")))
    return [
        server is not None,
        server is not None and settled(server),
        provision is not None,
        bool(dig(provision, "status", "succeeded")),
        migrate is not None,
        bool(dig(migrate, "status", "succeeded")),
        all(workloads),
        all(item is not None and settled(item) for item in workloads),
        is_true(seen.get(("AirflowCluster", CLUSTER))),
    ]


def _job(seen: Picture, name: str) -> Live | None:
    return next((item for (kind, found), item in seen.items() if kind == "Job" and found.startswith(f"{CLUSTER}-{name}-")), None)


async def watch(kube: Kube, namespace: str, clock: Stopwatch) -> list[float]:
    """Seconds at which each stage up to Ready=True was first seen, ten looks a second."""
    times: dict[int, float] = {}
    while len(times) < len(STAGES) - 1:
        found = await asyncio.gather(*(kube.list(kind, namespace) for kind in KINDS))
        seen = {(item["kind"], item["metadata"]["name"]): item for items in found for item in items}
        for place, there in enumerate(reached(seen)):
            if there:
                times.setdefault(place, clock.seconds)
        await asyncio.sleep(0.1)
    return [times[place] for place in sorted(times)]


async def one_round(kube: Kube, deployment: Deployment) -> tuple[list[float], float]:
    """Seconds of each stage since `kubectl apply`, and seconds until a second scheduler runs."""
    await asyncio.to_thread(deployment.make_namespace)
    clock = Stopwatch()
    await asyncio.to_thread(deployment.apply)
    times = await asyncio.wait_for(watch(kube, deployment.namespace, clock), 600)
    airflow = await asyncio.to_thread(deployment.airflow)
    await asyncio.to_thread(airflow.wait_for_dag, DAG)
    await asyncio.to_thread(airflow.unpause, DAG)
    run = await asyncio.to_thread(airflow.trigger, DAG)
    await asyncio.to_thread(airflow.wait_for_run, DAG, run)
    times.append(clock.seconds)
    clock = Stopwatch()
    await asyncio.to_thread(deployment.kubectl, "scale", f"afc/{CLUSTER}", "--replicas=2")
    await asyncio.to_thread(_until_schedulers, deployment, 2)
    return times, clock.seconds


def _until_schedulers(deployment: Deployment, count: int) -> None:
    def ready() -> bool:
        found = deployment.kubectl.get("deployment", f"{CLUSTER}-scheduler")
        return found is not None and dig(found, "spec", "replicas") == count and settled(found)

    until(f"{count} schedulers", ready, within=180, every=0.2)


def table(rounds: Sequence[Sequence[float]], scaling: Sequence[float]) -> str:
    """The critical path: each stage's own time and its end, medians over the rounds, and the operator's share."""
    lines = [f"{'stage':34} {'took':>7} {'at':>7}   (seconds, median of {len(rounds)})"]
    share = 0.0
    for place, (stage, ours) in enumerate(STAGES):
        took = statistics.median(times[place] - (times[place - 1] if place else 0.0) for times in rounds)
        share += took if ours else 0.0
        lines.append(f"{stage:34} {took:7.1f} {statistics.median(times[place] for times in rounds):7.1f}{'   operator' if ours else ''}")
    lines.append(f"{'the operator in all of this':34} {share:7.1f}")
    lines.append(f"{'kubectl scale 1 -> 2, ready':34} {statistics.median(scaling):7.1f}")
    return "\n".join(lines)


async def measure(count: int) -> tuple[list[list[float]], list[float]]:
    """Run the rounds one after the other: the times of each, and how long a second scheduler took."""
    kubectl = await asyncio.to_thread(prepare)
    measured: list[list[float]] = []
    scaling: list[float] = []
    async with connect(str(kubectl.kubeconfig)) as kube:
        for number in range(count):
            deployment = Deployment(kubectl, f"bench-{number}")
            try:
                times, scaled = await one_round(kube, deployment)
            finally:
                await asyncio.to_thread(deployment.remove)
            measured.append(times)
            scaling.append(scaled)
    return measured, scaling


def main() -> None:
    """Print the table."""
    parser = rig.arguments(__doc__)
    parser.add_argument("rounds", nargs="?", type=int, default=1)
    asked = parser.parse_args()
    rounds, scaling = asyncio.run(measure(asked.rounds))
    print(table(rounds, scaling))
    rig.keep({"stages": [stage for stage, _ in STAGES], "rounds": rounds, "a second scheduler": scaling}, asked.json)


if __name__ == "__main__":
    main()
