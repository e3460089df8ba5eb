"""Which Kubernetes is used: kind where Docker answers, a named context of a kubeconfig, or a cluster on this host."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from devcluster.errors import DevclusterError
from devcluster.kind import Kind, docker_answers, kind_available
from devcluster.kubeconfig import Context
from devcluster.native import Native


class Provider(Protocol):
    """A Kubernetes cluster that can be brought up, filled with images, and taken away."""

    name: str

    @property
    def kubeconfig(self) -> Path:
        """Kubeconfig of a cluster administrator, whose current context is the cluster."""

    @property
    def kubectl(self) -> Path:
        """A kubectl of a fitting version."""

    def up(self) -> Path:
        """Bring the cluster up, or leave it as it is when it is up; return its kubeconfig."""

    def down(self) -> None:
        """Take the cluster away; no error when there is none."""

    def load_image(self, archive: Path, names: Sequence[str] = ()) -> None:
        """Make the images of a docker archive known to every node, the first of them also under `names`."""

    def status(self) -> str:
        """What is there, in a few lines."""


def provider(name: str | None = None) -> Provider:
    """The provider called `name`, or $DEVCLUSTER, or the first that this host can carry."""
    chosen = name or os.environ.get("DEVCLUSTER") or ("kind" if docker_answers() and kind_available() else "native")
    if chosen == "kind":
        return Kind()
    if chosen == "kubeconfig":
        return Context()
    if chosen == "native":
        return Native()
    raise DevclusterError(f"DEVCLUSTER is '{chosen}', and can be kind, kubeconfig or native.")
