"""check, migrate and users in real Airflows of this machine, on a real PostgreSQL server.

Slow the first time: installs every version of Airflow from PyPI into the cache (about half a minute each). Run by `pytest -m airflow`.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from airflow_operator.airflow.releases import RELEASES
from tests.integration.jobs.airflow_image import PASSWORD, SCRIPTS, Image, expect

pytestmark = [pytest.mark.airflow, pytest.mark.timeout(900)]

HEADS_2_11 = {"airflow": ["5f2621c13b39"], "fab": []}
HEADS_3_3 = {"airflow": ["d2f4e1b3c5a7"], "fab": ["02ca36b0235b"]}
HEADS = {
    "2.10.5": HEADS_2_11,
    "2.11.2": HEADS_2_11,
    "3.0.6": {"airflow": ["fe199e1abd77"], "fab": ["6709f7a774b9"]},
    "3.1.8": {"airflow": ["509b94a1042d"], "fab": ["6709f7a774b9"]},
    "3.2.2": {"airflow": ["1d6611b6ab7c"], "fab": ["02ca36b0235b"]},
    "3.3.2": HEADS_3_3,
}
EMPTY = {"airflow": [], "fab": []}


def test_every_version_is_tried() -> None:
    assert set(HEADS) == set(RELEASES)


@pytest.mark.parametrize(("image", "heads"), HEADS.items(), indirect=["image"])
def test_from_empty_to_current(image: Image, heads: dict[str, list[str]], postgres: Any) -> None:
    empty = image.run("check")
    assert (empty["result"], empty["database"], empty["image"]) == ("Empty", EMPTY, heads)
    assert image.run("migrate", **expect("Empty"))["database"] == heads
    assert image.run("check")["result"] == "Current"
    assert image.run("migrate", **expect("Empty"))["result"] == "Migrated"
    assert image.run("migrate", **expect(heads))["result"] == "Migrated"
    assert postgres.rows("SELECT pool FROM slot_pool", database="airflow") == [("default_pool",)]


def test_airflow_itself_agrees(image: Image) -> None:
    command = [str(image.python), "-m", "airflow", "db", "check-migrations", "--migration-wait-timeout=1"]
    assert subprocess.run(command, env=image.env(), capture_output=True, timeout=120).returncode != 0
    image.run("migrate", **expect("Empty"))
    assert subprocess.run(command, env=image.env(), capture_output=True, timeout=120).returncode == 0


@pytest.mark.parametrize("image", ["2.11.2"], indirect=True)
def test_upgrade_from_2_to_3(image: Image) -> None:
    image.run("migrate", **expect("Empty"))
    image.run("users")
    newer = Image("3.3.2", image.folder, image.url)
    behind = newer.run("check")
    assert (behind["result"], behind["database"]) == ("Behind", HEADS_2_11)
    assert newer.run("migrate", **expect(HEADS_2_11))["database"] == HEADS_3_3
    assert newer.run("check")["result"] == "Current"
    assert newer.run("users") == {"result": "Unchanged"}
    assert newer.login("admin", PASSWORD)
    assert image.run("check")["result"] == "Unknown"


@pytest.mark.parametrize("image", ["2.10.5"], indirect=True)
def test_from_release_to_release(image: Image) -> None:
    image.run("migrate", **expect("Empty"))
    image.run("users")
    older = image
    for version, heads in list(HEADS.items())[1:]:
        newer = Image(version, image.folder, image.url)
        known = HEADS[older.version]
        found = newer.run("check")
        assert (found["result"], found["database"]) == ("Current" if heads == known else "Behind", known)
        assert newer.run("migrate", **expect(known))["database"] == heads
        assert newer.run("check")["result"] == "Current"
        assert newer.run("users") == {"result": "Unchanged"}
        assert older.run("check")["result"] == ("Current" if heads == known else "Unknown")
        older = newer


def test_a_stale_decision_changes_nothing(image: Image) -> None:
    assert image.run("migrate", **expect(HEADS_2_11))["result"] == "Stale"
    assert image.run("check")["result"] == "Empty"


def test_an_unfinished_migration_is_not_current(image: Image, postgres: Any) -> None:
    image.run("migrate", **expect("Empty"))
    with postgres.connect("airflow") as admin:
        admin.execute("DELETE FROM slot_pool")
    assert image.run("check")["result"] == "Behind"
    image.run("migrate", **expect(HEADS_3_3))
    assert image.run("check")["result"] == "Current"
    with postgres.connect("airflow") as admin:
        admin.execute("DROP TABLE alembic_version_fab")
    assert image.run("check")["result"] == "Behind"
    assert image.run("migrate", **expect({**HEADS_3_3, "fab": []}))["database"] == HEADS_3_3


def test_another_version_than_declared_does_nothing(image: Image) -> None:
    for script in ("check", "migrate"):
        result = image.run(script, EXPECTED_VERSION="3.3.1", **expect("Empty"))
        assert (result["result"], result["airflowVersion"]) == ("WrongVersion", "3.3.2")
    assert image.run("check")["result"] == "Empty"


def test_two_migrations_at_once(image: Image) -> None:
    logs = [str(image.folder / f"termination-{number}") for number in range(2)]
    both = [image.start("migrate", TERMINATION_LOG=log, **expect("Empty")) for log in logs]
    for process in both:
        process.communicate(timeout=300)
    assert [json.loads(Path(log).read_text())["result"] for log in logs] == ["Migrated", "Migrated"]
    assert image.run("check")["result"] == "Current"


@pytest.mark.parametrize(
    ("image", "table"), [("3.3.2", "dag_run"), *((version, "ab_user") for version in HEADS if version > "3")], indirect=["image"]
)
def test_a_migration_killed_half_way_can_be_repeated(image: Image, postgres: Any, table: str) -> None:
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'airflow' AND wait_event_type = 'Lock'"
    with postgres.connect("airflow", "airflow", "p@ss/word") as blocker, blocker.transaction(force_rollback=True):
        # Until this transaction ends, nobody can create a table of that name: the migration stops there.
        blocker.execute(psycopg.sql.SQL("CREATE TABLE {} (id int)").format(psycopg.sql.Identifier(table)))
        process = image.start("migrate", **expect("Empty"))
        deadline = time.monotonic() + 120
        while not postgres.rows(waiting)[0][0]:
            assert process.poll() is None, "the migration ended before it came to this table"
            assert time.monotonic() < deadline, "the migration did not come to this table"
            time.sleep(0.05)
        process.kill()
        process.communicate(timeout=10)
    state = image.run("check")
    assert state["result"] == ("Empty" if table == "dag_run" else "Behind")
    found = image.run("migrate", **expect("Empty" if state["result"] == "Empty" else state["database"]))
    assert found["database"] == HEADS[image.version]
    assert image.run("check")["result"] == "Current"
    assert image.run("users") == {"result": "Created"}


@pytest.mark.parametrize("image", HEADS, indirect=True)
def test_the_administrator(image: Image, postgres: Any) -> None:
    image.run("migrate", **expect("Empty"))
    assert image.run("users") == {"result": "Created"}
    assert image.login("admin", PASSWORD)
    assert image.run("users") == {"result": "Unchanged"}

    (image.folder / "admin" / "password").write_text("another one\n")
    assert image.run("users") == {"result": "Updated", "changed": ["password"]}
    assert image.login("admin", "another one")
    assert not image.login("admin", PASSWORD)

    with postgres.connect("airflow") as admin:
        admin.execute("DELETE FROM ab_user_role")
        admin.execute("UPDATE ab_user SET active = false, username = 'Admin'")
    assert image.run("users") == {"result": "Updated", "changed": ["active", "role"]}


@pytest.mark.parametrize("image", ["2.10.5", "3.0.6"], indirect=True)
def test_a_password_is_set_anew_where_airflow_cannot_check_it(image: Image, postgres: Any) -> None:
    image.run("migrate", **expect("Empty"))
    image.run("users")
    with postgres.connect("airflow") as admin:
        admin.execute("UPDATE ab_user SET password = 'scrypt:32768:8:1$salt$00'")
    assert image.run("users") == {"result": "Updated", "changed": ["password"]}
    assert image.login("admin", PASSWORD)


def test_other_users_are_not_touched(image: Image, postgres: Any) -> None:
    image.run("migrate", **expect("Empty"))
    image.run("users")
    columns = "SELECT * FROM ab_user ORDER BY id"
    first = postgres.rows(columns, database="airflow")
    (image.folder / "admin" / "username").write_text("second")
    (image.folder / "admin" / "email").write_text("admin@example.com")
    taken = image.run("users")
    assert taken["result"] == "Failed"
    assert "e-mail address admin@example.com" in taken["message"]
    (image.folder / "admin" / "email").unlink()
    assert image.run("users") == {"result": "Created"}
    assert postgres.rows(columns, database="airflow")[:1] == first


def test_failures_say_why(image: Image) -> None:
    assert "not migrated with the FAB auth manager" in image.run("users")["message"]
    wrong = {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": image.url.replace("p%40ss", "wrong")}
    for script in ("check", "migrate", "users"):
        result = image.run(script, **wrong, **expect("Empty"))
        assert result["result"] == "Failed"
        assert "password authentication failed" in result["message"]
        assert "wrong" not in result["message"]


def add_job(postgres: Any, job_type: str, seconds_ago: int, state: str = "running") -> int:
    """A row as Airflow writes it for a component on this host; its id."""
    insert = (
        "INSERT INTO job (job_type, state, hostname, latest_heartbeat) VALUES (%s, %s, %s, now() - make_interval(secs => %s)) RETURNING id"
    )
    with postgres.connect("airflow") as admin:
        return int(admin.execute(insert, (job_type, state, socket.gethostname(), seconds_ago)).fetchone()[0])


def probe(image: Image, *arguments: str, **env: str) -> int:
    command = [str(image.python), str(SCRIPTS / "heartbeat.py"), *arguments]
    return subprocess.run(command, env=image.env(**env), capture_output=True, timeout=60).returncode


def test_only_a_stale_heartbeat_ends_a_component(image: Image, postgres: Any) -> None:
    image.run("migrate", **expect("Empty"))
    assert (probe(image, "TriggererJob", "--starting"), probe(image, "TriggererJob")) == (1, 0)
    add_job(postgres, "TriggererJob", 600)
    assert (probe(image, "TriggererJob", "--starting"), probe(image, "TriggererJob")) == (1, 1)
    add_job(postgres, "TriggererJob", 10)
    assert (probe(image, "TriggererJob", "--starting"), probe(image, "TriggererJob")) == (0, 0)
    gone = {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": image.url.replace("127.0.0.1", "127.0.0.2").replace("airflow:", "nobody:")}
    assert (probe(image, "TriggererJob", "--starting", **gone), probe(image, "TriggererJob", **gone)) == (1, 0)


def processes_with(variable: str) -> list[int]:
    """Processes with this text in their environment."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if variable.encode() in (folder / "environ").read_bytes():
                found.append(int(folder.name))
        except OSError:
            continue
    return found


@pytest.mark.parametrize("image", HEADS, indirect=True)
def test_a_scheduler_that_waits_for_its_tasks_looks_alive(image: Image, postgres: Any) -> None:
    image.run("migrate", **expect("Empty"))
    crashed = add_job(postgres, "SchedulerJob", 600)
    waiting = add_job(postgres, "SchedulerJob", 600)
    ages = "SELECT extract(epoch FROM now() - latest_heartbeat) FROM job WHERE id = %s"

    def age(job: int) -> float:
        return float(postgres.rows(ages, job, database="airflow")[0][0])

    def until(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.1)

    mark = f"MARK={image.folder}"
    command = [str(image.python), str(SCRIPTS / "drain.py")]
    try:
        # Its output ends with it, although its child lives on: the kubelet waits for that.
        done = subprocess.run(command, env=image.env(MARK=str(image.folder)), capture_output=True, timeout=30)
        assert done.returncode == 0, done.stderr
        until(lambda: age(waiting) < 60)
        assert age(crashed) > 500
    finally:
        (beating,) = processes_with(mark)
        os.kill(beating, signal.SIGKILL)
