"""Makes, checks or removes the database and the role of one cluster: `python -m airflow_operator.jobs.provision`.

Runs in the base's namespace with the server's administrator; of the cluster it sees only names, a password and the id of its keys.
Who owns a database is written in its comment (and in its role's, which the tenant cannot change); only an owner's request changes anything.
Results: Provisioned, Deprovisioned, OwnershipConflict, KeyMismatch, Unsupported.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

from airflow_operator.jobs import server, termination
from airflow_operator.jobs.server import Address, Answer, Connection, Refused, execute, read_secret

LONGEST_NAME = 63
"""Bytes; PostgreSQL cuts longer identifiers silently, and two tenants could meet in one database."""


class Request(NamedTuple):
    """What the environment of the Job asks for."""

    address: Address
    maintenance: str
    database: str
    role: str
    role_password: str
    owner: dict[str, str]
    key_id: str
    wait: float
    adopt: bool = False
    """The base's owner lets the owner have what one of the same names left, of a namespace that was deleted since."""
    close: tuple[str, ...] = ()
    """Databases that only administrators have business in."""

    @property
    def record(self) -> dict[str, str]:
        """What the comments of a database and a role of this owner say."""
        return {**self.owner, "keyId": self.key_id}


def read_request(env: Mapping[str, str]) -> Request:
    """The request that the environment describes; a Refused names what is wrong with it."""
    names = {"DATABASE": env["DATABASE"], "ROLE": env["ROLE"]}
    for variable, name in names.items():
        if not name or "\0" in name or len(name.encode()) > LONGEST_NAME:
            raise Refused(f"{variable} must be 1 to {LONGEST_NAME} bytes long: {name!r}.")
    deprovision = env["ACTION"] == "Deprovision"
    return Request(
        address=Address(
            env["PGHOST"],
            int(env.get("PGPORT", "5432")),
            env.get("ADMIN_USER") or read_secret(env["ADMIN_USER_FILE"]),
            read_secret(env["ADMIN_PASSWORD_FILE"]),
        ),
        maintenance=env.get("ADMIN_DATABASE", "postgres"),
        database=names["DATABASE"],
        role=names["ROLE"],
        role_password="" if deprovision else read_secret(env["ROLE_PASSWORD_FILE"]),
        owner=json.loads(env["OWNER"]),
        key_id="" if deprovision else read_secret(env["KEY_ID_FILE"]),
        wait=float(env.get("CONNECT_TIMEOUT", "120")),
        adopt=env.get("ADOPT") == "true",
        close=tuple(name for name in env.get("CLOSE_TO_PUBLIC", "").split(",") if name),
    )


def provision(request: Request) -> dict[str, Any]:
    """Bring database and role to the asked state; running it again changes nothing but renews the password."""
    with _locked(request) as admin:
        role_known, database_known = check_owner(admin, request), _exists(admin, request.database)
        check_keys(admin, request)
        _close_to_public(admin, request)
        _make_role(admin, request, known=role_known)
        if not database_known:
            _make_database(admin, request)
        _open_to_role_only(admin, request)
        identity = {
            "systemIdentifier": server.system_identifier(admin),
            "oid": server.value(admin, "SELECT oid FROM pg_database WHERE datname = %s", request.database),
            "serverVersion": server.release(admin),
        }
    with server.connect(request.address, request.database, request.wait) as inside:
        _keep_schema_public_private(inside, request)
        empty = server.is_empty(inside)
    return {"result": "Provisioned", "created": not database_known, "empty": empty, **identity}


def deprovision(request: Request) -> dict[str, Any]:
    """Drop database and role if they are the owner's; what is gone already is fine."""
    with _locked(request) as admin:
        role_known = check_owner(admin, request)
        if role_known:
            server.become_member(admin, request.role)
        if _exists(admin, request.database):
            print(f"Dropping the database {request.database}.", flush=True)
            execute(admin, "DROP DATABASE {} WITH (FORCE)", request.database)
        if role_known:
            # Objects that the role made in the maintenance database would hold it there.
            execute(admin, "DROP OWNED BY {}", request.role)
            execute(admin, "DROP ROLE {}", request.role)
    return {"result": "Deprovisioned"}


def _locked(request: Request) -> Connection:
    """A connection to the maintenance database that keeps other runs for the same database waiting until it is closed."""
    admin = server.connect(request.address, request.maintenance, request.wait)
    server.require_release(admin)
    admin.execute("SET lock_timeout = '60s'")
    admin.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", (f"airflow-operator/{request.database}",))
    return admin


def _exists(admin: Connection, database: str) -> bool:
    return server.record_of_database(admin, database) is not None


