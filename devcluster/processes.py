"""Starting, awaiting and stopping host processes that are known by a name and a recorded process id."""

import json
import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from devcluster.errors import DevclusterError

POLL = 0.05


def wait_until(condition: Callable[[], bool], timeout: float, failure: Callable[[], str]) -> None:
    """Poll `condition` until it holds; raise DevclusterError(failure()) after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise DevclusterError(failure())
        time.sleep(POLL)


def http_ok(url: str) -> bool:
    """Whether a health endpoint of a process on this host answers 200."""
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody listens on just now, all different."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def last_lines(log: Path, count: int = 3) -> str:
    """The end of a log file in one line, for an error sentence."""
    try:
        lines = log.read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return "no log"
    return " / ".join(line.strip()[:300] for line in lines[-count:] if line.strip()) or "an empty log"


def _stat(pid: int) -> list[str]:
    """Fields of /proc/PID/stat from the state on, which is the third of proc(5). Raises OSError when the process is gone."""
    # What comes before is the program's name, which may hold anything.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def started_at(pid: int) -> str:
    """Start time of a process in clock ticks since boot, or "" when it is gone: tells a recycled process id."""
    try:
        fields = _stat(pid)
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return "" if fields[0] in "ZX" else fields[19]


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def processor_seconds(pid: int) -> float:
    """Seconds of a processor that a running process has used."""
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def write_record(path: Path, pid: int) -> None:
    """Note a process so that `running` finds it, and never takes another one for it."""
    unfinished = path.with_suffix(".new")
    unfinished.write_text(json.dumps({"pid": pid, "started": started_at(pid), "boot": _boot()}))
    unfinished.rename(path)


def running(path: Path) -> int | None:
    """Id of the process noted in a file; None when it is dead, or was before the last boot."""
    try:
        record = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return None
    alive = record["boot"] == _boot() and started_at(record["pid"]) == record["started"]
    return int(record["pid"]) if alive and record["started"] else None


def arguments(pid: int) -> list[str]:
    """Command line of a process; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return []


def pids_with_argument_under(directory: Path) -> list[int]:
    """Processes that were started with a file under `directory` as (part of) an argument; not we, not our parent."""
    pids = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    others = (pid for pid in pids if pid not in (os.getpid(), os.getppid()))
    return [pid for pid in others if any(f"{directory}/" in argument for argument in arguments(pid)[1:])]


class Daemons:
    """Long-lived processes whose ids are written to one directory, so that another run finds and stops them."""

    def __init__(self, directory: Path, logs: Path) -> None:
        """Keep process ids in `directory` and output in `logs`/NAME.log."""
        self._directory = directory
        self._logs = logs

    def log(self, name: str) -> Path:
        """Log file of a process."""
        return self._logs / f"{name}.log"

    def _record(self, name: str) -> Path:
        return self._directory / f"{name}.json"

    def pid(self, name: str) -> int | None:
        """Id of the running process of that name; None when it is dead, or was before the last boot."""
        return running(self._record(name))

    def names(self) -> list[str]:
        """Names of all recorded processes, dead or alive."""
        return sorted(path.stem for path in self._directory.glob("*.json"))

    def start(self, name: str, command: list[str | Path], env: dict[str, str] | None = None) -> int:
        """Start a process in a session of its own, unless it runs already; return its id."""
        if already := self.pid(name):
            return already
        self._directory.mkdir(parents=True, exist_ok=True)
        self._logs.mkdir(parents=True, exist_ok=True)
        with self.log(name).open("ab") as log:
            process = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=None if env is None else os.environ | env,
                start_new_session=True,
            )
        write_record(self._record(name), process.pid)
        # It outlives us on purpose; without this Python warns about a child that it never waited for.
        process.returncode = 0
        return process.pid

    def wait_ready(self, name: str, ready: Callable[[], bool], timeout: float) -> None:
        """Wait until `ready()`, and fail with the end of the log when the process dies or time is up."""

        def settled() -> bool:
            return self.pid(name) is None or ready()

        def failure() -> str:
            return f"{name} did not get ready in {timeout:.0f} s: {last_lines(self.log(name))}"

        wait_until(settled, timeout, failure)
        if self.pid(name) is None:
            raise DevclusterError(f"{name} stopped right after its start: {last_lines(self.log(name))}")

    def stop(self, name: str, timeout: float = 10.0) -> None:
        """Stop a process, by force when it does not go in time, and forget it."""
        if pid := self.pid(name):
            stop_pid(pid, timeout)
        self._record(name).unlink(missing_ok=True)


def stop_pid(pid: int, timeout: float = 10.0) -> None:
    """Ask a process to end, then kill it; return when it is gone."""
    started = started_at(pid)

    def gone() -> bool:
        with suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
        return not started or started_at(pid) != started

    for signal_number, patience in ((signal.SIGTERM, timeout), (signal.SIGKILL, timeout)):
        with suppress(ProcessLookupError):
            os.kill(pid, signal_number)
        with suppress(DevclusterError):
            wait_until(gone, patience, lambda: "still there")
        if gone():
            return
    raise DevclusterError(f"Process {pid} does not end, not even when killed.")
