"""Two processes of the operator: one works, the other takes over, and what was frozen writes nothing any more."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_operator.domain.kinds import LEASE, STATEFUL_SET
from airflow_operator.domain.manifest import dig
from tests.integration.eventually import eventually
from tests.integration.running import operator_process
from tests.integration.scenario import BASE, Stage, base

pytestmark = pytest.mark.integration

DURATION, DEADLINE, PERIOD = 4.0, 2.5, 0.5
"""The shipped 15, 10 and 2 seconds, shorter."""


class Replicas:
    """Processes of the operator in one namespace."""

    def __init__(self, stage: Stage, logs: Path) -> None:
        self.stage = stage
        self.logs = logs
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str) -> None:
        self.processes[name] = operator_process(
            self.stage.control_plane.kubeconfig,
            self.stage.namespace,
            self.logs / name,
            pod=name,
            lease_duration=DURATION,
            lease_renew_deadline=DEADLINE,
            lease_retry_period=PERIOD,
        )

    def send(self, name: str, number: signal.Signals) -> None:
        self.processes[name].send_signal(number)

    async def leader(self) -> str:
        """The replica that holds the Lease; empty while none does."""
        found = await self.stage.get(LEASE, "airflow-operator")
        return str(dig(found, "spec", "holderIdentity", default="")).partition("_")[0]

    async def leads(self, name: str, within: float = 30.0) -> None:
        async def it_leads() -> bool:
            return await self.leader() == name

        it_leads.__name__ = f"{name} leads"
        await eventually(it_leads, within=within)

    async def stands_by(self, name: str) -> None:
        async def it_says_so() -> bool:
            return b"standing by" in (self.logs / name).read_bytes()

        it_says_so.__name__ = f"{name} stands by"
        await eventually(it_says_so, within=60)

    async def quiet(self) -> None:
        """Until nothing but the Lease has been written for a while."""
        requests: list[str] = []

        async def nothing_new() -> bool:
            nonlocal requests
            before, requests = requests, [request for request in self.stage.audit.writes() if "leases" not in request]
            await asyncio.sleep(1.0)
            return bool(before) and before == requests

        await eventually(nothing_new, within=30)

    def end(self) -> None:
        for process in self.processes.values():
            process.kill()
            process.wait()


@pytest.fixture
def replicas(stage: Stage, tmp_path: Path) -> Iterator[Replicas]:
    made = Replicas(stage, tmp_path)
    try:
        yield made
    finally:
        made.end()


async def test_the_other_takes_over_from_one_that_was_killed(replicas: Replicas) -> None:
    stage = replicas.stage
    replicas.start("one")
    await replicas.leads("one")
    replicas.start("other")
    await replicas.stands_by("other")
    await stage.apply(base())
    server = await stage.there(STATEFUL_SET, f"{BASE}-postgres")
    killed = time.monotonic()
    replicas.send("one", signal.SIGKILL)
    await replicas.leads("other")
    took = time.monotonic() - killed
    # Two seconds of its own, as the shipped settings allow; the rest is the Lease's.
    assert took <= DURATION + 2.0, f"{took:.1f} s"
    await stage.delete(STATEFUL_SET, f"{BASE}-postgres")
    await stage.there(STATEFUL_SET, f"{BASE}-postgres", but=server["metadata"]["uid"])


async def test_a_leader_that_ends_hands_over_at_once(replicas: Replicas) -> None:
    replicas.start("one")
    await replicas.leads("one")
    replicas.start("other")
    await replicas.stands_by("other")
    replicas.send("one", signal.SIGTERM)
    assert replicas.processes["one"].wait(20) == 0
    await replicas.leads("other")
    replicas.send("other", signal.SIGTERM)
    assert replicas.processes["other"].wait(20) == 0


async def test_a_replica_that_stands_by_ends_at_once(replicas: Replicas) -> None:
    replicas.start("one")
    await replicas.leads("one")
    replicas.start("other")
    await replicas.stands_by("other")
    replicas.send("other", signal.SIGTERM)
    assert replicas.processes["other"].wait(10) == 0
    assert await replicas.leader() == "one"


async def test_what_was_frozen_beyond_its_lease_writes_nothing_when_it_thaws(replicas: Replicas) -> None:
    stage = replicas.stage
    replicas.start("one")
    await replicas.leads("one")
    await stage.apply(base())
    await stage.there(STATEFUL_SET, f"{BASE}-postgres")
    await replicas.quiet()
    replicas.send("one", signal.SIGSTOP)
    # Work piles up for the frozen one: it must find it done by another, or leave it.
    replicas.start("other")
    await stage.delete(STATEFUL_SET, f"{BASE}-postgres")
    await replicas.leads("other", within=60)
    await stage.there(STATEFUL_SET, f"{BASE}-postgres")
    await replicas.quiet()
    await stage.delete(STATEFUL_SET, f"{BASE}-postgres")
    stage.audit.reset()
    thawed = time.monotonic()
    replicas.send("one", signal.SIGCONT)
    assert replicas.processes["one"].wait(20) == 1, "it ends, since it no longer leads"
    print(f"ended {time.monotonic() - thawed:.1f} s after it thawed")
    await stage.there(STATEFUL_SET, f"{BASE}-postgres")
    await replicas.quiet()
    servers = [request for request in stage.audit.writes() if request == f"patch statefulsets/{BASE}-postgres"]
    assert len(servers) == 1, "made once, by the one that leads"
    assert await replicas.leader() == "other"
