"""Taking the native cluster away, whatever state it is in: whole, half started, killed, or left behind by a reboot."""

import json
import os
import shutil
import signal
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from devcluster import cgroups, host, network
from devcluster.errors import DevclusterError
from devcluster.processes import Daemons, arguments, pids_with_argument_under, stop_pid, wait_until

_POD_LOG_LINKS = Path("/var/log/containers")
_CNI_RESULTS = Path("/var/lib/cni/results")
# What kubelet leaves in its fixed directory, wherever its root is.
_KUBELET_FILES = ("kubelet.sock", "DEPRECATION", "kubelet_internal_checkpoint")
# In this order: first what would start pods again, last what the others talk to.
_STOP_ORDER = (
    "kubelet",
    "storage",
    "kube-proxy",
    "coredns",
    "kube-scheduler",
    "kube-controller-manager",
    "containerd",
    "kube-apiserver",
    "etcd",
)


def remember_host(state: Path, directories: Iterable[Path]) -> None:
    """Note what the host was like: which directories outside the state directory are missing, and the network settings to be changed."""
    state.mkdir(parents=True, exist_ok=True)
    missing = [str(path) for path in directories if not path.exists()]
    settings = {str(path): path.read_text().strip() for path in network.SETTINGS if path.exists()}
    (state / "host.json").write_text(json.dumps({"directories": missing, "settings": settings}))


def _strays(state: Path) -> list[int]:
    """Processes of ours, recorded or not."""

    def ours(pid: int) -> bool:
        command = arguments(pid)
        return "devcluster.storage" in command or Path("".join(command[:1])).name in (*_STOP_ORDER, "containerd-shim-runc-v2")

    return [pid for pid in pids_with_argument_under(state) if ours(pid)]


def _mounts(state: Path) -> list[str]:
    """Mount points under the state directory, the innermost first."""
    points = [line.split()[4].replace("\\040", " ") for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return sorted((point for point in points if point.startswith(f"{state}/")), reverse=True)


def _unmount(state: Path) -> None:
    def unmounted() -> bool:
        for point in _mounts(state):
            host.run("umount", "--lazy", point, check=False)
        return not _mounts(state)

    wait_until(unmounted, 20, lambda: f"Mounts stay: {', '.join(_mounts(state))}")


def _shim_sockets(state: Path) -> list[Path]:
    """Sockets that shims leave outside the state directory when they are killed."""
    tasks = state / "containerd" / "state" / "io.containerd.runtime.v2.task"
    sockets = []
    for bootstrap in tasks.glob("*/*/bootstrap.json"):
        with suppress(OSError, ValueError, KeyError):
            sockets.append(Path(json.loads(bootstrap.read_text())["address"].removeprefix("unix://")))
    return sockets


def _network_results() -> list[Path]:
    """What the CNI library remembers of pods that are gone: our network's files, and the loopback's of the same pods."""
    pods = [path.name.removeprefix("devcluster-").rpartition("-")[0] for path in _CNI_RESULTS.glob("devcluster-*")]
    return [path for pod in pods for path in _CNI_RESULTS.glob(f"*-{pod}-*")]


def _restore_host(state: Path) -> None:
    """Remove what kubelet and containerd put outside the state directory, and give settings their old values."""
    for link in _POD_LOG_LINKS.glob("*"):
        if link.is_symlink() and str(link.readlink()).startswith(f"{state}/"):
            link.unlink()
    for file in _network_results():
        file.unlink(missing_ok=True)
    record = state / "host.json"
    before = json.loads(record.read_text()) if record.exists() else {"directories": [], "settings": {}}
    for setting, value in before["settings"].items():
        with suppress(OSError):
            Path(setting).write_text(value)
    for directory in sorted(map(Path, before["directories"]), reverse=True):
        for file in (directory / name for name in _KUBELET_FILES):
            file.unlink(missing_ok=True)
        # Somebody else may have begun to use it.
        with suppress(OSError):
            directory.rmdir()


def remove(state: Path, daemons: Daemons) -> None:
    """Remove processes, mounts, interfaces, tables, control groups and files; each step works without the one before."""
    for name in _STOP_ORDER:
        daemons.stop(name)
    sockets = _shim_sockets(state)
    for pid in _strays(state):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    cgroups.kill_all()
    for pid in _strays(state):
        stop_pid(pid)
    _unmount(state)
    network.remove()
    cgroups.remove()
    for socket in sockets:
        socket.unlink(missing_ok=True)
    _restore_host(state)
    if state.exists():
        try:
            shutil.rmtree(state)
        except OSError as error:
            raise DevclusterError(f"{state} could not be removed: {error}") from None


def leftovers(state: Path) -> list[str]:
    """Everything of a native cluster that is on this host just now, in words."""
    processes = [f"process {pid} ({''.join(arguments(pid)[:1])})" for pid in _strays(state)]
    mounts = [f"mount {point}" for point in _mounts(state)]
    files = [f"directory {state}"] if state.exists() else []
    return processes + mounts + network.leftovers() + cgroups.leftovers() + files
