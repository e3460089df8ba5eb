"""A cluster that somebody else runs: used only when its context is named, since tests create and delete in it."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from devcluster import paths, tools
from devcluster.certs import write_private
from devcluster.errors import DevclusterError


class Context:
    """The context $DEVCLUSTER_CONTEXT of the user's kubeconfig; neither made nor removed by us."""

    name = "kubeconfig"

    def __init__(self) -> None:
        """Refuse to guess: without $DEVCLUSTER_CONTEXT nothing is touched."""
        self._context = os.environ.get("DEVCLUSTER_CONTEXT", "")
        if not self._context:
            raise DevclusterError(
                "DEVCLUSTER=kubeconfig also needs DEVCLUSTER_CONTEXT, the name of the context to use:"
                " `kubectl config get-contexts` shows them."
            )

    @property
    def kubeconfig(self) -> Path:
        """A kubeconfig that holds the named context alone."""
        return paths.cache() / "context.kubeconfig"

    @property
    def kubectl(self) -> Path:
        """The kubectl on PATH, else one that is built."""
        on_path = shutil.which("kubectl")
        return Path(on_path) if on_path else tools.control_plane_binaries(("kubectl",))["kubectl"]

    def up(self) -> Path:
        """Check that the cluster answers, and copy its context out, so that a later change of context is harmless."""
        view = self._run("config", "view", "--raw", "--minify", "--flatten", f"--context={self._context}")
        paths.cache().mkdir(parents=True, exist_ok=True)
        write_private(self.kubeconfig, view)
        self._run("version", f"--context={self._context}", "--request-timeout=10s")
        return self.kubeconfig

    def down(self) -> None:
        """Forget the copy; the cluster is not ours to remove."""
        self.kubeconfig.unlink(missing_ok=True)

    def load_image(self, archive: Path, names: Sequence[str] = ()) -> None:
        """Always refused: nodes of a foreign cluster pull from a registry."""
        wanted = ", ".join(names) or archive.name
        raise DevclusterError(f"Images cannot be loaded into a cluster of somebody else: push {wanted} to a registry that it can reach.")

    def status(self) -> str:
        """Whether the cluster answers."""
        return (
            f"kubeconfig: context {self._context}\n{self._run('version', f'--context={self._context}', '--request-timeout=10s')}".rstrip()
        )

    def _run(self, *arguments: str) -> str:
        done = subprocess.run([str(self.kubectl), *arguments], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            words = " / ".join(done.stderr.strip().splitlines()[-2:])
            raise DevclusterError(f"The context {self._context} does not work: {words}")
        return done.stdout
