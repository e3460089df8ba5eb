"""One `up` or `down` at a time."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager

from devcluster import paths
from devcluster.progress import progress


@contextmanager
def exclusive(name: str) -> Iterator[None]:
    """Hold the lock called `name`; the kernel gives it back when its holder dies."""
    directory = paths.cache()
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / f"{name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with progress(f"waiting for another session that uses {name}"):
                fcntl.flock(lock, fcntl.LOCK_EX)
        yield
