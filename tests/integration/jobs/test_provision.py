"""Provisioning on a real PostgreSQL server. `postgres` is the Server of conftest.py."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest

from airflow_operator.jobs import provision

pytestmark = pytest.mark.integration

UID, OTHER_UID = "0f5b-1", "0f5b-2"
PASSWORD = "tenant's pässword"

Result = dict[str, Any]
Run = Callable[..., Result]


def environment(folder: Path, postgres: Any, name: str, **changes: str) -> dict[str, str]:
    """The environment of a provisioning Job; upper-case changes replace variables, lower-case ones the parts behind them."""
    files = {
        "admin": changes.pop("admin_password", postgres.password),
        "role": changes.pop("password", PASSWORD),
        "key-id": changes.pop("key_id", "k1"),
    }
    for file, text in files.items():
        (folder / file).write_text(text)
    owner = {"namespaceUID": changes.pop("uid", UID), "namespace": "team-a", "cluster": changes.pop("cluster", "prod")}
    return {
        "PGHOST": "127.0.0.1",
        "PGPORT": str(postgres.port),
        "ADMIN_USER": "postgres",
        "ADMIN_PASSWORD_FILE": str(folder / "admin"),
        "DATABASE": name,
        "ROLE": name,
        "ROLE_PASSWORD_FILE": str(folder / "role"),
        "OWNER": json.dumps(owner),
        "KEY_ID_FILE": str(folder / "key-id"),
        "ACTION": "Provision",
        "CONNECT_TIMEOUT": "30",
        "ADOPT": "",
        "CLOSE_TO_PUBLIC": "",
        "TERMINATION_LOG": str(folder / "termination"),
        **changes,
    }


@pytest.fixture
def run(postgres: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run one Job in this process and give its result; the exit code must fit it."""

    def job(name: str, **changes: str) -> Result:
        for variable, text in environment(tmp_path, postgres, name, **changes).items():
            monkeypatch.setenv(variable, text)
        code = provision.main()
        result: Result = json.loads((tmp_path / "termination").read_text())
        assert code == (1 if result["result"] == "Failed" else 0), result
        return result

    return job


def names(postgres: Any) -> tuple[set[str], set[str]]:
    """Databases and roles of the server."""
    databases = {row[0] for row in postgres.rows("SELECT datname FROM pg_database")}
    return databases, {row[0] for row in postgres.rows("SELECT rolname FROM pg_roles")}


def test_a_cluster_gets_a_database_of_its_own(run: Run, postgres: Any) -> None:
    result = run("fresh")
    identifier = postgres.rows("SELECT system_identifier::text FROM pg_control_system()")[0][0]
    oid, encoding, owner = postgres.rows(
        "SELECT oid, pg_encoding_to_char(encoding), pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'fresh'"
    )[0]
    version = postgres.rows("SHOW server_version")[0][0].split()[0]
    assert result == {
        "result": "Provisioned",
        "created": True,
        "empty": True,
        "systemIdentifier": identifier,
        "oid": oid,
        "serverVersion": version,
    }
    assert (encoding, owner) == ("UTF8", "fresh")
    attributes = postgres.rows("SELECT rolcanlogin, rolsuper, rolcreatedb, rolcreaterole FROM pg_roles WHERE rolname = 'fresh'")
    assert attributes == [(True, False, False, False)]
    with postgres.connect("fresh", "fresh", PASSWORD) as tenant:
        tenant.execute("CREATE TABLE alembic_version (version_num text)")
        assert tenant.execute("SELECT current_schema()").fetchone() == ("public",)


def test_running_it_again_changes_nothing(run: Run) -> None:
    first, second = run("again"), run("again")
    assert second == {**first, "created": False}


def test_a_migrated_database_is_not_empty(run: Run, postgres: Any) -> None:
    run("migrated")
    with postgres.connect("migrated", "migrated", PASSWORD) as tenant:
        tenant.execute("CREATE TABLE alembic_version (version_num text)")
        assert run("migrated")["empty"] is True
        tenant.execute("INSERT INTO alembic_version VALUES ('d2f4e1b3c5a7')")
    assert run("migrated")["empty"] is False


def test_the_same_name_from_another_namespace_or_cluster_is_a_conflict(run: Run, postgres: Any) -> None:
    run("taken")
    for stranger in ({"uid": OTHER_UID}, {"cluster": "stage"}):
        result = run("taken", password="intruder", **stranger)
        assert result["result"] == "OwnershipConflict"
        assert "team-a/prod" in result["message"]
        assert run("taken", ACTION="Deprovision", **stranger)["result"] == "OwnershipConflict"
    postgres.connect("taken", "taken", PASSWORD).close()
    with pytest.raises(psycopg.OperationalError):
        postgres.connect("taken", "taken", "intruder")


