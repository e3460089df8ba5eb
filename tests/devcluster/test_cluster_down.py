"""The native cluster comes up after anything, and `down` leaves the host as it was.

Takes the cluster of this host up and down, so it only runs where none is up: before the other tests that need one.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
import yaml

from devcluster import native, paths
from devcluster.images_builtin import BUSYBOX_IMAGE
from devcluster.processes import wait_until

pytestmark = [pytest.mark.cluster_down, pytest.mark.timeout(1800)]

WATCHED = ("/run", "/var/run/netns", "/var/lib", "/var/lib/cni", "/var/lib/kubelet", "/var/log", "/etc/cni", "/opt", "/usr/libexec")
SETTINGS = ("/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/bridge/bridge-nf-call-iptables")


def output(*command):
    """What a program of the host says; nothing when it is not installed."""
    if not shutil.which(command[0]):
        return ""
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def processes():
    """Command lines of running programs that were built for clusters, or that were given their state directory."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            line = entry.read_bytes().decode(errors="replace").replace("\0", " ")
            if f"{paths.state()}/" in line or line.startswith(f"{paths.cache() / 'bin'}/"):
                found.add(f"process {entry.parent.name}: {line[:200]}")
    return found


def host():
    """Everything on this host that a cluster might leave behind, one line each."""
    seen = {f"interface {link['ifname']}" for link in json.loads(output("ip", "-json", "link") or "[]")}
    seen |= set(output("nft", "list", "tables").splitlines())
    seen |= {f"iptables {line}" for line in output("iptables-save").splitlines() if line.startswith((":", "-A")) and "[" not in line}
    mounts = {line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()}
    # Image builds mount in the cache at any time.
    seen |= {f"mount {mount}" for mount in mounts if not mount.startswith(f"{paths.cache()}/")}
    seen |= {f"cgroup {path}" for pattern in ("*/", "*/*/") for path in Path("/sys/fs/cgroup").glob(pattern)}
    seen |= {f"file {path}" for directory in WATCHED for path in Path(directory).glob("*")}
    seen |= {f"{setting} = {Path(setting).read_text().strip()}" for setting in SETTINGS if Path(setting).exists()}
    return seen | processes()


@pytest.fixture(scope="module", autouse=True)
def cluster():
    """The native provider on a host without a cluster."""
    found = native.Native()
    if found.status().startswith("native: up"):
        pytest.skip("A cluster is up on this host, and these tests would remove it: run `python -m devcluster down` first.")
    found.down()
    yield found
    found.down()


@pytest.fixture
def kubectl(cluster):
    def run(*args, input=None):
        command = [str(cluster.kubectl), f"--kubeconfig={cluster.kubeconfig}", *args]
        return subprocess.run(command, input=input, capture_output=True, text=True, check=True).stdout

    return run


def workload():
    """A pod with a volume and a port of the node, so that there is a bit of everything to clean up."""
    container = {
        "name": "main",
        "image": BUSYBOX_IMAGE,
        "imagePullPolicy": "Never",
        "command": ["sh", "-c", "trap '' TERM; touch /data/file; while :; do sleep 1; done"],
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}
    return yaml.safe_dump_all(
        [
            {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"}, "spec": claim},
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": "stubborn", "labels": {"app": "stubborn"}},
                "spec": {"containers": [container], "volumes": volumes},
            },
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": "stubborn"},
                "spec": {"type": "NodePort", "selector": {"app": "stubborn"}, "ports": [{"port": 80}]},
            },
        ]
    )


def start_workload(kubectl):
    kubectl("apply", "-f", "-", input=workload())
    kubectl("wait", "pod/stubborn", "--for=condition=Ready", "--timeout=90s")


def test_down_leaves_nothing_even_with_pods_that_ignore_it(cluster, kubectl):
    before = host()
    cluster.up()
    start_workload(kubectl)
    assert len(processes()) >= len(native.DAEMONS)
    cluster.down()
    after = host()
    assert after - before == set()
    # Nor is anything gone that was not ours; mounts and files of others come and go.
    assert {line for line in before - after if not line.startswith(("mount", "file", "process"))} == set()
    cluster.down()


def test_up_again_changes_nothing_and_is_quick(cluster):
    cluster.up()
    before = processes()
    started = time.monotonic()
    cluster.up()
    assert time.monotonic() - started < 2
    assert processes() == before


@pytest.mark.parametrize("reached", ["etcd", "kube-apiserver", "containerd", "kubelet"])
def test_after_an_up_that_was_killed_the_next_one_works(cluster, kubectl, reached):
    cluster.down()
    record = paths.state() / "run" / f"{reached}.json"
    killed = subprocess.Popen([sys.executable, "-m", "devcluster", "up"], env=os.environ | {"DEVCLUSTER": "native"})
    wait_until(record.exists, 600, lambda: f"up did not reach {reached}")
    killed.kill()
    killed.wait()
    cluster.up()
    assert kubectl("get", "nodes", "--output=jsonpath={.items[*].status.conditions[?(@.type=='Ready')].status}") == "True"


def test_after_all_processes_died_the_next_up_starts_afresh(cluster, kubectl):
    cluster.up()
    start_workload(kubectl)
    for name in native.DAEMONS:
        pid = json.loads((paths.state() / "run" / f"{name}.json").read_text())["pid"]
        os.kill(pid, signal.SIGKILL)
    cluster.up()
    assert kubectl("get", "pods", "--output=name") == ""
    start_workload(kubectl)
