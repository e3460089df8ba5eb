"""Daemon, finalizer, wake-ups and deletion against a real API server, with stand-ins for the reconciliations."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from airflow_operator.domain.errors import Waiting
from airflow_operator.domain.kinds import AIRFLOW_BASE, AIRFLOW_CLUSTER
from airflow_operator.domain.labels import FINALIZER
from airflow_operator.kube.wrapped import Wrapped
from airflow_operator.process import Process
from airflow_operator.reconcile.types import LookAgain
from airflow_operator.runtime.context import Context
from airflow_operator.runtime.health import NoHealthProbe
from airflow_operator.runtime.operator import Duties
from devcluster.control_plane import ControlPlane
from tests.integration.running import QUICK, RunningOperator, install_crds, running_operator

pytestmark = pytest.mark.integration

PATIENCE = 20.0


class Recorder:
    """Counts the calls for each resource; its deletion takes as many steps as the test says."""

    def __init__(self, deletion_steps: int = 1) -> None:
        self.reconciled: list[str] = []
        self.deleted: list[str] = []
        self.references: frozenset[tuple[str, str]] = frozenset()
        self._steps = deletion_steps
        self.in_use = False
        self.broken = False

    @property
    def duties(self) -> dict[Any, Duties]:
        both = Duties(self.reconcile, self.delete)
        return {AIRFLOW_BASE: both, AIRFLOW_CLUSTER: both}

    async def reconcile(self, ctx: Context, namespace: str, name: str) -> LookAgain:
        ctx.references.set(namespace, name, self.references)
        self.reconciled.append(name)
        return LookAgain()

    async def delete(self, ctx: Context, namespace: str, name: str) -> LookAgain | None:
        self.deleted.append(name)
        if self.in_use:
            raise Waiting("InUse", "still in use")
        if self.broken:
            raise RuntimeError("the wall is broken")
        return LookAgain(0.05) if len(self.deleted) < self._steps else None


async def eventually(check: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + PATIENCE
    while not (found := await asyncio.to_thread(check)):
        assert time.monotonic() < deadline, f"not in {PATIENCE:.0f} s: {what}"
        await asyncio.sleep(0.05)
    return found


class Bench:
    """kubectl in one namespace."""

    def __init__(self, control_plane: ControlPlane, namespace: str) -> None:
        self.control_plane = control_plane
        self.namespace = namespace

    def kubectl(self, *args: str, input: str | None = None) -> str:
        return str(self.control_plane.kubectl("-n", self.namespace, *args, input=input).stdout)

    def make_base(self, name: str = "b") -> None:
        self.kubectl(
            "apply",
            "-f",
            "-",
            input=json.dumps(
                {
                    "apiVersion": "airflow-operator.dev/v1alpha1",
                    "kind": "AirflowBase",
                    "metadata": {"name": name},
                    "spec": {"database": {"postgres": {}}},
                }
            ),
        )

    def make_cluster(self, name: str = "c", base: str = "b") -> None:
        self.kubectl(
            "apply",
            "-f",
            "-",
            input=json.dumps(
                {
                    "apiVersion": "airflow-operator.dev/v1alpha1",
                    "kind": "AirflowCluster",
                    "metadata": {"name": name},
                    "spec": {"baseRef": {"name": base}, "version": "3.3.2", "executors": ["KubernetesExecutor"]},
                }
            ),
        )

    def resource(self, kind: str, name: str) -> Any:
        found = self.kubectl("get", kind, name, "-o", "json", "--ignore-not-found")
        return json.loads(found) if found else None

    def writes(self, kind: str) -> list[tuple[str, str]]:
        return [
            (entry["verb"], entry["requestURI"].split("?")[0].rsplit("/", 1)[-1])
            for entry in self.control_plane.audit()
            if entry["verb"] in {"create", "update", "patch", "delete"}
            and entry.get("objectRef", {}).get("resource") == kind
            and entry["objectRef"].get("namespace") == self.namespace
            and "kubectl" not in entry.get("userAgent", "")
        ]


@pytest.fixture(scope="module", autouse=True)
def crds(control_plane: ControlPlane) -> None:
    install_crds(control_plane)


@pytest.fixture
def bench(control_plane: ControlPlane, namespace: str) -> Bench:
    return Bench(control_plane, namespace)


def operator(bench: Bench, seen: Recorder, **changes: Any) -> Any:
    return running_operator(bench.control_plane.kubeconfig, bench.namespace, duties=seen.duties, **changes)


class EndedWhileItBegins(Wrapped):
    """SIGTERM arrives while the operator asks who it is, which it does before its framework begins."""

    async def whoami(self) -> str:
        os.kill(os.getpid(), signal.SIGTERM)
        return await super().whoami()


async def test_a_signal_while_it_begins_ends_it(bench: Bench) -> None:
    settings = replace(QUICK, opt_in=True)
    process = Process(settings, str(bench.control_plane.kubeconfig), health=NoHealthProbe(), around_kube=EndedWhileItBegins)
    async with asyncio.timeout(PATIENCE):
        await process.run()


async def test_reconciles_only_under_its_finalizer_which_is_written_once(bench: Bench) -> None:
    seen = Recorder()
    async with operator(bench, seen):
        bench.make_base()
        await eventually(lambda: seen.reconciled, "the first reconciliation")
        assert FINALIZER in bench.resource("airflowbase", "b")["metadata"]["finalizers"]
        assert set(bench.resource("airflowbase", "b")["metadata"]["annotations"]) == {"kubectl.kubernetes.io/last-applied-configuration"}
    assert bench.writes("airflowbases") == [("patch", "b")]
    seen.reconciled.clear()
    async with operator(bench, seen):
        await eventually(lambda: seen.reconciled, "a reconciliation after the restart")
    assert bench.writes("airflowbases") == [("patch", "b")]


async def test_child_wakes_its_owner(bench: Bench) -> None:
    seen = Recorder()
    async with operator(bench, seen):
        bench.make_base()
        bench.make_cluster()
        await eventually(lambda: {"b", "c"} <= set(seen.reconciled), "both resources")
        await quiet(seen)
        bench.kubectl("create", "configmap", "child")
        bench.kubectl("label", "configmap", "child", "app.kubernetes.io/managed-by=airflow-operator", "airflow-operator.dev/cluster=c")
        await eventually(lambda: seen.reconciled, "a reconciliation of the owner")
        await quiet(seen, forget=False)
        assert set(seen.reconciled) == {"c"}


async def test_base_wakes_its_clusters_and_status_wakes_nobody(bench: Bench) -> None:
    seen = Recorder()
    async with operator(bench, seen):
        bench.make_base()
        bench.make_cluster()
        await eventually(lambda: {"b", "c"} <= set(seen.reconciled), "both resources")
        await quiet(seen)
        bench.kubectl("patch", "afc", "c", "--subresource=status", "--type=merge", "-p", '{"status": {"phase": "Odd"}}')
        bench.kubectl("annotate", "afb", "b", "example.org/touched=1")
        await eventually(lambda: "c" in seen.reconciled and "b" in seen.reconciled, "base and cluster")
        await quiet(seen, forget=False)
        assert sorted(seen.reconciled) == ["b", "c"]


async def test_referenced_secret_wakes_its_user(bench: Bench) -> None:
    seen = Recorder()
    seen.references = frozenset({("Secret", "git")})
    async with operator(bench, seen):
        bench.make_cluster()
        await eventually(lambda: seen.reconciled, "the first reconciliation")
        await quiet(seen)
        bench.kubectl("create", "secret", "generic", "other", "--from-literal=a=b")
        bench.kubectl("create", "secret", "generic", "git", "--from-literal=password=one")
        await eventually(lambda: seen.reconciled, "a reconciliation for the late Secret")
        await quiet(seen)
        bench.kubectl("patch", "secret", "git", "-p", '{"stringData": {"password": "two"}}')
        await eventually(lambda: seen.reconciled, "a reconciliation for the changed Secret")
        await quiet(seen)
        bench.kubectl("delete", "secret", "git")
        await eventually(lambda: seen.reconciled, "a reconciliation for the deleted Secret")


async def test_deletion_takes_its_steps_and_lets_go(bench: Bench) -> None:
    seen = Recorder(deletion_steps=3)
    async with operator(bench, seen):
        bench.make_base()
        await eventually(lambda: seen.reconciled, "the first reconciliation")
        bench.kubectl("delete", "afb", "b", "--timeout=15s")
        assert seen.deleted == ["b", "b", "b"]
        # The same name anew is served anew.
        seen.reconciled.clear()
        bench.make_base()
        await eventually(lambda: seen.reconciled, "the new resource of the same name")


async def test_deletion_asked_for_while_the_operator_was_away(bench: Bench) -> None:
    seen = Recorder()
    async with operator(bench, seen):
        bench.make_base()
        await eventually(lambda: seen.reconciled, "the first reconciliation")
    bench.kubectl("delete", "afb", "b", "--wait=false")
    assert seen.deleted == []
    async with operator(bench, seen):
        await eventually(lambda: bench.resource("afb", "b") is None, "the end of the resource")
    assert seen.deleted == ["b"]


async def test_restart_in_the_middle_of_a_deletion_keeps_the_finalizer(bench: Bench) -> None:
    seen = Recorder(deletion_steps=1000)
    for ending in ("stop", "kill"):
        async with operator(bench, seen) as op:
            if ending == "stop":
                bench.make_base()
                await eventually(lambda: seen.reconciled, "the first reconciliation")
                bench.kubectl("delete", "afb", "b", "--wait=false")
            seen.deleted.clear()
            await eventually(lambda: seen.deleted, "a step of the deletion")
            await end(op, ending)
        assert FINALIZER in bench.resource("afb", "b")["metadata"]["finalizers"]
    seen.deleted = [""] * 1000
    async with operator(bench, seen):
        await eventually(lambda: bench.resource("afb", "b") is None, "the end of the resource")


async def test_broken_deletion_lets_go_in_the_end_and_says_so(bench: Bench) -> None:
    seen = Recorder()
    seen.broken = True
    async with operator(bench, seen, settings=replace(QUICK, deletion_timeout=1.0)):
        bench.make_base()
        await eventually(lambda: seen.reconciled, "the first reconciliation")
        bench.kubectl("delete", "afb", "b", "--timeout=15s")
        events = json.loads(bench.kubectl("get", "events", "-o", "json"))["items"]
    assert [(event["reason"], event["type"], event["involvedObject"]["name"]) for event in events] == [("CleanUpGivenUp", "Warning", "b")]
    assert "the wall is broken" in events[0]["message"]


async def test_resource_in_use_is_not_let_go_before_it_is_free(bench: Bench) -> None:
    seen = Recorder()
    seen.in_use = True
    async with operator(bench, seen, settings=replace(QUICK, deletion_timeout=0.5)):
        bench.make_base()
        bench.make_cluster()
        await eventually(lambda: {"b", "c"} <= set(seen.reconciled), "both resources")
        bench.kubectl("delete", "afb", "b", "--wait=false")
        await eventually(lambda: seen.deleted, "the first try")
        await asyncio.sleep(1.0)  # longer than a deletion that fails may take
        assert bench.resource("afb", "b") is not None
        seen.in_use = False
        bench.kubectl("delete", "afc", "c", "--timeout=15s")
        await eventually(lambda: bench.resource("afb", "b") is None, "the end of the base, woken by the cluster's")


async def quiet(seen: Recorder, *, forget: bool = True) -> None:
    """Wait until nothing has been reconciled for a while."""
    count = -1
    while count != len(seen.reconciled):
        count = len(seen.reconciled)
        await asyncio.sleep(0.5)
    if forget:
        seen.reconciled.clear()


async def end(op: RunningOperator, how: str) -> None:
    if how == "kill":
        op.kill()
    else:
        await op.stop()


async def test_process_ends_soon_after_sigterm(bench: Bench) -> None:
    bench.make_base()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "airflow_operator", "run", "--kubeconfig", str(bench.control_plane.kubeconfig),
        "--namespaces", bench.namespace, "--health-port", "0", "--webhook-port", "0", "--log-format", "json",
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        await eventually(lambda: bench.resource("statefulset", "b-postgres"), "the base's server")
        process.terminate()
        async with asyncio.timeout(10):
            _, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, errors.decode()
    entries = [json.loads(line) for line in errors.decode().splitlines()]
    assert entries
    assert not [entry for entry in entries if entry["level"] == "error"]
