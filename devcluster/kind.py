"""Kubernetes in Docker: the first choice where a Docker engine answers."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from devcluster import paths, tools
from devcluster.errors import DevclusterError
from devcluster.images_builtin import names_in
from devcluster.progress import progress

CLUSTER = "airflow-operator"


def docker_answers() -> bool:
    """Whether a Docker engine is there and lets us in."""
    docker = shutil.which("docker")
    if not docker:
        return False
    try:
        return subprocess.run([docker, "version"], capture_output=True, check=False, timeout=10).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def kind_available() -> bool:
    """Whether kind is on PATH or was built before, or can be built."""
    try:
        return bool(_kind())
    except DevclusterError:
        return False


def _kind() -> Path:
    on_path = shutil.which("kind")
    return Path(on_path) if on_path else tools.build(tools.KIND) / "kind"


class Kind:
    """One kind cluster with a kubeconfig of its own, so that the user's contexts stay as they are."""

    name = "kind"

    def __init__(self) -> None:
        """Check that Docker is there: kind's own words about it are long."""
        if not docker_answers():
            raise DevclusterError(
                "DEVCLUSTER=kind needs a Docker engine, and none answers: start Docker, or use DEVCLUSTER=native as root."
            )

    @property
    def kubeconfig(self) -> Path:
        """Kubeconfig that kind wrote for this cluster."""
        return paths.cache() / "kind.kubeconfig"

    @property
    def kubectl(self) -> Path:
        """The kubectl on PATH, else one that is built."""
        on_path = shutil.which("kubectl")
        return Path(on_path) if on_path else tools.control_plane_binaries(("kubectl",))["kubectl"]

    def pytest_kind_options(self) -> dict[str, object]:
        """Options that make pytest-kind's fixture use this very cluster and binary, and leave it running."""
        paths.cache().mkdir(parents=True, exist_ok=True)
        return {
            "cluster_name": CLUSTER,
            "keep_cluster": True,
            "kubeconfig": str(self.kubeconfig),
            "kind_bin": str(_kind()),
            "kind_kubectl_bin": str(self.kubectl),
        }

    def up(self) -> Path:
        """Make the cluster unless it is there, and write its kubeconfig."""
        if CLUSTER in self._run("get", "clusters").split():
            self._run("export", "kubeconfig", "--name", CLUSTER, "--kubeconfig", str(self.kubeconfig))
            return self.kubeconfig
        paths.cache().mkdir(parents=True, exist_ok=True)
        with progress("creating the kind cluster"):
            self._run("create", "cluster", "--name", CLUSTER, "--kubeconfig", str(self.kubeconfig), "--wait", "180s")
        return self.kubeconfig

    def down(self) -> None:
        """Delete the cluster and its kubeconfig."""
        self._run("delete", "cluster", "--name", CLUSTER, "--kubeconfig", str(self.kubeconfig))
        self.kubeconfig.unlink(missing_ok=True)

    def load_image(self, archive: Path, names: Sequence[str] = ()) -> None:
        """Load a docker archive into every node, its first image also under `names`."""
        imported = names_in(archive)
        with progress(f"importing {archive.name}"):
            self._run("load", "image-archive", str(archive), "--name", CLUSTER)
        for node in self._run("get", "nodes", "--name", CLUSTER).split():
            for name in names:
                if name not in imported:
                    tag = ["docker", "exec", node, "ctr", "--namespace=k8s.io", "images", "tag", "--force", imported[0], name]
                    self._checked(tag)

    def status(self) -> str:
        """Whether the cluster is there."""
        there = CLUSTER in self._run("get", "clusters").split()
        return f"kind: up, kubeconfig {self.kubeconfig}" if there else "kind: down"

    def _run(self, *arguments: str) -> str:
        return self._checked([str(_kind()), *arguments])

    def _checked(self, command: list[str]) -> str:
        # kind adds to $KUBECONFIG where no file is named.
        environment = os.environ | {"KUBECONFIG": str(self.kubeconfig)}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        if done.returncode != 0:
            words = " / ".join(done.stderr.strip().splitlines()[-3:])
            raise DevclusterError(f"`{' '.join(Path(part).name for part in command[:3])}` failed: {words}")
        return done.stdout