def test_databases_and_roles_of_others_are_left_alone(run: Run, postgres: Any) -> None:
    with postgres.connect() as admin:
        admin.execute("CREATE DATABASE accounting")
        admin.execute("CREATE ROLE auditor LOGIN PASSWORD 'theirs'")
    for name in ("accounting", "auditor", "postgres"):
        assert run(name)["result"] == "OwnershipConflict"
        assert run(name, ACTION="Deprovision")["result"] == "OwnershipConflict"
    databases, roles = names(postgres)
    assert "accounting" in databases
    assert "accounting" not in roles
    postgres.connect("postgres", "auditor", "theirs").close()


def test_a_foreign_database_is_not_taken_over_through_a_role_of_ours(run: Run, postgres: Any) -> None:
    run("half")
    with postgres.connect() as admin:
        admin.execute("DROP DATABASE half")
        admin.execute("CREATE DATABASE half")
    assert run("half")["result"] == "OwnershipConflict"
    assert run("half", ACTION="Deprovision")["result"] == "OwnershipConflict"
    assert "half" in names(postgres)[0]


def test_other_keys_than_the_database_was_made_with_change_nothing(run: Run, postgres: Any) -> None:
    run("keyed", key_id="k1")
    result = run("keyed", key_id="k2", password="newer")
    assert result["result"] == "KeyMismatch"
    postgres.connect("keyed", "keyed", PASSWORD).close()
    assert run("keyed", key_id="k1")["result"] == "Provisioned"


def test_a_database_without_a_key_id_is_a_mismatch(run: Run, postgres: Any) -> None:
    run("unkeyed")
    record = json.dumps({"namespaceUID": UID, "namespace": "team-a", "cluster": "prod"})
    with postgres.connect() as admin:
        admin.execute(psycopg.sql.SQL("COMMENT ON DATABASE unkeyed IS {}").format(record))
    assert run("unkeyed")["result"] == "KeyMismatch"


def test_a_database_dropped_by_hand_may_come_back_with_other_keys(run: Run, postgres: Any) -> None:
    run("dropped", key_id="k1")
    with postgres.connect() as admin:
        admin.execute("DROP DATABASE dropped")
    result = run("dropped", key_id="k2")
    assert (result["result"], result["created"]) == ("Provisioned", True)
    assert run("dropped", key_id="k2")["created"] is False


def test_tenants_cannot_reach_each_others_databases(run: Run, postgres: Any) -> None:
    run("tenant_a")
    run("tenant_b", uid=OTHER_UID)
    for database, role in (("tenant_a", "tenant_b"), ("tenant_b", "tenant_a")):
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            postgres.connect(database, role, PASSWORD)


def test_a_namespace_that_was_made_again_is_a_conflict_until_the_bases_owner_approves(run: Run, postgres: Any) -> None:
    run("inherited")
    refused = run("inherited", uid=OTHER_UID, password="newer")
    assert (refused["result"], refused["left"]) == ("OwnershipConflict", True)
    assert run("inherited", cluster="stage", ADOPT="true")["result"] == "OwnershipConflict", "another cluster is no heir"
    assert run("inherited", cluster="stage")["left"] is False
    assert run("inherited", uid=OTHER_UID, key_id="k2", ADOPT="true")["result"] == "KeyMismatch"
    postgres.connect("inherited", "inherited", PASSWORD).close()
    adopted = run("inherited", uid=OTHER_UID, password="newer", ADOPT="true")
    assert (adopted["result"], adopted["created"]) == ("Provisioned", False)
    postgres.connect("inherited", "inherited", "newer").close()
    # It is the new one's from now on, without any approval, and the earlier one's no more.
    assert run("inherited", uid=OTHER_UID)["result"] == "Provisioned"
    assert run("inherited", uid=UID)["result"] == "OwnershipConflict"
    assert run("inherited", uid=OTHER_UID, ACTION="Deprovision") == {"result": "Deprovisioned"}


def test_the_servers_own_databases_are_closed_to_tenants_where_nobody_else_uses_them(run: Run, postgres: Any) -> None:
    own = ("postgres", "template1")
    run("curious")
    for database in own:
        postgres.connect(database, "curious", PASSWORD).close()
    try:
        assert run("curious", CLOSE_TO_PUBLIC=",".join(own))["result"] == "Provisioned"
        for database in own:
            with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
                postgres.connect(database, "curious", PASSWORD)
        assert run("curious", ACTION="Deprovision", CLOSE_TO_PUBLIC=",".join(own)) == {"result": "Deprovisioned"}
    finally:
        with postgres.connect() as admin:
            admin.execute("GRANT CONNECT, TEMPORARY ON DATABASE postgres TO PUBLIC")
            admin.execute("GRANT CONNECT ON DATABASE template1 TO PUBLIC")


def test_nobody_else_may_use_the_schema(run: Run, postgres: Any) -> None:
    run("private")
    with postgres.connect() as admin:
        admin.execute("CREATE ROLE guest LOGIN PASSWORD 'guest'")
        admin.execute("GRANT CONNECT ON DATABASE private TO guest")
    with postgres.connect("private", "private", PASSWORD) as tenant:
        tenant.execute("CREATE TABLE dag (id int)")
        tenant.execute("GRANT SELECT ON dag TO guest")
    with (
        postgres.connect("private", "guest", "guest") as guest,
        pytest.raises(psycopg.errors.InsufficientPrivilege, match="schema public"),
    ):
        guest.execute("SELECT * FROM public.dag")


