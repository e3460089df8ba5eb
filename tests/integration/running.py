"""The whole operator in a thread of the test's process, against a real API server.

```python
async with running_operator(control_plane.kubeconfig, namespace) as op:
    op.health.answer = Health(reachable=False)
    ...
    op.kill()              # as if by SIGKILL: nothing of it runs any further
```

A thread of its own, because kopf cancels every younger task of its event loop when it ends.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from airflow_operator.domain.manifest import Kind, Live, Manifest
from airflow_operator.kube.protocol import FIELD_MANAGER, STATUS_MANAGER, Kube, Propagation
from airflow_operator.kube.wrapped import Wrapped
from airflow_operator.process import Process
from airflow_operator.reconcile.types import Health
from airflow_operator.runtime.operator import Duties
from airflow_operator.settings import PREFIX, Settings, variable
from devcluster.control_plane import ControlPlane

CRDS = Path(__file__).parents[2] / "crds"
SOURCE = Path(__file__).parents[2] / "operator"
START_TIMEOUT = 30.0
STOP_TIMEOUT = 15.0

QUICK = Settings(debounce=0.05, writes_per_second=0, health_port=0, webhook_port=0)
"""Settings of a test: ports of their own, little patience."""

ALL_HEALTHY = Health(
    reachable=True,
    components={"metadatabase": "healthy", "scheduler": "healthy", "triggerer": "healthy", "dag_processor": "healthy"},
)


def install_crds(control_plane: ControlPlane, crds: Path = CRDS) -> None:
    """Apply the CRDs and wait until they are served; again is no harm."""
    control_plane.kubectl("apply", "--server-side", "-k", str(crds))
    # Before the names are accepted there are no conditions yet, which kubectl takes for an error.
    for what in ("jsonpath={.status.acceptedNames.kind}", "condition=Established"):
        control_plane.kubectl("wait", f"--for={what}", "--timeout=30s", "crd", "--all")


def operator_process(
    kubeconfig: Path, namespace: str, log: Path, *, pod: str, source: Path = SOURCE, **settings: Any
) -> subprocess.Popen[bytes]:
    """`airflow-operator run` for one namespace, as a process of its own and as one of several replicas; `settings` by their names.

    `source` is the directory that holds the package airflow_operator; `log` gets what it says.
    """
    given = {
        "namespaces": namespace,
        "leader_election": "true",
        "health_port": 0,
        "webhook_port": 0,
        "health_probe": "false",
        "image": "operator",
        **settings,
    }
    env = {key: value for key, value in os.environ.items() if not key.startswith(PREFIX)}
    env |= {variable(name): str(value) for name, value in given.items()}
    env |= {"PYTHONPATH": str(source), "POD_NAME": pod, "POD_NAMESPACE": namespace}
    command = [sys.executable, "-m", "airflow_operator", "run", "--kubeconfig", str(kubeconfig)]
    with log.open("wb") as words:
        # What -m finds first is the working directory.
        return subprocess.Popen(command, env=env, cwd=source, stderr=words)


@dataclass
class GivenHealth:
    """A health probe that answers what the test says."""

    answer: Health = ALL_HEALTHY
    asked: list[str] = field(default_factory=list)

    async def read(self, url: str) -> Health:
        """The given answer."""
        self.asked.append(url)
        return self.answer


class WatchedKube(Wrapped):
    """Passes everything on to the API server; counts the writes and, where asked, hangs before a certain one."""

    def __init__(self, hang_before_write: int | None = None) -> None:
        """`hang_before_write`: 1 for the first write."""
        self._hang_at = hang_before_write
        self.writes: list[str] = []
        self.statuses: list[Manifest] = []
        self.hanging = threading.Event()

    def around(self, kube: Kube) -> Kube:
        """The Kube that the operator gets."""
        super().__init__(kube)
        return self

    async def _write(self, what: str) -> None:
        if self._hang_at is not None and len(self.writes) + 1 >= self._hang_at:
            self.hanging.set()
            await asyncio.Event().wait()
        self.writes.append(what)

    async def apply(self, manifest: Manifest, *, manager: str = FIELD_MANAGER, dry_run: bool = False, new: bool = False) -> Live:
        """As Kube."""
        if not dry_run:
            await self._write(f"apply {manifest['kind']} {manifest['metadata']['name']}")
        return await self._kube.apply(manifest, manager=manager, dry_run=dry_run, new=new)

    async def apply_status(self, manifest: Manifest, *, manager: str = STATUS_MANAGER) -> Live:
        """As Kube."""
        await self._write(f"status {manifest['kind']} {manifest['metadata']['name']}")
        self.statuses.append(manifest)
        return await self._kube.apply_status(manifest, manager=manager)

    async def create(self, manifest: Manifest) -> Live:
        """As Kube."""
        await self._write(f"create {manifest['kind']} {manifest['metadata']['name']}")
        return await self._kube.create(manifest)

    async def patch(self, kind: Kind, namespace: str, name: str, operations: Sequence[dict[str, Any]], *, dry_run: bool = False) -> Live:
        """As Kube."""
        if not dry_run:
            await self._write(f"patch {kind.kind} {name}")
        return await self._kube.patch(kind, namespace, name, operations, dry_run=dry_run)

    async def delete(self, kind: Kind, namespace: str, name: str, *, uid: str = "", propagation: Propagation = "Background") -> None:
        """As Kube."""
        await self._write(f"delete {kind.kind} {name}")
        await self._kube.delete(kind, namespace, name, uid=uid, propagation=propagation)


class RunningOperator:
    """One process of the operator, as far as a thread can be one."""

    def __init__(self, process: Process, health: GivenHealth, kube: WatchedKube) -> None:
        """Start it; `ready` waits until it watches."""
        self.process = process
        self.health = health
        self.kube = kube
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._watching = asyncio.Event()
        self._started = threading.Event()
        self._killed = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._main, name="operator", daemon=True)
        self._thread.start()

    @property
    def webhook_url(self) -> str:
        """Where git-sync would call."""
        return f"http://127.0.0.1:{self.process.webhook_port}"

    async def ready(self) -> None:
        """Return when the operator watches; raise what ended it before."""
        assert await asyncio.to_thread(self._started.wait, START_TIMEOUT), "the operator did not start in time"
        self._raise()

    async def stop(self) -> None:
        """End it as SIGTERM does."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            await asyncio.to_thread(self._thread.join, STOP_TIMEOUT)
            assert not self._thread.is_alive(), "the operator did not stop in time"
        self._raise()

    def kill(self) -> None:
        """End it as SIGKILL does: no task of it takes another step."""
        self._killed = True
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(STOP_TIMEOUT)

    def _main(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.set_exception_handler(lambda *_: None)
        main = self._loop.create_task(self.process.run(stop=self._stop, watching=self._watching))
        main.add_done_callback(lambda _: self._loop.stop())
        starting = self._loop.create_task(self._watching.wait())
        starting.add_done_callback(lambda _: self._started.set())
        self._loop.run_forever()
        if self._killed:
            # Never collected: Python would run their clean-up, which a killed process does not.
            for leftover in (self._loop, *asyncio.all_tasks(self._loop)):
                ctypes.pythonapi.Py_IncRef(ctypes.py_object(leftover))
            return
        starting.cancel()
        self._error = main.exception()
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()
        self._started.set()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error


@asynccontextmanager
async def running_operator(
    kubeconfig: Path | str,
    *namespaces: str,
    duties: Mapping[Kind, Duties] | None = None,
    health: GivenHealth | None = None,
    settings: Settings = QUICK,
    hang_before_write: int | None = None,
) -> AsyncIterator[RunningOperator]:
    """An operator that serves the namespaces (none: all) for the length of the block.

    `duties` None: the real ones. `health` None: everything is healthy.
    """
    kube = WatchedKube(hang_before_write)
    given = health or GivenHealth()
    process = Process(
        replace(settings, namespaces=tuple(namespaces)), str(kubeconfig), duties=duties, health=given, around_kube=kube.around
    )
    operator = RunningOperator(process, given, kube)
    try:
        await operator.ready()
        yield operator
    finally:
        await operator.stop()
