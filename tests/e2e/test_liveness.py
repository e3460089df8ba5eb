"""A scheduler and a dag-processor that hang are found by their probes, said in Ready, and started anew."""

from __future__ import annotations

import pytest

from tests.e2e.deployment import Deployment
from tests.e2e.kubectl import Object
from tests.e2e.waiting import Stopwatch, until

pytestmark = [pytest.mark.e2e_all, pytest.mark.timeout(1200)]

HANGING = ("scheduler", "dag-processor")
# dumb-init is the first process of the container; Airflow's main process is its child, whose own children go on.
STOP = """
import os, pathlib, signal
for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
    _, _, rest = stat.read_text().rpartition(")")
    if rest.split()[1] == "1":
        print((stat.parent / "cmdline").read_bytes().replace(b"\\0", b" ").decode())
        os.kill(int(stat.parent.name), signal.SIGSTOP)
"""


def hasty(component: str) -> Object:
    """A pod template with which a hung component is found and ended sooner than by default."""
    probe = {"periodSeconds": 5, "failureThreshold": 2, "terminationGracePeriodSeconds": 5}
    return {"spec": {"containers": [{"name": component, "livenessProbe": probe}]}}


def container(deployment: Deployment, component: str) -> Object:
    """Status of the component's container in its only pod."""
    (pod,) = deployment.pods(component)
    return next(status for status in pod["status"]["containerStatuses"] if status["name"] == component)


def test_what_hangs_is_started_anew(another: Deployment) -> None:
    base, cluster = another.resources()
    cluster["spec"]["scheduler"] = {"podTemplate": hasty("scheduler")}
    cluster["spec"]["dagProcessor"] = {"podTemplate": hasty("dag-processor")}
    another.kubectl.apply(base, cluster)
    another.wait_until_ready()
    another.wait_until_settled()

    for component in HANGING:
        (pod,) = another.pods(component)
        assert container(another, component)["restartCount"] == 0
        stopped = another.kubectl.execute(pod["metadata"]["name"], "python", "-c", STOP, container=component)
        assert f"airflow {component}" in stopped
    clock = Stopwatch()
    until("Ready is no longer True", lambda: not another.ready, within=300, saying=another.reason)
    print(f"after {clock.seconds:.1f} s Ready is {another.reason()}")

    def started_anew() -> bool:
        return all(container(another, component)["restartCount"] for component in HANGING)

    until("both are started anew", started_anew, within=480, saying=another.reason)
    print(f"started anew after {clock.seconds:.1f} s")
    another.wait_until_ready()
    print(f"Ready again after {clock.seconds:.1f} s")
    for component in HANGING:
        last = container(another, component)["lastState"]["terminated"]
        assert last["exitCode"] != 0, "a stopped process ends by SIGKILL alone"
    another.airflow().run_dag("hello")
