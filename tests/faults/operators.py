"""Operators as processes of their own, started and killed."""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).parents[2]


class Zygote:
    """Where operators are forked from."""

    async def __aenter__(self) -> Self:
        env = {key: value for key, value in os.environ.items() if not key.startswith(("AIRFLOW_OPERATOR_", "POD_", "KUBERNETES_"))}
        env["PYTHONPATH"] = os.pathsep.join((str(ROOT), str(ROOT / "operator")))
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.faults.zygote", stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env, cwd=ROOT
        )
        self._turn = asyncio.Lock()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()

    async def fork(self, **order: Any) -> int:
        """The process id of a new operator."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        async with self._turn:
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            return int(await self._process.stdout.readline())


class OperatorProcess:
    """The operator of one namespace: one process at a time."""

    def __init__(self, zygote: Zygote, kubeconfig: Path, namespace: str, log: Path, settings: dict[str, Any] | None = None) -> None:
        """All processes write one log."""
        self._zygote = zygote
        self._order = {"kubeconfig": str(kubeconfig), "namespace": namespace, "log": str(log), "settings": settings or {}}
        self.log_file = log
        self._process: int | None = None
        self.starts = 0

    @property
    def log(self) -> str:
        """Everything that it said."""
        return self.log_file.read_text() if self.log_file.exists() else ""

    @property
    def alive(self) -> bool:
        """Whether it runs; one that ended by itself does not."""
        return self._process is not None and not _ended(self._process)

    async def start(self) -> None:
        """Begin, unless it runs."""
        if not self.alive:
            self._process = os.pidfd_open(await self._zygote.fork(**self._order))
            self.starts += 1

    async def kill(self) -> None:
        """End it by SIGKILL; returns when it is dead."""
        process, self._process = self._process, None
        if process is None:
            return
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(process, signal.SIGKILL)
        dead = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(process, dead.set)
        await dead.wait()
        loop.remove_reader(process)
        os.close(process)

    async def restart(self) -> None:
        """Kill it, and have another one at once, as the kubelet does."""
        await self.kill()
        await self.start()


def _ended(process: int) -> bool:
    return bool(select.select([process], [], [], 0)[0])
