"""Kubernetes and its neighbours, built from the committed Go modules and kept by the hash of what they are built from."""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from devcluster import locks, paths
from devcluster.errors import DevclusterError
from devcluster.golang import find_go
from devcluster.progress import progress, say

Kubernetes = Literal["1.30", "1.37"]
"""What the tests run on: the oldest that we support, of which only the API server is built, and the newest."""
OLDEST: Kubernetes = "1.30"
NEWEST: Kubernetes = "1.37"
CONTAINERD_VERSION = "2.2.1"
FREE_GB_TO_BUILD = 15
_CONTAINERD_LDFLAGS = f"-s -w -X github.com/containerd/containerd/v2/version.Version={CONTAINERD_VERSION}"


def python(*arguments: str) -> list[str | Path]:
    """Command line of this very Python."""
    return [sys.executable, *arguments]


def machine() -> str:
    """Name of this host's processor architecture, as the kernel says it."""
    return platform.machine()


@dataclass(frozen=True)
class Group:
    """Binaries that are built from one go.mod."""

    name: str
    packages: dict[str, str]
    ldflags: str
    tags: str = ""

    @property
    def source(self) -> Path:
        """Directory of go.mod and go.sum."""
        return paths.TOOLS / self.name

    @property
    def directory(self) -> Path:
        """Where the built binaries are, named by the hash of all that goes into them."""
        digest = hashlib.sha256()
        for pattern in ("go.mod", "go.sum", "*.go"):
            for file in sorted(self.source.glob(pattern)):
                digest.update(file.read_bytes())
        digest.update(f"{self.ldflags}|{self.tags}|{machine()}".encode())
        return paths.cache() / "bin" / f"{self.name}-{digest.hexdigest()[:12]}"


def _kubernetes_ldflags(version: str) -> str:
    """Without these the server calls itself v0.0.0 and clients refuse it."""
    major, minor, _ = version.split(".")
    variables = {"gitVersion": f"v{version}", "gitMajor": major, "gitMinor": minor}
    return " ".join(["-s -w", *(f"-X k8s.io/component-base/version.{name}={value}" for name, value in variables.items())])


KUBERNETES = Group(
    "kubernetes",
    {
        "etcd": "go.etcd.io/etcd/server/v3",
        "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
        "kubectl": "k8s.io/kubernetes/cmd/kubectl",
        "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
        "kube-scheduler": "k8s.io/kubernetes/cmd/kube-scheduler",
        "kubelet": "k8s.io/kubernetes/cmd/kubelet",
        "kube-proxy": "k8s.io/kubernetes/cmd/kube-proxy",
    },
    _kubernetes_ldflags("1.37.2"),
)
OLD_KUBERNETES = Group(
    "kubernetes-1.30",
    {"kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver"},
    _kubernetes_ldflags("1.30.14"),
    # Without the cloud providers that it still had inside.
    tags="providerless",
)
CONTAINERD = Group(
    "containerd",
    {name: f"github.com/containerd/containerd/v2/cmd/{name}" for name in ("containerd", "containerd-shim-runc-v2", "ctr")},
    _CONTAINERD_LDFLAGS,
    tags="no_btrfs no_devmapper no_zfs",
)
COREDNS = Group("coredns", {"coredns": "github.com/coredns/coredns"}, "-s -w")
PAUSE = Group("pause", {"pause": "."}, "-s -w")
KIND = Group("kind", {"kind": "sigs.k8s.io/kind"}, "-s -w")
# Not of the cluster: a program in one of the images.
STATSD_EXPORTER = Group("statsd-exporter", {"statsd_exporter": "github.com/prometheus/statsd_exporter"}, "-s -w")
# Nor this: a scanner of manifests (tests/security).
KUBE_SCORE = Group("kube-score", {"kube-score": "github.com/zegl/kube-score/cmd/kube-score"}, "-s -w")
# What the native cluster needs, in this order: what integration tests need comes first.
GROUPS = (KUBERNETES, CONTAINERD, COREDNS, PAUSE)
CONTROL_PLANE = ("etcd", "kube-apiserver", "kubectl", "kube-controller-manager")


def _check_disk() -> None:
    free = shutil.disk_usage(paths.cache()).free / 1e9
    if free < FREE_GB_TO_BUILD:
        raise DevclusterError(
            f"Building Kubernetes needs {FREE_GB_TO_BUILD} GB of free disk, and {paths.cache()} has {free:.0f} GB:"
            " make room, or set DEVCLUSTER_CACHE to a directory on a larger disk."
        )


def _go_build(group: Group, name: str, target: Path) -> None:
    # One Go build cache of our own, so that removing it frees the disk and hurts nobody else.
    environment = os.environ | {"CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false", "GOCACHE": str(paths.cache() / "go-build")}
    environment.pop("GOOS", None)
    unfinished = target.with_name(f".{name}.unfinished")
    tags = ["-tags", group.tags] if group.tags else []
    command = [find_go(), "build", "-trimpath", *tags, "-ldflags", group.ldflags, "-o", str(unfinished), group.packages[name]]
    if nice := shutil.which("nice"):
        command = [nice, "-n", "10", *command]
    try:
        built = subprocess.run(command, cwd=group.source, env=environment, capture_output=True, text=True, check=False)
        if built.returncode != 0:
            raise DevclusterError(f"Go could not build {name}: {_last_words(built.stderr)}")
        unfinished.rename(target)
    finally:
        unfinished.unlink(missing_ok=True)


def _last_words(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return " / ".join(lines[-3:]) or "no message"


def build(group: Group, names: tuple[str, ...] = ()) -> Path:
    """Build what is missing of a group (all of it, or only `names`) and return the directory of the binaries."""
    directory = group.directory
    wanted = names or tuple(group.packages)
    if all((directory / name).exists() for name in wanted):
        return directory
    with locks.held(directory / ".lock", f"waiting for another build of {directory.name}"):
        missing = [name for name in wanted if not (directory / name).exists()]
        if missing:
            for unfinished in directory.glob(".*.unfinished"):
                unfinished.unlink()
            _check_disk()
            say(f"Building {', '.join(missing)} with Go (once; kept in {directory})")
        for name in missing:
            with progress(f"building {name}"):
                _go_build(group, name, directory / name)
    return directory


def control_plane_binaries(names: tuple[str, ...] = CONTROL_PLANE, kubernetes: Kubernetes = NEWEST) -> dict[str, Path]:
    """Paths of the binaries of a control plane; those in $KUBEBUILDER_ASSETS go first, the others are built.

    The oldest Kubernetes gives its API server; etcd and kubectl are those of the newest.
    """
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    found = {name: Path(assets, name) for name in names if assets and Path(assets, name).exists()}
    if kubernetes == OLDEST:
        found |= {name: build(OLD_KUBERNETES) / name for name in OLD_KUBERNETES.packages}
    missing = tuple(name for name in names if name not in found)
    if missing:
        directory = build(KUBERNETES, missing)
        found |= {name: directory / name for name in missing}
    return found
