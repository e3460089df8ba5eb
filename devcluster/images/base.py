"""The Debian root file system under every image: made once by mmdebstrap, kept as a tar by the hash of its recipe."""

import hashlib
import os
from pathlib import Path

from devcluster import paths
from devcluster.images import host
from devcluster.progress import progress

SUITE = "bookworm"
PACKAGES = ("ca-certificates", "dumb-init", "git", "openssh-client", "python3", "python3-venv")
# Nobody reads manuals in a test bed, and every image archive carries this layer.
_LEFT_OUT = ("/usr/share/man/*", "/usr/share/doc/*", "/usr/share/info/*", "/usr/share/locale/*")
_REVISION = "1"


def key() -> str:
    """Hash of the recipe, 12 hexadecimal digits."""
    return hashlib.sha256(repr((SUITE, PACKAGES, _LEFT_OUT, _REVISION)).encode()).hexdigest()[:12]


def _sources() -> list[str]:
    """Where the packages come from: the mirror that is named, else this host's own; none leaves it to mmdebstrap."""
    if mirror := os.environ.get("DEVCLUSTER_DEBIAN_MIRROR", "").rstrip("/"):
        return [
            f"deb {mirror}/debian {SUITE} main",
            f"deb {mirror}/debian {SUITE}-updates main",
            f"deb {mirror}/debian-security {SUITE}-security main",
        ]
    listing = ["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE)", "Created-By: Packages"]
    lines = {tuple(line.split()) for line in host.run(listing, "This host's package sources could not be read").splitlines()}
    return [f"deb {uri} {release} main" for uri, release in sorted(lines) if release.split("-")[0] == SUITE]


def rootfs() -> Path:
    """Path of the root file system's tar; made when it is not there."""
    path = paths.cache() / "images" / f"base-{key()}.tar"
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".part")
    options = [f"--dpkgopt=path-exclude={pattern}" for pattern in _LEFT_OUT]
    command = ["mmdebstrap", "--mode=root", "--variant=minbase", "--format=tar", f"--include={','.join(PACKAGES)}", *options]
    with progress("image base (Debian packages)"):
        host.run([*command, SUITE, str(unfinished), *_sources()], "Debian's packages could not be unpacked")
    unfinished.rename(path)
    return path
