"""Recorded processes: found again by another run, never mistaken for another process, and always stopped."""

import json
import subprocess
import sys

import pytest

from devcluster.errors import DevclusterError
from devcluster.processes import Daemons, started_at, stop_pid, wait_until

SLEEPER = [sys.executable, "-c", "import time; time.sleep(600)"]
DEAF = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)",
]


@pytest.fixture
def daemons(tmp_path):
    made = Daemons(tmp_path / "run", tmp_path / "logs")
    yield made
    for name in made.names():
        made.stop(name)


def change_record(tmp_path, **changes):
    path = tmp_path / "run" / "sleeper.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | changes))
    return record


def test_a_process_is_found_by_another_run_and_started_once(daemons, tmp_path):
    pid = daemons.start("sleeper", SLEEPER)
    other_run = Daemons(tmp_path / "run", tmp_path / "logs")
    assert other_run.pid("sleeper") == pid
    assert other_run.start("sleeper", SLEEPER) == pid
    other_run.stop("sleeper")
    assert started_at(pid) == ""
    assert other_run.names() == []


def test_another_process_with_the_same_id_is_not_ours_and_is_not_stopped(daemons, tmp_path):
    pid = daemons.start("sleeper", SLEEPER)
    record = change_record(tmp_path, started="1")
    assert daemons.pid("sleeper") is None
    daemons.stop("sleeper")
    assert started_at(pid) == record["started"]
    stop_pid(pid)


def test_a_record_of_before_the_last_boot_means_dead(daemons, tmp_path):
    pid = daemons.start("sleeper", SLEEPER)
    change_record(tmp_path, boot="another")
    assert daemons.pid("sleeper") is None
    stop_pid(pid)


def test_a_process_that_ignores_the_request_to_end_is_killed(daemons):
    pid = daemons.start("deaf", DEAF)
    wait_until(lambda: "deaf" in daemons.log("deaf").read_text(), 10, lambda: "not deaf yet")
    daemons.stop("deaf", timeout=0.2)
    assert started_at(pid) == ""


def test_a_process_that_dies_at_its_start_is_reported_with_its_last_words(daemons):
    daemons.start("broken", [sys.executable, "-c", "raise SystemExit('no such disk')"])
    with pytest.raises(DevclusterError, match="broken stopped right after its start: no such disk"):
        daemons.wait_ready("broken", lambda: False, 30)


def test_daemons_outlive_the_process_that_started_them(daemons, tmp_path):
    script = f"""
from pathlib import Path
from devcluster.processes import Daemons
Daemons(Path({str(tmp_path / "run")!r}), Path({str(tmp_path / "logs")!r})).start("sleeper", {SLEEPER!r})
"""
    subprocess.run([sys.executable, "-c", script], check=True)
    assert daemons.pid("sleeper") is not None
