"""Looks at a server or a database that others made, and changes nothing: `python -m airflow_operator.jobs.look`.

Probe asks a server whether it answers; where nobody gave an administrator, without logging in. Inspect asks a database what it is.
Results: Answers, Provisioned (in the words of `provision`), Unsupported.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from psycopg import conninfo, pq

from airflow_operator.jobs import server, termination
from airflow_operator.jobs.server import Address, Refused, read_secret

Env = Mapping[str, str]


def probe(env: Env) -> dict[str, Any]:
    """Whether the server answers, and whether its administrator can make databases."""
    if "USER_FILE" not in env:
        _ping(env)
        return {"result": "Answers"}
    with server.connect(_address(env), env["DATABASE"], _wait(env)) as admin:
        server.require_release(admin)
        rights = "SELECT rolsuper OR (rolcreatedb AND rolcreaterole) FROM pg_roles WHERE rolname = current_user"
        if not server.value(admin, rights):
            raise Refused("The administrator must have the attributes CREATEDB and CREATEROLE.")
        return {"result": "Answers", "serverVersion": server.release(admin)}


def inspect(env: Env) -> dict[str, Any]:
    """What the database is, and whether its role can make Airflow's tables there."""
    with server.connect(_address(env), env["DATABASE"], _wait(env)) as inside:
        server.require_release(inside)
        if not server.value(inside, "SELECT coalesce(has_schema_privilege(current_schema(), 'CREATE'), false)"):
            raise Refused("The role may not make tables in the database: GRANT CREATE ON SCHEMA public, or make it the owner.")
        return {
            "result": "Provisioned",
            "created": False,
            "empty": server.is_empty(inside),
            "systemIdentifier": server.system_identifier(inside),
            "oid": server.value(inside, "SELECT oid FROM pg_database WHERE datname = current_database()"),
            "serverVersion": server.release(inside),
        }


def _ping(env: Env) -> None:
    """Libpq asks without a user; TLS by its PGSSL* variables."""
    target = conninfo.make_conninfo(host=env["PGHOST"], port=env["PGPORT"], dbname=env["DATABASE"], connect_timeout=5)
    deadline = time.monotonic() + _wait(env)
    while (answer := pq.PGconn.ping(target.encode())) != pq.Ping.OK:
        if time.monotonic() > deadline:
            said = "it accepts no connections" if answer == pq.Ping.REJECT else "nothing answers, or its certificate does not fit"
            raise Refused(f"The database server {env['PGHOST']}:{env['PGPORT']} cannot be reached: {said}.")
        time.sleep(0.5)


def _address(env: Env) -> Address:
    return Address(env["PGHOST"], int(env["PGPORT"]), read_secret(env["USER_FILE"]), read_secret(env["PASSWORD_FILE"]))


def _wait(env: Env) -> float:
    return float(env.get("CONNECT_TIMEOUT", "60"))


ACTIONS: Mapping[str, Callable[[Env], dict[str, Any]]] = {"Probe": probe, "Inspect": inspect}


def main() -> int:
    """Look at what the environment names, publish the answer."""
    return termination.answer(lambda: ACTIONS[os.environ["ACTION"]](os.environ))


if __name__ == "__main__":
    sys.exit(main())
