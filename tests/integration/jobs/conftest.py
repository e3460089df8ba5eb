"""A real PostgreSQL server for the tests of Jobs, from the machine's own binaries, and a database for an Airflow."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, LiteralString, NamedTuple

import psycopg
import pytest

from devcluster import packages
from devcluster.locks import exclusive
from tests.integration.jobs.airflow_image import PASSWORD, Image, url

ADMIN_PASSWORD = "the administrator's $ecret"


class Server(NamedTuple):
    """A running server; every statement that it gets is in its log."""

    port: int
    log: Path
    password: str = ADMIN_PASSWORD

    def connect(self, database: str = "postgres", user: str = "postgres", password: str = ADMIN_PASSWORD) -> psycopg.Connection[Any]:
        """An autocommit connection over TCP, with a password."""
        return psycopg.connect(host="127.0.0.1", port=self.port, dbname=database, user=user, password=password, autocommit=True)

    def rows(self, query: LiteralString, *parameters: object, database: str = "postgres") -> list[tuple[Any, ...]]:
        """What the administrator gets for a query."""
        with self.connect(database) as connection:
            return connection.execute(query, parameters).fetchall()


def _binaries() -> Path:
    """Where initdb and postgres are: POSTGRES_BIN, Debian's newest, or the PATH; installed where they are missing."""
    with exclusive("packages"):
        if not (found := _installed_binaries()):
            packages.install(["postgresql"], "The test of provisioning")
            found = _installed_binaries()
    assert found, "Debian's postgresql brings initdb"
    return found


def _installed_binaries() -> Path | None:
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parts[-2]), reverse=True)
    on_path = shutil.which("postgres")
    candidates = [os.environ.get("POSTGRES_BIN"), *map(str, debian), on_path and os.path.dirname(on_path)]
    for directory in candidates:
        if directory and Path(directory, "initdb").exists():
            return Path(directory)
    return None


def _unprivileged() -> str | None:
    """Who runs the server: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A PostgreSQL server of its own, gone after the tests."""
    binaries, user, port = _binaries(), _unprivileged(), _free_port()
    root = Path(tempfile.mkdtemp(prefix="postgres-"))
    try:
        password, data, log = root / "password", root / "data", root / "log"
        password.write_text(ADMIN_PASSWORD)
        if user:
            shutil.chown(root, user)
            shutil.chown(password, user)

        def run(program: str, *arguments: str) -> None:
            command = [str(binaries / program), *arguments]
            done = subprocess.run(command, user=user, cwd=root, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, timeout=120)
            assert done.returncode == 0, f"{program} failed: {done.stderr} {log.read_text() if log.exists() else ''}"

        run("initdb", "-D", str(data), "-U", "postgres", "--auth=scram-sha-256", f"--pwfile={password}", "-E", "UTF8", "--no-locale")
        options = f"-p {port} -c listen_addresses=127.0.0.1 -k {root} -c fsync=off -c log_statement=all"
        run("pg_ctl", "-w", "-D", str(data), "-l", str(log), "-o", options, "start")
        try:
            yield Server(port, log)
        finally:
            run("pg_ctl", "-D", str(data), "-m", "immediate", "stop")
    finally:
        shutil.rmtree(root)


@pytest.fixture
def image(request: pytest.FixtureRequest, postgres: Server, tmp_path: Path) -> Image:
    """An Airflow (3.3.2, or what the test's parameter says) with an empty database of its own."""
    made = Image(getattr(request, "param", "3.3.2"), tmp_path, url(postgres))
    (tmp_path / "admin").mkdir()
    (tmp_path / "admin" / "username").write_text("admin")
    (tmp_path / "admin" / "password").write_text(PASSWORD)
    with postgres.connect() as admin:
        admin.execute("DROP DATABASE IF EXISTS airflow WITH (FORCE)")
        admin.execute("DROP ROLE IF EXISTS airflow")
        admin.execute("CREATE ROLE airflow LOGIN PASSWORD 'p@ss/word'")
        admin.execute("CREATE DATABASE airflow OWNER airflow TEMPLATE template0 ENCODING 'UTF8'")
    return made
