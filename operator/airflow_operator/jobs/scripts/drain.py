"""Before a scheduler that runs tasks is told to end: keep its heartbeat fresh while it waits for them.

A scheduler that ends waits for its tasks but beats no more. After 30 s without a heartbeat another scheduler takes the running tasks
for orphans and starts them a second time (`adopt_or_reset_orphaned_tasks`, Airflow 2.10 to 3.3). So a process of its own beats for it,
until the container ends and the kernel ends it too.
Returns at once: Kubernetes sends SIGTERM only after this command.
"""

from __future__ import annotations

import importlib
import os
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_operator.jobs.scripts import heartbeat
else:  # beside this file, in the Airflow image
    import heartbeat

PERIOD = 5.0
"""Seconds between two beats, as in Airflow."""


def main() -> int:
    """Leave a child behind that beats."""
    if os.fork():
        return 0
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    while True:
        try:
            beat()
        except Exception:
            pass  # The database may be back at the next beat.
        time.sleep(PERIOD)


def beat() -> None:
    """Write the time into the newest job of a scheduler on this host, as long as it has not ended."""
    url = os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].replace("+psycopg2", "", 1)
    connection = importlib.import_module("psycopg2").connect(url, connect_timeout=3)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(
                "UPDATE job SET latest_heartbeat = now() WHERE state = 'running' AND id ="
                " (SELECT max(id) FROM job WHERE job_type = 'SchedulerJob' AND hostname IN %s)",
                (tuple(heartbeat.own_names()),),
            )
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main())
