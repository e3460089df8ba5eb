"""Locks between processes: the kernel gives one back when its holder dies."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from devcluster import paths
from devcluster.progress import progress


@contextmanager
def held(path: Path, waiting: str) -> Iterator[int]:
    """Hold the lock of a file, which is made with its directory; `waiting` is shown meanwhile. Gives the file's descriptor."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with progress(waiting):
                fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock.fileno()


@contextmanager
def exclusive(name: str) -> Iterator[None]:
    """Hold the lock called `name`: one `up`, `down` or installation at a time."""
    with held(paths.cache() / f"{name}.lock", f"waiting for another session that uses {name}"):
        yield