def check_owner(admin: Connection, request: Request) -> bool:
    """Whether the role exists; raises the Answer OwnershipConflict if role or database are not the owner's.

    A database without a record is one whose making was interrupted, if it belongs to a role of the owner: the role is recorded first.
    """
    role = server.record_of_role(admin, request.role)
    _require_owner(f"The role {request.role}", role, request)
    _require_owner(f"The database {request.database}", _record_of_database(admin, request, role), request)
    return role is not None


def _require_owner(what: str, record: Mapping[str, Any] | None, request: Request) -> None:
    if record is None or _same_owner(record, request):
        return
    # Same names in a namespace that was made again: for the base's owner to decide.
    left = all(record.get(field) == request.owner[field] for field in ("namespace", "cluster"))
    if not (left and request.adopt):
        raise Answer("OwnershipConflict", f"{what} belongs to {_owner(record)}.", left=left)


def _record_of_database(admin: Connection, request: Request, role: dict[str, Any] | None) -> dict[str, Any] | None:
    """The record of the database, or of its role where the database has none yet."""
    database = server.record_of_database(admin, request.database)
    if database == {} and role and server.owner_of_database(admin, request.database) == request.role:
        return role
    return database


def _same_owner(record: Mapping[str, Any], request: Request) -> bool:
    return all(record.get(field) == request.owner[field] for field in ("namespaceUID", "cluster"))


def _owner(record: Mapping[str, Any]) -> str:
    if "cluster" not in record:
        return "somebody else: it carries no record of this operator"
    return f"the cluster {record.get('namespace')}/{record['cluster']} (namespace UID {record.get('namespaceUID')})"


def check_keys(admin: Connection, request: Request) -> None:
    """Raises the Answer KeyMismatch if an existing database was written with other keys than the cluster has now."""
    record = _record_of_database(admin, request, server.record_of_role(admin, request.role))
    if record is not None and record.get("keyId") != request.key_id:
        raise Answer("KeyMismatch", f"The database {request.database} was made with other keys than the cluster has now.")


def _make_role(admin: Connection, request: Request, *, known: bool) -> None:
    # Only a verifier travels, so the password is in no log of the server.
    verifier = admin.pgconn.encrypt_password(request.role_password.encode(), request.role.encode(), b"scram-sha-256").decode()
    with admin.transaction():
        if known:
            execute(admin, "ALTER ROLE {} LOGIN PASSWORD {verifier}", request.role, verifier=verifier)
        else:
            print(f"Creating the role {request.role}.", flush=True)
            statement = "CREATE ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD {verifier}"
            execute(admin, statement, request.role, verifier=verifier)
        # Also for a role that is left from an earlier database: its keys go with the database.
        execute(admin, "COMMENT ON ROLE {} IS {record}", request.role, record=server.as_comment(request.record))
        server.become_member(admin, request.role)


def _make_database(admin: Connection, request: Request) -> None:
    print(f"Creating the database {request.database}.", flush=True)
    # Closed at first: else every role of the server could connect until the next statement.
    statement = "CREATE DATABASE {} OWNER {} ENCODING 'UTF8' TEMPLATE template0 ALLOW_CONNECTIONS false"
    execute(admin, statement, request.database, request.role)


def _open_to_role_only(admin: Connection, request: Request) -> None:
    record = server.record_of_database(admin, request.database)
    with admin.transaction():
        execute(admin, "REVOKE CONNECT, TEMPORARY ON DATABASE {} FROM PUBLIC", request.database)
        execute(admin, "GRANT CONNECT, TEMPORARY ON DATABASE {} TO {}", request.database, request.role)
        if record != request.record:
            execute(admin, "COMMENT ON DATABASE {} IS {record}", request.database, record=server.as_comment(request.record))
        if not record:
            execute(admin, "ALTER DATABASE {} ALLOW_CONNECTIONS true", request.database)


def _close_to_public(admin: Connection, request: Request) -> None:
    """A tenant's role has no business in the server's own databases, which PostgreSQL opens to everybody."""
    for database in request.close:
        execute(admin, "REVOKE CONNECT, TEMPORARY ON DATABASE {} FROM PUBLIC", database)


def _keep_schema_public_private(inside: Connection, request: Request) -> None:
    execute(inside, "REVOKE ALL ON SCHEMA public FROM PUBLIC")
    execute(inside, "GRANT ALL ON SCHEMA public TO {}", request.role)


ACTIONS = {"Provision": provision, "Deprovision": deprovision}


def main() -> int:
    """Do what the environment asks, publish the result; 0 for a conclusive answer."""
    return termination.answer(lambda: ACTIONS[os.environ["ACTION"]](read_request(os.environ)))


if __name__ == "__main__":
    sys.exit(main())
