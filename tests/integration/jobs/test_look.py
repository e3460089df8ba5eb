"""Looking at servers and databases of others, on a real PostgreSQL server, over TLS too. `postgres` is the Server of conftest.py."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from airflow_operator.jobs import look
from tests.integration.jobs.conftest import _unprivileged

pytestmark = pytest.mark.integration

Look = Callable[..., dict[str, Any]]


@pytest.fixture
def ask(postgres: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Look:
    """Run one Job in this process and give its result; without a user nobody logs in."""

    def job(action: str, user: str = "", password: str = "", **changes: str) -> dict[str, Any]:
        env = {"ACTION": action, "PGHOST": "127.0.0.1", "PGPORT": str(postgres.port), "DATABASE": "postgres", "CONNECT_TIMEOUT": "30"}
        env |= {"TERMINATION_LOG": str(tmp_path / "termination"), **changes}
        for name in ("PGSSLMODE", "PGSSLROOTCERT", "USER_FILE", "PASSWORD_FILE"):
            monkeypatch.delenv(name, raising=False)
        if user:
            (tmp_path / "user").write_text(user)
            (tmp_path / "password").write_text(password)
            env |= {"USER_FILE": str(tmp_path / "user"), "PASSWORD_FILE": str(tmp_path / "password")}
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        code = look.main()
        result: dict[str, Any] = json.loads((tmp_path / "termination").read_text())
        assert code == (1 if result["result"] == "Failed" else 0), result
        return result

    return job


@pytest.fixture(scope="module")
def authority(postgres: Any) -> Iterator[Path]:
    """A folder with ca.crt and other.crt; the server takes TLS with a certificate of the first, for localhost alone."""
    folder = Path(tempfile.mkdtemp(prefix="certificates-"))

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True, timeout=60)

    try:
        for name in ("ca", "other"):
            openssl(
                "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.crt", "-subj", f"/CN={name}"
            )
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=localhost")
        (folder / "names").write_text("subjectAltName=DNS:localhost")
        openssl(
            "x509",
            "-req",
            "-in",
            "server.csr",
            "-CA",
            "ca.crt",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
            "-extfile",
            "names",
            "-out",
            "server.crt",
        )
        folder.chmod(0o755)
        if user := _unprivileged():
            shutil.chown(folder / "server.key", user)
        with postgres.connect() as admin:
            admin.execute(psycopg.sql.SQL("ALTER SYSTEM SET ssl_cert_file = {}").format(str(folder / "server.crt")))
            admin.execute(psycopg.sql.SQL("ALTER SYSTEM SET ssl_key_file = {}").format(str(folder / "server.key")))
            admin.execute("ALTER SYSTEM SET ssl = on")
            admin.execute("SELECT pg_reload_conf()")
        yield folder
        with postgres.connect() as admin:
            admin.execute("ALTER SYSTEM RESET ssl")
            admin.execute("SELECT pg_reload_conf()")
    finally:
        shutil.rmtree(folder)


def test_a_server_answers_its_administrator(ask: Look, postgres: Any) -> None:
    version = postgres.rows("SHOW server_version")[0][0].split()[0]
    assert ask("Probe", "postgres", postgres.password) == {"result": "Answers", "serverVersion": version}


def test_a_server_answers_without_a_login(ask: Look) -> None:
    assert ask("Probe") == {"result": "Answers"}
    failed = ask("Probe", PGPORT="1", CONNECT_TIMEOUT="0.2")
    assert failed["result"] == "Failed"
    assert "127.0.0.1:1 cannot be reached: nothing answers" in failed["message"]


def test_an_administrator_who_cannot_make_databases_is_said(ask: Look, postgres: Any) -> None:
    with postgres.connect() as admin:
        admin.execute("CREATE ROLE weak LOGIN PASSWORD 'weak'")
        admin.execute("CREATE ROLE strong LOGIN CREATEDB CREATEROLE PASSWORD 'strong'")
    assert "CREATEDB and CREATEROLE" in ask("Probe", "weak", "weak")["message"]
    assert ask("Probe", "strong", "strong")["result"] == "Answers"


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"password": "wrong"}, "password authentication failed"), ({"PGSSLMODE": "require"}, "does not support SSL")],
    ids=["password", "no TLS"],
)
def test_what_no_waiting_mends_is_told_at_once(ask: Look, postgres: Any, changes: dict[str, str], words: str) -> None:
    given = {"user": "postgres", "password": postgres.password, "CONNECT_TIMEOUT": "3600", **changes}
    told = ask("Probe", **given)
    assert told["result"] == "Failed"
    assert words in told["message"]
    assert postgres.password not in told["message"]


def test_a_brought_database_is_looked_at_and_left_alone(ask: Look, postgres: Any) -> None:
    with postgres.connect() as admin:
        admin.execute("CREATE ROLE finance LOGIN PASSWORD 'finance'")
        admin.execute("CREATE DATABASE finance OWNER finance")
    oid = postgres.rows("SELECT oid FROM pg_database WHERE datname = 'finance'")[0][0]
    found = ask("Inspect", "finance", "finance\n", DATABASE="finance")
    assert (found["result"], found["empty"], found["oid"]) == ("Provisioned", True, oid)
    with postgres.connect("finance", "finance", "finance") as inside:
        inside.execute("CREATE TABLE alembic_version (version_num text)")
        inside.execute("INSERT INTO alembic_version VALUES ('1')")
    assert ask("Inspect", "finance", "finance", DATABASE="finance")["empty"] is False
    assert postgres.rows("SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = 'finance'") == [(None,)]


def test_a_role_that_may_make_no_tables_is_said(ask: Look, postgres: Any) -> None:
    with postgres.connect() as admin:
        admin.execute("CREATE ROLE reader LOGIN PASSWORD 'reader'")
        admin.execute("CREATE DATABASE reading")
    with postgres.connect("reading") as admin:
        admin.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    assert "may not make tables" in ask("Inspect", "reader", "reader", DATABASE="reading")["message"]


def test_certificates_are_checked_as_asked(ask: Look, postgres: Any, authority: Path) -> None:
    right, wrong = {"PGSSLROOTCERT": str(authority / "ca.crt")}, {"PGSSLROOTCERT": str(authority / "other.crt")}
    login = {"user": "postgres", "password": postgres.password, "CONNECT_TIMEOUT": "3600"}
    assert ask("Probe", **login, PGSSLMODE="require")["result"] == "Answers"
    assert ask("Probe", **login, **right, PGSSLMODE="verify-full", PGHOST="localhost")["result"] == "Answers"
    assert ask("Probe", **right, PGSSLMODE="verify-full", PGHOST="localhost")["result"] == "Answers"
    assert "certificate verify failed" in ask("Probe", **login, **wrong, PGSSLMODE="verify-ca")["message"]
    assert ask("Probe", **login, **right, PGSSLMODE="verify-ca")["result"] == "Answers"
    assert "does not match host name" in ask("Probe", **login, **right, PGSSLMODE="verify-full")["message"]
    assert ask("Probe", **wrong, PGSSLMODE="verify-full", PGHOST="localhost", CONNECT_TIMEOUT="0.2")["result"] == "Failed"
