"""Throwaway control planes for integration tests: a real etcd and kube-apiserver on free ports, gone with the test.

```python
with ControlPlane(controller_manager=True) as cp:
    cp.kubectl("apply", "-f", "-", input=manifest)
    writes = [entry for entry in cp.audit() if entry["verb"] == "patch"]
```

Needs no root. Several can run side by side. When the process that made it dies, however hard, a watchdog ends it and removes its files.
"""

import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Self

from devcluster import components
from devcluster.errors import DevclusterError
from devcluster.processes import (
    free_ports,
    last_lines,
    pids_with_argument_under,
    processor_seconds,
    running,
    wait_until,
    write_record,
)
from devcluster.tools import NEWEST, Kubernetes, control_plane_binaries

ADDRESS = "127.0.0.1"
# There are no pods that could use it: an address of the documentation range, so that a host without a network works too.
NOBODY = "192.0.2.1"
START_TIMEOUT = 60.0
ATTEMPTS = 3
_PREFIX = "devcluster-control-plane-"
_WATCHDOG = "watchdog.json"
_AUDIT_POLICY = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules: [{level: Metadata}]
"""


class _PortTakenError(DevclusterError):
    """Somebody took a port between our look and our use."""


def api_server_ready(server: str, authority: Path) -> bool:
    """Whether the API server at that URL says that it is ready."""
    context = ssl.create_default_context(cafile=str(authority))
    try:
        with urllib.request.urlopen(f"{server}/readyz", timeout=2, context=context) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _sweep() -> None:
    """Remove what a control plane left whose watchdog was killed too, as when a whole session is killed."""
    for directory in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError):
            record = directory / _WATCHDOG
            being_made = not record.exists() and time.time() - directory.stat().st_mtime < START_TIMEOUT
            if being_made or running(record) or directory.stat().st_uid != os.geteuid():
                continue
            for pid in pids_with_argument_under(directory):
                os.kill(pid, signal.SIGKILL)
            shutil.rmtree(directory, ignore_errors=True)


class ControlPlane:
    """A context manager: etcd + kube-apiserver (+ kube-controller-manager) with data of their own."""

    kubeconfig: Path
    """Kubeconfig of a cluster administrator; valid while the control plane is entered."""
    server: str
    """URL of the API server."""

    def __init__(self, *, controller_manager: bool = False, kubernetes: Kubernetes = NEWEST, audit: bool = True) -> None:
        """Choose whether garbage collection and the workload controllers run too, and, without them, an older API server.

        Without `audit` nothing is kept of who asked what: a session of ten thousands of requests is the faster for it.
        """
        if controller_manager and kubernetes != NEWEST:
            raise DevclusterError(f"Only the API server of Kubernetes {kubernetes} is built: its controllers are not.")
        self._with_controllers = controller_manager
        self._with_audit = audit
        self._kubernetes = kubernetes
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._watchdog: subprocess.Popen[bytes] | None = None
        self._binaries: dict[str, Path] = {}

    def __enter__(self) -> Self:
        """Start all of it and wait until the API server is ready."""
        wanted = ("etcd", "kube-apiserver", "kubectl", *(("kube-controller-manager",) if self._with_controllers else ()))
        self._binaries = control_plane_binaries(wanted, self._kubernetes)
        for attempt in range(ATTEMPTS):
            try:
                self._start()
            except _PortTakenError:
                self._stop()
                if attempt == ATTEMPTS - 1:
                    raise
            except BaseException:
                self._stop()
                raise
            else:
                break
        return self

    def __exit__(self, *exc_info: object) -> None:
        """End the processes and remove the files."""
        self._stop()

    def kubectl(self, *args: str, input: str | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run kubectl as the administrator; `input` is its stdin. Raises CalledProcessError, with its words, unless `check` is False."""
        command = [str(self._binaries["kubectl"]), f"--kubeconfig={self.kubeconfig}", *args]
        done = subprocess.run(command, input=input, capture_output=True, text=True, check=False)
        if check and done.returncode != 0:
            error = subprocess.CalledProcessError(done.returncode, command, done.stdout, done.stderr)
            error.add_note(done.stderr.strip())
            raise error
        return done

    def binary(self, name: str) -> Path:
        """Path of one of the programs that are in use, e.g. "kubectl"."""
        return self._binaries[name]

    @property
    def processor_seconds(self) -> float:
        """Seconds of a processor that its programs have used."""
        return sum(processor_seconds(process.pid) for process in self._processes.values())

    def audit(self, since: int = 0) -> list[dict[str, Any]]:
        """Every finished request but for the first `since`, oldest first (audit.k8s.io/v1 events at level Metadata)."""
        if not self._with_audit or not self._audit_log.exists():
            return []
        with self._audit_log.open("rb") as log:
            # Only what is new: a test session asks often, and the log grows to many megabytes.
            log.seek(self._audit_read)
            for line in log:
                # The last line may be half written; what comes next would then be the rest of it.
                if not line.endswith(b"\n"):
                    break
                self._audit_entries.append(json.loads(line))
                self._audit_read += len(line)
        return self._audit_entries[since:]

    def log(self, name: str) -> str:
        """Output so far of one of the processes, e.g. "kube-apiserver"."""
        return (self._directory / f"{name}.log").read_text(errors="replace")

    def _start(self) -> None:
        _sweep()
        self._directory = Path(tempfile.mkdtemp(prefix=_PREFIX))
        self._watchdog = subprocess.Popen(
            [sys.executable, "-I", str(Path(__file__).with_name("_watchdog.py")), str(self._directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        write_record(self._directory / _WATCHDOG, self._watchdog.pid)
        etcd_port, peer_port, port, controller_port = free_ports(4)
        identity = components.make_identity(self._directory / "pki", ADDRESS, port)
        self.server = identity.server
        self.kubeconfig = identity.kubeconfig("admin", "admin", "system:masters")
        self._run("etcd", components.etcd(self._binaries["etcd"], self._directory / "etcd", etcd_port, peer_port))
        command = components.api_server(self._binaries["kube-apiserver"], identity, ADDRESS, port, etcd_port, NOBODY)
        self._run("kube-apiserver", command + (self._audit_flags() if self._with_audit else []))
        wait_until(lambda: self._alive() and api_server_ready(self.server, identity.authority.cert), START_TIMEOUT, self._why_not_ready)
        if self._with_controllers:
            config = identity.kubeconfig("controller-manager", "system:kube-controller-manager")
            binary = self._binaries["kube-controller-manager"]
            self._run("kube-controller-manager", components.controller_manager(binary, identity, config, controller_port))
            wait_until(self._default_account_exists, START_TIMEOUT, self._why_not_ready)

    def _audit_flags(self) -> components.Command:
        policy = self._directory / "audit-policy.yaml"
        policy.write_text(_AUDIT_POLICY)
        self._audit_log = self._directory / "audit.jsonl"
        self._audit_entries: list[dict[str, Any]] = []
        self._audit_read = 0
        # Blocking, so that a test that has its answer finds its request in the log.
        return [
            f"--audit-policy-file={policy}",
            f"--audit-log-path={self._audit_log}",
            "--audit-log-mode=blocking",
            "--audit-log-maxsize=2000",
        ]

    def _default_account_exists(self) -> bool:
        self._alive()
        return self.kubectl("get", "serviceaccount", "default", "--namespace=default", check=False).returncode == 0

    def _run(self, name: str, command: components.Command) -> None:
        with (self._directory / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._directory,
                start_new_session=True,
            )
        self._processes[name] = process
        stdin = self._watchdog_stdin()
        stdin.write(f"{process.pid}\n".encode())
        stdin.flush()

    def _watchdog_stdin(self) -> IO[bytes]:
        if self._watchdog is None or self._watchdog.stdin is None:
            raise DevclusterError("The control plane is not entered.")
        return self._watchdog.stdin

    def _alive(self) -> bool:
        for name, process in self._processes.items():
            if process.poll() is not None:
                words = self.log(name)
                kind = _PortTakenError if "address already in use" in words else DevclusterError
                raise kind(f"{name} stopped with code {process.returncode}: {last_lines(self._directory / f'{name}.log')}")
        return True

    def _why_not_ready(self) -> str:
        return f"The control plane was not ready in {START_TIMEOUT:.0f} s: {last_lines(self._directory / 'kube-apiserver.log')}"

    def _stop(self) -> None:
        for process in reversed(self._processes.values()):
            with suppress(ProcessLookupError):
                process.kill()
        for process in self._processes.values():
            process.wait()
        self._processes.clear()
        if self._watchdog is not None:
            self._watchdog_stdin().close()
            self._watchdog.wait()
            self._watchdog = None
        shutil.rmtree(self._directory, ignore_errors=True)


def run_until_interrupted() -> None:
    """Keep a control plane up for a person, print its kubeconfig, and end it on Ctrl-C or when stdin closes."""
    with ControlPlane(controller_manager=True) as control_plane:
        print(f"export KUBECONFIG={control_plane.kubeconfig}", flush=True)
        with suppress(KeyboardInterrupt):
            while os.read(sys.stdin.fileno(), 4096):
                pass
