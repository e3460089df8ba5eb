"""Probe of a component without an HTTP endpoint: is its own heartbeat in the database fresh?

Usage: heartbeat.py JOB_TYPE [--starting]. Asks the database directly: starting Airflow's own command takes 2 to 4 s of CPU.
Exit 1 only for a heartbeat that is known to be stale, so that an outage of the database restarts nothing; with --starting also
while there is none yet.
"""

from __future__ import annotations

import importlib
import os
import socket
import sys

STALE_AFTER = 120
"""Seconds; the components beat every 5."""


def main() -> int:
    """Ask once."""
    job_type, starting = sys.argv[1], "--starting" in sys.argv[2:]
    try:
        age = heartbeat_age(job_type)
    except Exception as error:
        print(f"the database cannot be asked: {type(error).__name__}")
        return 1 if starting else 0
    if age is None:
        print("no heartbeat yet")
        return 1 if starting else 0
    print(f"last heartbeat {age:.0f} s ago")
    return 0 if age < STALE_AFTER else 1


def heartbeat_age(job_type: str) -> float | None:
    """Seconds since the newest job of that type on this host beat; None where there never was one."""
    driver = importlib.import_module("psycopg2")
    url = os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].replace("+psycopg2", "", 1)
    connection = driver.connect(url, connect_timeout=3)
    try:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT extract(epoch FROM now() - max(latest_heartbeat)) FROM job WHERE job_type = %s AND hostname IN %s",
                (job_type, tuple(own_names())),
            )
            (age,) = cursor.fetchone()
            return None if age is None else float(age)
    finally:
        connection.close()


def own_names() -> set[str]:
    """The names that Airflow may have written for this host."""
    names = {socket.gethostname(), socket.getfqdn()}
    try:
        names.add(socket.gethostbyname(socket.gethostname()))
    except OSError:
        pass
    return names


if __name__ == "__main__":
    sys.exit(main())
