"""Debian packages that a host lacks: installed where that is possible, else one sentence with the command."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from devcluster.errors import DevclusterError
from devcluster.progress import progress

_MANUALS = Path("/usr/share/man/man1")


def install(packages: Sequence[str], need: str) -> None:
    """Install Debian packages as root; DevclusterError, which begins with `need`, where that is not possible or fails."""
    names = " ".join(packages)
    by_hand = f"apt-get update && apt-get install --yes --no-install-recommends {names}"
    if not shutil.which("apt-get"):
        raise DevclusterError(f"{need} needs programs that Debian packs as {names}: install them, and run this again.")
    if os.geteuid() != 0:
        raise DevclusterError(f"{need} needs Debian's {names}. As root: {by_hand}")
    # Java and PostgreSQL cannot be installed on a slim Debian, which has no directory for manuals.
    _MANUALS.mkdir(parents=True, exist_ok=True)
    apt = ["apt-get", "--quiet", "--option=DPkg::Lock::Timeout=300"]
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    with progress(f"installing {names}"):
        # The lists of a fresh machine are empty or old, and install then fails by a wrong address.
        subprocess.run([*apt, "update"], capture_output=True, check=False, env=environment)
        command = [*apt, "install", "--yes", "--no-install-recommends", *packages]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode != 0:
        words = " / ".join((done.stderr or done.stdout).strip().splitlines()[-2:])
        raise DevclusterError(f"Debian's {names} could not be installed; try by hand: {by_hand} ({words})")
