"""Many tasks side by side, and a last one that proves that each of them ran exactly once.

Each task adds a line to one file per run, in a directory that all task pods share: the volume of the task logs by default.
"""

import os
import socket
import time
from collections import Counter
from pathlib import Path

from airflow.sdk import dag, task


def record_of(params: dict, run_id: str) -> Path:
    """The file of one run."""
    return Path(params["directory"]) / f"{run_id}.txt".replace(":", "_")


@dag(schedule=None, tags=["example"], params={"tasks": 30, "seconds": 2, "directory": "/opt/airflow/logs/fan_out"}, max_active_tasks=30)
def fan_out():
    @task
    def numbers(params: dict) -> list[int]:
        return list(range(params["tasks"]))

    @task(retries=0)
    def work(number: int, params: dict, run_id: str) -> int:
        file = record_of(params, run_id)
        file.parent.mkdir(parents=True, exist_ok=True)
        line = f"{number} on {socket.gethostname()}\n"
        # One write in append mode: lines of tasks that write at the same moment do not mix.
        descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o664)
        os.write(descriptor, line.encode())
        os.close(descriptor)
        print(f"Task {line.strip()}.")
        time.sleep(params["seconds"])
        return number

    @task
    def count(done: list[int], params: dict, run_id: str) -> dict:
        ran = Counter(int(line.split()[0]) for line in record_of(params, run_id).read_text().splitlines())
        result = {
            "tasks": len(list(done)),
            "missing": sorted(set(range(params["tasks"])) - set(ran)),
            "repeated": sorted(number for number, times in ran.items() if times > 1),
        }
        if result["missing"] or result["repeated"]:
            raise RuntimeError(f"Not every task ran exactly once: {result}")
        return result

    count(work.expand(number=numbers()))


fan_out()
