"""`python -m tests.e2e.demo`: from nothing to a finished DAG run on a cluster that stays up, with the time of each stage."""

from __future__ import annotations

import sys
from collections.abc import Callable

from devcluster import DevclusterError
from devcluster.progress import progress, say
from tests.e2e.deployment import BASE, CLUSTER, READY_WITHIN, Deployment
from tests.e2e.diagnose import diagnose
from tests.e2e.kubectl import KubectlError, Object, is_true
from tests.e2e.prepare import prepare
from tests.e2e.waiting import Stopwatch, until

NAMESPACE = "airflow-demo"
DAG = "hello"
Picture = dict[tuple[str, str], Object]


def _postgres(seen: Picture) -> bool:
    return bool(seen.get(("StatefulSet", f"{BASE}-postgres"), {}).get("status", {}).get("readyReplicas"))


def _job(prefix: str) -> Callable[[Picture], bool]:
    def complete(seen: Picture) -> bool:
        jobs = (item for (kind, name), item in seen.items() if kind == "Job" and name.startswith(f"{CLUSTER}-{prefix}-"))
        return any(job.get("status", {}).get("succeeded") for job in jobs)

    return complete


def _api_server(seen: Picture) -> bool:
    return bool(seen.get(("Deployment", f"{CLUSTER}-api-server"), {}).get("status", {}).get("readyReplicas"))


STAGES: dict[str, Callable[[Picture], bool]] = {
    "PostgreSQL ready": _postgres,
    "database provisioned": _job("provision"),
    "schema migrated": _job("migrate"),
    "API server ready": _api_server,
    "Ready=True": lambda seen: is_true(seen.get(("AirflowCluster", CLUSTER))),
}


class CriticalPath:
    """When each stage was first seen, in seconds since `kubectl apply`."""

    def __init__(self) -> None:
        self.clock = Stopwatch()
        self.seen: dict[str, float] = {}

    def reached(self, stage: str) -> None:
        """Note a stage once, and say so."""
        if stage not in self.seen:
            before = max(self.seen.values(), default=0.0)
            now = self.clock.seconds
            self.seen[stage] = now
            say(f"  {now:6.1f} s  (+{now - before:5.1f} s)  {stage}")


def demo(deployment: Deployment) -> CriticalPath:
    """Make the deployment, wait for it, and run one DAG through the REST API; AssertionError where a stage takes too long."""
    with progress("git server"):
        deployment.make_namespace()
    say("kubectl apply: AirflowBase and AirflowCluster")
    path = CriticalPath()
    deployment.apply()

    def look() -> bool:
        seen = {(item["kind"], item["metadata"]["name"]): item for item in deployment.kubectl.list("afc,sts,deploy,jobs")}
        for stage, there in STAGES.items():
            if there(seen):
                path.reached(stage)
        return "Ready=True" in path.seen

    until("Ready=True", look, within=READY_WITHIN, every=0.5, saying=lambda: diagnose(deployment.kubectl))
    airflow = deployment.airflow()
    airflow.wait_for_dag(DAG)
    path.reached(f"DAG {DAG} in Airflow")
    airflow.unpause(DAG)
    run = airflow.trigger(DAG)
    airflow.wait_for_run(DAG, run)
    path.reached(f"DAG run {run} in state success")
    return path


def _how_to(deployment: Deployment) -> str:
    username, password = deployment.admin()
    kubectl = f"{deployment.kubectl.binary} --kubeconfig={deployment.kubectl.kubeconfig} --namespace={NAMESPACE}"
    secret = deployment.cluster["status"]["auth"]["adminSecretRef"]["name"]
    return "\n".join(
        [
            "",
            "Airflow is up and stays up. Open it:",
            f"  {kubectl} port-forward service/{CLUSTER}-api-server 8080",
            f"  http://localhost:8080  user {username}, password {password}  (Secret {secret})",
            "Look at it, and scale the schedulers:",
            f"  {kubectl} get airflow",
            f"  {kubectl} scale afc/{CLUSTER} --replicas=2",
            "Remove all of it: make down",
        ]
    )


def main() -> int:
    """Exit code 2 and one sentence for what a person can put right, 1 when a stage failed."""
    clock = Stopwatch()
    try:
        deployment = Deployment(prepare(), NAMESPACE)
        say(f"The cluster and the operator are ready after {clock.seconds:.0f} s")
        try:
            demo(deployment)
            print(_how_to(deployment))
        finally:
            deployment.close()
    except (DevclusterError, KubectlError) as error:
        print(error, file=sys.stderr)
        return 2
    except (AssertionError, TimeoutError) as error:
        print(f"The demo failed: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