@pytest.mark.parametrize(
    "name",
    ['quo"te', "apo'strophe; DROP DATABASE postgres; --", "{} {0} %s %(x)s", "Ünïcode-名前", "a b\tc\\", "x" * 63, "ü" * 31 + "x"],
)
def test_any_name_is_only_a_name(run: Run, postgres: Any, name: str) -> None:
    result = run(name)
    assert (result["result"], result["created"]) == ("Provisioned", True)
    postgres.connect(name, name, PASSWORD).close()
    assert run(name)["created"] is False
    assert run(name, ACTION="Deprovision") == {"result": "Deprovisioned"}
    databases, roles = names(postgres)
    assert name not in databases | roles
    assert "postgres" in databases


@pytest.mark.parametrize("name", ["", "x" * 64, "ü" * 32])
def test_a_name_that_postgresql_would_cut_is_refused(run: Run, name: str) -> None:
    result = run(name)
    assert result["result"] == "Failed"
    assert "63 bytes" in result["message"]


def test_a_changed_password_is_set(run: Run, postgres: Any) -> None:
    run("rotated")
    assert run("rotated", password="second\n")["result"] == "Provisioned"
    postgres.connect("rotated", "rotated", "second").close()
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        postgres.connect("rotated", "rotated", PASSWORD)


def test_passwords_are_in_no_log(run: Run, postgres: Any, capsys: pytest.CaptureFixture[str]) -> None:
    run("silent", password="do-not-log-me")
    run("silent", password="do-not-log-me")
    log = postgres.log.read_text()
    assert 'CREATE ROLE "silent"' in log
    assert "do-not-log-me" not in log
    output = capsys.readouterr()
    assert "do-not-log-me" not in output.out + output.err


def test_what_an_interrupted_run_left_is_finished(run: Run, postgres: Any) -> None:
    run("interrupted")
    with postgres.connect() as admin:
        admin.execute("COMMENT ON DATABASE interrupted IS NULL")
        admin.execute("ALTER DATABASE interrupted ALLOW_CONNECTIONS false")
    assert run("interrupted", key_id="k2")["result"] == "KeyMismatch"
    result = run("interrupted")
    assert (result["result"], result["created"]) == ("Provisioned", False)
    postgres.connect("interrupted", "interrupted", PASSWORD).close()


def test_an_administrator_who_is_no_superuser_is_enough(run: Run, postgres: Any) -> None:
    with postgres.connect() as admin:
        admin.execute("CREATE ROLE manager LOGIN CREATEDB CREATEROLE PASSWORD 'manager'")
    manager = {"ADMIN_USER": "manager", "admin_password": "manager"}
    assert run("managed", **manager)["created"] is True
    assert run("managed", **manager)["created"] is False
    with postgres.connect("managed", "managed", PASSWORD) as tenant:
        tenant.execute("CREATE TABLE dag (id int)")
    assert run("managed", ACTION="Deprovision", **manager) == {"result": "Deprovisioned"}


def test_deprovisioning_drops_a_database_in_use(run: Run, postgres: Any) -> None:
    run("leaving")
    with postgres.connect("postgres") as admin:
        admin.execute("GRANT CREATE ON DATABASE postgres TO leaving")
    with postgres.connect("postgres", "leaving", PASSWORD) as tenant:
        tenant.execute("CREATE SCHEMA left_behind")
    session = postgres.connect("leaving", "leaving", PASSWORD)
    assert run("leaving", ACTION="Deprovision") == {"result": "Deprovisioned"}
    with pytest.raises(psycopg.OperationalError):
        session.execute("SELECT 1")
    databases, roles = names(postgres)
    assert "leaving" not in databases | roles
    assert run("leaving", ACTION="Deprovision") == {"result": "Deprovisioned"}


def test_two_runs_at_once_make_one_database(postgres: Any, tmp_path: Path) -> None:
    def job(number: int) -> Result:
        folder = tmp_path / str(number)
        folder.mkdir()
        env = {**os.environ, **environment(folder, postgres, "raced"), "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(
            [sys.executable, "-m", "airflow_operator.jobs.provision"], env=env, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        result: Result = json.loads((folder / "termination").read_text())
        assert done.stdout.splitlines()[-1] == (folder / "termination").read_text()
        return result

    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(job, range(3)))
    assert [result["result"] for result in results] == ["Provisioned"] * 3
    assert sorted(result["created"] for result in results) == [False, False, True]


def test_a_wrong_administrator_password_is_told_at_once(run: Run) -> None:
    result = run("nobody", admin_password="wrong", CONNECT_TIMEOUT="3600")
    assert result["result"] == "Failed"
    assert "password authentication failed" in result["message"]


def test_a_server_that_does_not_answer_is_told_in_the_end(run: Run) -> None:
    result = run("nowhere", PGPORT="1", CONNECT_TIMEOUT="0.3")
    assert result["result"] == "Failed"
    assert "Cannot connect to the database server" in result["message"]
    assert PASSWORD not in result["message"]
