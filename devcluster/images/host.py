"""What this host must have to build images, and how its commands are run."""

import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from devcluster import locks, packages, paths
from devcluster.errors import DevclusterError

FREE_GB_TO_BUILD = 6
_DEBIAN_PACKAGES = {"buildah": "buildah", "mmdebstrap": "mmdebstrap", "mvn": "maven"}
_CA_INSIDE = "/run/secrets/ca-bundle"
_locks: set[int] = set()


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold the lock of the image builds.

    Commands that `run` starts hold it with us: when this process is killed and its buildah lives on, the next build waits for it.
    """
    with locks.held(directory / ".lock", "waiting for another build of images") as lock:
        _locks.add(lock)
        try:
            yield
        finally:
            _locks.discard(lock)


def _full_disk(directory: Path) -> DevclusterError:
    free = shutil.disk_usage(directory).free / 1e9
    return DevclusterError(
        f"Building images needs {FREE_GB_TO_BUILD} GB of free disk, and {directory} has {free:.1f} GB:"
        " make room, or set DEVCLUSTER_CACHE to a directory on a larger disk."
    )


def run(command: Sequence[str], failure: str, env: dict[str, str] | None = None) -> str:
    """Run a command and return its output; raise DevclusterError(failure and its last words) when it fails."""
    # A build must not starve a cluster on the same host.
    nice = ["nice", "-n", "10"] if shutil.which("nice") else []
    done = subprocess.run(
        [*nice, *command],
        capture_output=True,
        text=True,
        errors="replace",
        env=os.environ | (env or {}),
        pass_fds=tuple(_locks),
        check=False,
    )
    if done.returncode == 0:
        return done.stdout
    words = done.stdout + done.stderr
    if "o space left on device" in words:
        raise _full_disk(paths.cache())
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    raise DevclusterError(f"{failure}: {' / '.join(lines[-4:]) or 'no message'}")


def check() -> None:
    """Refuse to start where a build cannot end well: not root, or too little disk."""
    if os.geteuid() != 0:
        raise DevclusterError(
            "Building images needs root, since Debian's packages are unpacked with their owners:"
            " run this as root, or start a Docker engine and use kind."
        )
    directory = paths.cache()
    directory.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(directory).free < FREE_GB_TO_BUILD * 1e9:
        raise _full_disk(directory)


def require(*programs: str) -> None:
    """Make sure that programs are installed: by apt-get where it is there, else say which are missing."""
    missing = sorted(_DEBIAN_PACKAGES[program] for program in programs if not shutil.which(program))
    if missing:
        packages.install(missing, "Building images")


def ca_bundle() -> Path | None:
    """Bundle of certificate authorities that this host is told to use in place of the well-known ones."""
    for variable in ("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        path = Path(os.environ.get(variable, ""))
        if path.is_file():
            return path
    return None


def package_index() -> dict[str, str]:
    """Settings of pip's and uv's package index, as this host has them."""
    names = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX")
    return {name: value for name in names if (value := os.environ.get(name))}


def build_secrets(scratch: Path) -> list[str]:
    """Options that lend this host's certificate authorities and package index to RUN steps; nothing of them stays in a layer."""
    settings = package_index()
    options = []
    if bundle := ca_bundle():
        options.append(f"--secret=id=ca-bundle,src={bundle}")
        settings |= {"SSL_CERT_FILE": _CA_INSIDE, "PIP_CERT": _CA_INSIDE}
    if settings:
        file = scratch / "build-env"
        file.write_text("".join(f"export {name}={shlex.quote(value)}\n" for name, value in settings.items()))
        file.chmod(0o600)
        options.append(f"--secret=id=build-env,src={file}")
    return options
