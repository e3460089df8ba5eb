"""Kills the processes of a throwaway control plane and removes its files when the process that made it is gone.

Started as a script of its own. Reads process ids from stdin, one a line, until the other end closes: by will, or since its owner died.
Unlike PR_SET_PDEATHSIG this does not depend on the thread that started the processes.
"""

import os
import shutil
import signal
import sys
from contextlib import suppress


def main() -> None:
    """Wait for the end of stdin, then clean up."""
    # A terminal's Ctrl-C or a CI's hang-up goes to the whole group: we must outlive the owner.
    for ignored in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(ignored, signal.SIG_IGN)
    pids = [int(line) for line in sys.stdin]
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    # Twice: a dying process may still write a file while the tree is being removed.
    for _ in range(2):
        shutil.rmtree(sys.argv[1], ignore_errors=True)


main()
