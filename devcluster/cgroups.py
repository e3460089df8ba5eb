"""The control group of all pods, in both versions of the kernel's interface."""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from devcluster.errors import DevclusterError
from devcluster.processes import wait_until

ROOT = Path("/sys/fs/cgroup")
NAME = "devcluster"
# By default the whole pod tree weighs as much as ONE host process, and a build beside it starves every pod.
CPU_SHARES = "65536"
CPU_WEIGHT = "2500"
_V2_CONTROLLERS = ("cpuset", "cpu", "io", "memory", "hugetlb", "pids")


def _is_v2() -> bool:
    return (ROOT / "cgroup.controllers").exists()


def _hierarchies() -> list[Path]:
    """Roots of the mounted hierarchies; links such as `cpu -> cpu,cpuacct` are left out."""
    if _is_v2():
        return [ROOT]
    return [path for path in sorted(ROOT.iterdir()) if path.is_dir() and not path.is_symlink() and (path / "cgroup.procs").exists()]


def _ours() -> list[Path]:
    return [path / NAME for path in _hierarchies() if (path / NAME).exists()]


def make() -> None:
    """Make the group in every hierarchy, with enough weight for the pods to live beside a build."""
    if _is_v2():
        group = ROOT / NAME
        group.mkdir(exist_ok=True)
        for directory in (ROOT, group):
            _delegate(directory)
        with suppress(OSError):
            (group / "cpu.weight").write_text(CPU_WEIGHT)
        return
    for root in _hierarchies():
        group = root / NAME
        group.mkdir(exist_ok=True)
        # A fresh cpuset has no CPU and no memory: nothing can be put into it before it is filled.
        for file in ("cpuset.cpus", "cpuset.mems"):
            if (root / file).exists():
                (group / file).write_text((root / file).read_text())
        if (group / "cpu.shares").exists():
            (group / "cpu.shares").write_text(CPU_SHARES)


def _delegate(directory: Path) -> None:
    available = (directory / "cgroup.controllers").read_text().split()
    for controller in _V2_CONTROLLERS:
        if controller in available:
            with suppress(OSError):
                (directory / "cgroup.subtree_control").write_text(f"+{controller}")


def _tree(group: Path) -> Iterator[Path]:
    """All directories under and including `group`, deepest first."""
    for directory, _, _ in os.walk(group, topdown=False):
        yield Path(directory)


def _members() -> set[int]:
    pids: set[int] = set()
    for group in _ours():
        for directory in _tree(group):
            with suppress(OSError):
                pids |= {int(pid) for pid in (directory / "cgroup.procs").read_text().split()}
    return pids


def kill_all() -> None:
    """Kill every process of every pod, and return when none is left."""

    def empty() -> bool:
        members = _members()
        for pid in members:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return not members

    for group in _ours():
        for directory in _tree(group):
            # A paused container must be thawed to die.
            with suppress(OSError):
                (directory / "freezer.state").write_text("THAWED")
    wait_until(empty, 20, lambda: f"Processes of pods do not end: {sorted(_members())}")


def remove() -> None:
    """Remove the groups; the kernel lets an empty one go a moment after its last process."""

    def gone() -> bool:
        for group in _ours():
            for directory in _tree(group):
                with suppress(OSError):
                    directory.rmdir()
        return not _ours()

    with suppress(DevclusterError):
        wait_until(gone, 10, lambda: "still there")


def leftovers() -> list[str]:
    """Control groups of ours that are still there, in words."""
    return [f"control group {group}" for group in _ours()]
