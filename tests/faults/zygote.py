"""A process that has imported the operator and forks one for each line that it reads: starting one costs a fork, not a second of imports.

A line is JSON: {kubeconfig, namespace, log, settings}; the answer is a line with the process id. Its operators die with it.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import json
import os
import signal
import sys
from dataclasses import replace
from typing import Any

from airflow_operator.process import Process, real_duties
from airflow_operator.reconcile.types import Health
from airflow_operator.runtime import logs
from airflow_operator.settings import Settings

SETTINGS = Settings(debounce=0.1, resync=2.0, image="operator", health_port=0, webhook_port=0)
"""What is told to every operator of the rig; a case may change some."""

_PARENT_DEATH_SIGNAL = 1

HEALTHY = Health(reachable=True, components=dict.fromkeys(("metadatabase", "scheduler", "triggerer", "dag_processor"), "healthy"))


class Healthy:
    """Stands for Airflow's health endpoint: there are no pods that could answer."""

    async def read(self, url: str) -> Health:
        """All is well."""
        return HEALTHY


def operate(order: dict[str, Any]) -> None:
    """Be one operator; never returns to the zygote's loop."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    ctypes.CDLL(None).prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL)
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for stream, target in ((0, nothing), (1, log), (2, log)):
        os.dup2(target, stream)
    settings = replace(SETTINGS, namespaces=(order["namespace"],), **order.get("settings", {}))
    logs.configure(settings.log_format, settings.log_level)
    asyncio.run(Process(settings, order["kubeconfig"], health=Healthy()).run())


def main() -> None:
    """Fork until stdin ends, which it does when whoever started this one is gone."""
    real_duties()  # imports the rest
    # What is there by now is never looked at again by the collector: forks share its memory.
    gc.collect()
    gc.freeze()
    # Nobody waits for the forks: their end is seen from outside.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                operate(json.loads(line))
                code = 0
            finally:
                sys.stderr.flush()
                # Tracebacks are printed by the hook that os._exit would pass over.
                if sys.exc_info()[0] is not None:
                    sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
                os._exit(code)
        print(pid, flush=True)


if __name__ == "__main__":
    main()
