"""The two images that every cluster needs, made from files alone: `pause`, and a busybox for smoke tests."""

import hashlib
import io
import json
import shutil
import subprocess
import tarfile
from collections.abc import Mapping
from pathlib import Path

from devcluster import tools
from devcluster.errors import DevclusterError
from devcluster.node import PAUSE_IMAGE

BUSYBOX_IMAGE = "localhost/devcluster/busybox:1.35"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def _add(archive: tarfile.TarFile, name: str, content: bytes, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    archive.addfile(entry, io.BytesIO(content))


def _directory(archive: tarfile.TarFile, name: str, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode = tarfile.DIRTYPE, mode
    archive.addfile(entry)


def _link(archive: tarfile.TarFile, name: str, target: str) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname, entry.mode = tarfile.SYMTYPE, target, 0o777
    archive.addfile(entry)


def _image(path: Path, name: str, layer: bytes, config: Mapping[str, object]) -> Path:
    """Write a one-layer image as a docker archive."""
    diff_id = hashlib.sha256(layer).hexdigest()
    architecture = _ARCHITECTURES.get(tools.machine(), tools.machine())
    rootfs = {"type": "layers", "diff_ids": [f"sha256:{diff_id}"]}
    description = json.dumps({"architecture": architecture, "os": "linux", "config": config, "rootfs": rootfs}).encode()
    config_name = f"{hashlib.sha256(description).hexdigest()}.json"
    manifest = [{"Config": config_name, "RepoTags": [name], "Layers": [f"{diff_id}.tar"]}]
    with tarfile.open(path, "w") as archive:
        _add(archive, config_name, description)
        _add(archive, f"{diff_id}.tar", layer)
        _add(archive, "manifest.json", json.dumps(manifest).encode())
    return path


def pause(path: Path) -> Path:
    """Write the image of the sandbox container."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as archive:
        _add(archive, "pause", (tools.build(tools.PAUSE) / "pause").read_bytes(), 0o755)
    return _image(path, PAUSE_IMAGE, layer.getvalue(), {"Entrypoint": ["/pause"], "User": "65535:65535"})


def busybox(path: Path) -> Path:
    """Write an image of Debian's static busybox with all its commands; runs as user 1000."""
    found = shutil.which("busybox")
    if not found:
        raise DevclusterError("The smoke test's image needs Debian's busybox-static: install it, and run this again.")
    commands = subprocess.run([found, "--list"], capture_output=True, text=True, check=True).stdout.split()
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as archive:
        for directory, mode in (("bin", 0o755), ("etc", 0o755), ("tmp", 0o1777)):
            _directory(archive, directory, mode)
        _add(archive, "bin/busybox", Path(found).read_bytes(), 0o755)
        for command in commands:
            if command != "busybox":
                _link(archive, f"bin/{command}", "busybox")
        _add(archive, "etc/passwd", b"root:x:0:0:root:/:/bin/sh\nuser:x:1000:1000:user:/tmp:/bin/sh\n")
        _add(archive, "etc/group", b"root:x:0:\nuser:x:1000:\n")
    config = {"Cmd": ["/bin/sh"], "Env": ["PATH=/bin"], "User": "1000:1000"}
    return _image(path, BUSYBOX_IMAGE, layer.getvalue(), config)


def names_in(archive: Path) -> list[str]:
    """Image names that a docker archive carries, in their order and in full, as containerd knows them."""
    try:
        with tarfile.open(archive) as opened:
            manifest = opened.extractfile("manifest.json")
            images = json.load(manifest) if manifest else []
    except (KeyError, tarfile.TarError):
        raise DevclusterError(f"{archive} is not an image archive made by `docker save` or the like.") from None
    names = [_in_full(name) for image in images for name in image.get("RepoTags") or []]
    if not names:
        raise DevclusterError(f"{archive} names no image: save it with a name.")
    return names


def _in_full(name: str) -> str:
    """`docker save` leaves out what Docker takes for granted: postgres:17 is docker.io/library/postgres:17."""
    first, slash, _ = name.partition("/")
    if not slash:
        return f"docker.io/library/{name}"
    return name if "." in first or ":" in first or first == "localhost" else f"docker.io/{name}"
