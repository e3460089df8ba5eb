"""buildah with a store of its own in the cache, so that the host's images are never touched."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from devcluster import paths
from devcluster.errors import DevclusterError
from devcluster.images import base, host
from devcluster.progress import progress

_SCRATCH = "scratch-"
# Then the store is emptied: steps of old builds are of no use, and buildah does not tell them from the new ones.
_KEPT_STEPS = 100


def _mounts_below(directory: Path) -> list[str]:
    lines = Path("/proc/self/mounts").read_text().splitlines()
    points = [line.split()[1] for line in lines]
    return sorted((point for point in points if Path(point).is_relative_to(directory)), reverse=True)


class Store:
    """Working containers and layers of the image builds."""

    def __init__(self, scratch: Path) -> None:
        """Use the store in the cache; `scratch` is a directory for this run alone."""
        self.directory = paths.cache() / "images" / "store"
        self.scratch = scratch

    def buildah(self, *arguments: str, failure: str) -> str:
        """Run buildah on this store and return its output."""
        # An overlay cannot lie on an overlay (a container's own root, for example).
        on_overlay = host.run(["stat", "-f", "-c", "%T", str(self.directory.parent)], "stat failed").strip() == "overlayfs"
        driver = "vfs" if on_overlay else "overlay"
        command = ["buildah", "--root", str(self.directory), "--runroot", str(self.scratch / "run"), "--storage-driver", driver]
        return host.run([*command, *arguments], failure, {"TMPDIR": str(self.scratch)})

    def sweep(self) -> None:
        """Remove what a killed build left behind: mounts, scratch directories and working containers."""
        for old in self.scratch.parent.glob(f"{_SCRATCH}*"):
            if old != self.scratch:
                shutil.rmtree(old)
        for point in _mounts_below(self.directory):
            host.run(["umount", "--lazy", point], f"Could not unmount {point}")
        if self.directory.exists():
            self.buildah("rm", "--all", failure="Could not remove old build containers")
            kept = self.buildah("images", "--all", "--quiet", failure="Could not list the images of the store")
            if len(kept.split()) > _KEPT_STEPS:
                shutil.rmtree(self.directory)

    def base(self) -> str:
        """Name of the base image; imported from the root file system's tar when it is not there."""
        name = f"localhost/devcluster/base:{base.key()}"
        with suppress(DevclusterError):
            self.buildah("inspect", "--type", "image", name, failure="no base")
            return name
        rootfs = base.rootfs()
        # Nothing of value is in the store without its base, and a store broken by a crash is cured this way.
        shutil.rmtree(self.directory, ignore_errors=True)
        context = self.scratch / "base"
        context.mkdir()
        os.link(rootfs, context / "rootfs.tar")
        (context / "Dockerfile").write_text("FROM scratch\nADD rootfs.tar /\n")
        with progress("image base (import)"):
            self.build(name, context, {})
        return name

    def build(self, tag: str, context: Path, args: dict[str, str], *, keep_layers: bool = False) -> None:
        """Build one Dockerfile; with `keep_layers` its unchanged first steps cost nothing the next time."""
        options = [f"--build-arg={name}={value}" for name, value in args.items()]
        self.buildah(
            *("bud", "--isolation", "chroot", "--pull-never", "--tag", tag),
            f"--layers={str(keep_layers).lower()}",
            *options,
            *host.build_secrets(self.scratch),
            str(context),
            failure=f"Could not build {tag}",
        )

    def export(self, tag: str, archive: Path) -> None:
        """Write an image as a docker-archive that `ctr images import` reads, and drop it from the store."""
        self.buildah("push", tag, f"docker-archive:{archive}:{tag}", failure=f"Could not write {archive.name}")
        self.buildah("rmi", tag, failure=f"Could not remove {tag} from the store")


@contextmanager
def opened() -> Iterator[Store]:
    """A store ready for builds; the caller holds the lock of the image builds."""
    images = paths.cache() / "images"
    images.mkdir(parents=True, exist_ok=True)
    # In the cache, not in /tmp: an archive's layers pass through it.
    with tempfile.TemporaryDirectory(prefix=_SCRATCH, dir=images) as scratch:
        store = Store(Path(scratch))
        store.sweep()
        yield store
