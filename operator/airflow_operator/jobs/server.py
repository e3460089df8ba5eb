"""A PostgreSQL server as its administrator uses it: a connection that waits for it, and questions to its catalogue.

Needs no superuser: CREATEDB and CREATEROLE are enough, as managed services grant them.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, LiteralString, NamedTuple

import psycopg
from psycopg import sql

OLDEST = 130000
"""PostgreSQL 13: the first with DROP DATABASE ... WITH (FORCE), and older than any release still maintained."""

FINAL = ("authentication failed", "certificate verify failed", "does not match host name", "does not support SSL", "no pg_hba.conf entry")
"""Words of a failure that no waiting mends."""

Connection = psycopg.Connection[tuple[Any, ...]]


class Refused(Exception):
    """A failure told by its sentence alone."""


class Answer(Exception):
    """The result that ends a request before it changed anything."""

    def __init__(self, result: str, message: str, **more: Any) -> None:
        """Say it in the words of the contract (`result`) and in a sentence for a person."""
        super().__init__(message)
        self.result = {"result": result, "message": message, **more}


class Address(NamedTuple):
    """Where the server is and who its administrator is."""

    host: str
    port: int
    user: str
    password: str


def connect(address: Address, database: str, wait: float) -> Connection:
    """An autocommit connection; tries for `wait` seconds while the server does not answer. TLS by libpq's PGSSL* variables."""
    deadline = time.monotonic() + wait
    waiting = False
    while True:
        try:
            return psycopg.connect(
                host=address.host,
                port=address.port,
                user=address.user,
                password=address.password,
                dbname=database,
                autocommit=True,
                connect_timeout=5,
                application_name="airflow-operator",
            )
        except psycopg.OperationalError as error:
            if any(words in str(error) for words in FINAL) or time.monotonic() > deadline:
                raise Refused(f"Cannot connect to the database server: {str(error).strip()}") from error
            if not waiting:
                print(f"Waiting for the database server: {str(error).strip()}", flush=True)
                waiting = True
            time.sleep(0.2)


def execute(connection: Connection, statement: LiteralString, *identifiers: str, **literals: str) -> None:
    """Run a statement that cannot take parameters: `{}` become quoted identifiers, `{name}` quoted literals."""
    values = {name: sql.Literal(value) for name, value in literals.items()}
    connection.execute(sql.SQL(statement).format(*map(sql.Identifier, identifiers), **values))


def value(connection: Connection, query: LiteralString, *parameters: object) -> Any:
    """The first column of the first row, or None without a row."""
    row = connection.execute(query, parameters).fetchone()
    return row[0] if row else None


def release(connection: Connection) -> str:
    """The server's version as people write it, such as 17.5."""
    return str(value(connection, "SHOW server_version")).split()[0]


def system_identifier(connection: Connection) -> str:
    """What tells this server's data from any other's; empty where the server does not let us ask."""
    try:
        return str(value(connection, "SELECT system_identifier FROM pg_control_system()"))
    except psycopg.errors.InsufficientPrivilege:
        return ""


def record_of_database(connection: Connection, name: str) -> dict[str, Any] | None:
    """The JSON object in a database's comment; empty if there is none; None if there is no such database."""
    query = "SELECT coalesce(shobj_description(oid, 'pg_database'), '') FROM pg_database WHERE datname = %s"
    return _record(value(connection, query, name))


def record_of_role(connection: Connection, name: str) -> dict[str, Any] | None:
    """The JSON object in a role's comment; empty if there is none; None if there is no such role."""
    query = "SELECT coalesce(shobj_description(oid, 'pg_authid'), '') FROM pg_roles WHERE rolname = %s"
    return _record(value(connection, query, name))


def owner_of_database(connection: Connection, name: str) -> str:
    """The role that a database belongs to; empty if there is no such database."""
    return value(connection, "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = %s", name) or ""


def _record(comment: str | None) -> dict[str, Any] | None:
    if comment is None:
        return None
    try:
        record = json.loads(comment)
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}


def as_comment(record: Mapping[str, Any]) -> str:
    """A record as it is kept in a comment."""
    return json.dumps(record, sort_keys=True)


def become_member(connection: Connection, role: str) -> None:
    """Let the administrator act for the role, which owning a database on its behalf takes unless one is superuser.

    Granted whatever is granted already: from PostgreSQL 16 on a membership may come without the right to act.
    """
    if not value(connection, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"):
        execute(connection, "GRANT {} TO CURRENT_USER", role)


def require_release(connection: Connection) -> None:
    """Raises the Answer Unsupported for a server that is too old."""
    if connection.info.server_version < OLDEST:
        raise Answer("Unsupported", f"PostgreSQL 13 or newer is needed; the server is {release(connection)}.")


def is_empty(inside: Connection) -> bool:
    """Whether Airflow's schema was never migrated here: no revision is recorded."""
    if value(inside, "SELECT to_regclass('alembic_version')") is None:
        return True
    return not value(inside, "SELECT count(*) FROM alembic_version")


def read_secret(file: str) -> str:
    """The content of a mounted file, without the newline that an editor leaves."""
    text = Path(file).read_text(encoding="utf-8").rstrip("\r\n")
    if not text:
        raise Refused(f"The file {file} is empty.")
    return text
