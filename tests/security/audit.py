"""Known vulnerabilities of everything in uv.lock, by `uv audit` from OSV: `python -m tests.security.audit`.

Exit code 1 where there are any. Where the database cannot be reached it says so in one line and passes: nothing is known then.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
UNREACHABLE = "audit: the database of vulnerabilities cannot be reached, so nothing was looked for"


def uv() -> str:
    """The uv that the Makefile uses."""
    return shutil.which("uv") or str(ROOT / ".build" / "uv" / "bin" / "uv")


def main(*options: str) -> int:
    """`options` go to `uv audit`."""
    command = [uv(), "audit", "--frozen", "--preview-features", "audit-command", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode and "error sending request" in done.stderr:
        print(UNREACHABLE)
        return 0
    print(done.stdout + done.stderr, end="")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
