"""Throwaway control planes: real, several at once, with an audit log, and gone with whoever made them."""

import os
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from devcluster.control_plane import ControlPlane
from devcluster.kubeconfig import Context
from devcluster.processes import started_at, wait_until, write_record

pytestmark = pytest.mark.integration

CHILD = """
import os, sys, time
from devcluster.control_plane import ControlPlane
running = ControlPlane().__enter__()
print(running.kubeconfig.parent.parent, *(process.pid for process in running._processes.values()), flush=True)
time.sleep(600)
"""


def test_several_at_once_do_not_see_each_other_and_leave_nothing():
    with ThreadPoolExecutor() as pool:
        planes = list(pool.map(lambda _: ControlPlane().__enter__(), range(2)))
    one, other = planes
    directories = [plane.kubeconfig.parent.parent for plane in planes]
    try:
        one.kubectl("create", "namespace", "only-here")
        assert one.kubectl("get", "namespace", "only-here").returncode == 0
        assert other.kubectl("get", "namespace", "only-here", check=False).returncode != 0
    finally:
        for plane in planes:
            plane.__exit__(None, None, None)
    assert [directory for directory in directories if directory.exists()] == []


def test_with_the_controller_manager_garbage_is_collected_and_accounts_are_made():
    with ControlPlane(controller_manager=True) as plane:
        account = plane.kubectl("get", "serviceaccount", "default", "-o", "name").stdout
        assert account.strip() == "serviceaccount/default"
        plane.kubectl("create", "configmap", "owner")
        uid = plane.kubectl("get", "configmap", "owner", "-o", "jsonpath={.metadata.uid}").stdout
        owned = f"""
apiVersion: v1
kind: ConfigMap
metadata:
  name: owned
  ownerReferences: [{{apiVersion: v1, kind: ConfigMap, name: owner, uid: {uid}}}]
"""
        plane.kubectl("apply", "-f", "-", input=owned)
        plane.kubectl("delete", "configmap", "owner")
        plane.kubectl("wait", "--for=delete", "configmap/owned", "--timeout=60s")


def test_the_audit_log_has_each_finished_request_once():
    with ControlPlane() as plane:
        before = len(plane.audit())
        plane.kubectl("create", "configmap", "seen", "--namespace=default")
        new = [entry for entry in plane.audit()[before:] if entry["user"]["username"] == "admin" and entry["verb"] == "create"]
        assert [(entry["objectRef"]["resource"], entry["objectRef"]["name"], entry["stage"]) for entry in new] == [
            ("configmaps", "seen", "ResponseComplete")
        ]


def test_kubectl_reports_what_the_server_said():
    with ControlPlane() as plane:
        with pytest.raises(subprocess.CalledProcessError) as raised:
            plane.kubectl("get", "configmap", "absent")
        assert 'configmaps "absent" not found' in raised.value.stderr


def test_when_its_maker_is_killed_its_processes_and_files_go_too():
    child = subprocess.Popen([sys.executable, "-c", CHILD], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    directory, *pids = child.stdout.readline().split()
    assert Path(directory).is_dir()
    assert all(started_at(int(pid)) for pid in pids)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    child.stdout.close()
    wait_until(lambda: not any(started_at(int(pid)) for pid in pids), 20, lambda: "processes stay")
    wait_until(lambda: not Path(directory).exists(), 20, lambda: f"{directory} stays")


def test_a_named_context_is_used_alone_and_never_removed(monkeypatch, tmp_path):
    with ControlPlane() as plane:
        # Only now: an empty cache would have the control plane built anew.
        monkeypatch.setenv("DEVCLUSTER_CACHE", str(tmp_path))
        monkeypatch.setenv("KUBECONFIG", str(plane.kubeconfig))
        monkeypatch.setenv("DEVCLUSTER_CONTEXT", "devcluster")
        binaries = str(plane.binary("kubectl").parent)
        monkeypatch.setenv("PATH", f"{binaries}:{os.environ['PATH']}")
        cluster = Context()
        copy = cluster.up()
        plane.kubectl("get", "namespaces", f"--kubeconfig={copy}")
        cluster.down()
        assert not copy.exists()
        assert plane.kubeconfig.exists()
        plane.kubectl("get", "namespaces")


def test_what_a_killed_session_left_is_swept_by_the_next_one(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    left = tmp_path / "devcluster-control-plane-left"
    left.mkdir()
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", f"{left}/data"])
    gone = subprocess.Popen(["true"])
    write_record(left / "watchdog.json", gone.pid)
    gone.wait()
    with ControlPlane() as plane, ControlPlane():
        assert not left.exists()
        assert process.wait(timeout=20) == -signal.SIGKILL
        # The living one beside it was left alone.
        plane.kubectl("get", "namespaces")
