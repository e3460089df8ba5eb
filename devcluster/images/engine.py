"""Images where a Docker engine answers: real ones are pulled, ours are built by the engine, and what it cannot pull gets a stand-in."""

import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from devcluster import paths
from devcluster.errors import DevclusterError
from devcluster.images import base, host
from devcluster.images.builder import build, forget_older
from devcluster.images.catalog import IMAGES, Image
from devcluster.progress import progress, say


def archives(names: Sequence[str]) -> dict[str, Path]:
    """A docker-archive for each name, named by the engine's id of the image."""
    found: dict[str, Path] = {}
    for name in names:
        image = IMAGES[name]
        if image.ours:
            _build(image)
        elif not _there(image.tag) and not _pulled(image.tag):
            found |= build([name])
            continue
        found[name] = _saved(image)
    return found


def _docker(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    # Another builder of the user would keep what it builds to itself.
    environment = os.environ | {"BUILDX_BUILDER": "default"}
    return subprocess.run(["docker", *arguments], input=stdin, capture_output=True, text=True, check=False, env=environment)


def _required(*arguments: str, stdin: str = "") -> str:
    done = _docker(*arguments, stdin=stdin)
    if done.returncode != 0:
        raise DevclusterError(f"`docker {' '.join(arguments[:2])}` failed: {_last_words(done)}")
    return done.stdout


def _last_words(done: subprocess.CompletedProcess[str]) -> str:
    return " / ".join(done.stderr.strip().splitlines()[-3:]) or "no message"


def _there(tag: str) -> bool:
    return _docker("image", "inspect", tag).returncode == 0


def _pulled(tag: str) -> bool:
    with progress(f"pulling {tag}"):
        done = _docker("pull", "--quiet", tag)
    if done.returncode != 0:
        say(f"{tag} could not be pulled ({_last_words(done)}): a stand-in is built.")
    return done.returncode == 0


def _build(image: Image) -> None:
    """Build one Dockerfile; one that names no base of its own gets Debian with the packages of the stand-ins."""
    names_its_base = "ARG BASE=" in (image.context / "Dockerfile").read_text()
    args = image.args if names_its_base else {"BASE": _base(), **image.args}
    options = [f"--build-arg={name}={value}" for name, value in args.items()]
    with tempfile.TemporaryDirectory() as scratch, progress(f"image {image.name}"):
        _required("build", "--tag", image.tag, *options, *host.build_secrets(Path(scratch)), str(image.context))


def _base() -> str:
    name = f"localhost/devcluster/base:{base.key()}"
    if not _there(name):
        install = f"apt-get update && apt-get install --yes --no-install-recommends {' '.join(base.PACKAGES)}"
        dockerfile = f"FROM docker.io/library/debian:{base.SUITE}-slim\nRUN {install} && rm -rf /var/lib/apt/lists/*\n"
        with progress("image base"):
            _required("build", "--tag", name, "-", stdin=dockerfile)
    return name


def _saved(image: Image) -> Path:
    digest = _required("image", "inspect", "--format={{.Id}}", image.tag).strip().removeprefix("sha256:")
    path = paths.cache() / "images" / "engine" / f"{image.name}-{digest[:12]}.tar"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".part")
        with progress(f"saving {image.name}"):
            _required("image", "save", *_platform(), f"--output={unfinished}", image.tag)
        unfinished.rename(path)
        forget_older(image, path)
    return path


def _platform() -> list[str]:
    """An engine with containerd's image store would save an index of platforms that it never pulled, which no node can import."""
    if "--platform" not in _required("image", "save", "--help"):
        return []
    return [f"--platform={_required('version', '--format={{.Server.Os}}/{{.Server.Arch}}').strip()}"]
