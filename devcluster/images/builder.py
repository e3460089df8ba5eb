"""Build images and keep each as an archive named by the hash of what it is made of."""

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path

from devcluster import paths, tools
from devcluster.errors import DevclusterError
from devcluster.images import host, store
from devcluster.images.catalog import DEFAULT, IMAGES, GoBinary, Image, MavenArtifact
from devcluster.progress import progress, say


def archive(image: Image) -> Path:
    """Where the archive of an image is, or will be."""
    return paths.cache() / "images" / f"{image.name}-{image.key()}.tar"


def build(names: Sequence[str] = ()) -> dict[str, Path]:
    """Return a docker-archive for each name (all of the default set when none is given), building what is missing."""
    unknown = [name for name in names if name not in IMAGES]
    if unknown:
        raise DevclusterError(f"There is no image {', '.join(unknown)}: known are {', '.join(IMAGES)}.")
    images = [IMAGES[name] for name in names or DEFAULT]
    archives = {image.name: archive(image) for image in images}
    if not all(path.exists() for path in archives.values()):
        host.check()
        with host.locked(paths.cache() / "images"):
            _build_missing([image for image in images if not archives[image.name].exists()], archives)
    return archives


def _build_missing(images: list[Image], archives: dict[str, Path]) -> None:
    if not images:
        return
    host.require("buildah", "mmdebstrap")
    say(f"Building images {', '.join(image.name for image in images)} (once; kept in {paths.cache() / 'images'})")
    with store.opened() as opened:
        base = opened.base()
        for image in images:
            with progress(f"image {image.name}"):
                _build_one(opened, base, image, archives[image.name])


def _build_one(opened: store.Store, base: str, image: Image, path: Path) -> None:
    if image.artifact is None:
        context = image.context
    else:
        context = opened.scratch / image.name
        shutil.copytree(image.context, context)
        shutil.copy(_made(image.artifact), context / image.artifact.target)
    opened.build(image.tag, context, {"BASE": base, **image.args}, keep_layers=image.keep_layers)
    unfinished = path.with_suffix(".part")
    unfinished.unlink(missing_ok=True)
    opened.export(image.tag, unfinished)
    unfinished.rename(path)
    forget_older(image, path)


def forget_older(image: Image, current: Path) -> None:
    """Remove the archives beside `current` of the same image, but the last one."""
    digits = "[0-9a-f]" * 12
    others = [path for path in current.parent.glob(f"{image.name}-{digits}.tar") if path != current]
    # The last one before stays: another run, of an older source, may be about to import it.
    for path in sorted(others, key=lambda path: path.stat().st_mtime)[:-1]:
        path.unlink(missing_ok=True)


def _made(artifact: MavenArtifact | GoBinary) -> Path:
    """The file that an image is made of beside its sources."""
    if isinstance(artifact, GoBinary):
        return tools.build(artifact.group) / artifact.target
    return _fetched(artifact)


def _fetched(artifact: MavenArtifact) -> Path:
    """The artifact in the cache, fetched by Maven when it is not there, and of the content that was pinned."""
    directory = paths.cache() / "images" / "maven"
    _, name, version = artifact.coordinates.split(":")
    path = directory / f"{name}-{version}.jar"
    if not path.exists():
        host.require("mvn")
        goal = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"
        command = ["mvn", "--quiet", "--batch-mode", goal, f"-Dartifact={artifact.coordinates}", f"-DoutputDirectory={directory}"]
        host.run(command, f"Maven could not fetch {artifact.coordinates}")
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != artifact.sha256:
        path.unlink()
        raise DevclusterError(f"{path.name} has the checksum {found}, not {artifact.sha256}: it was removed, try again.")
    return path
