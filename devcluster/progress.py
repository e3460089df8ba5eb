"""One line when something starts, one now and then while it lasts, one when a long thing is done."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

FIRST_LINE_AFTER = 5.0
THEN_EVERY = 15.0


def say(line: str) -> None:
    """Print a line for the person who waits; stderr, so that stdout stays machine-readable."""
    print(line, file=sys.stderr, flush=True)


@contextmanager
def progress(what: str) -> Iterator[None]:
    """Say `what` with the elapsed seconds while the body runs; silent when it takes less than five seconds."""
    started = time.monotonic()
    done = threading.Event()

    def tick() -> None:
        pause = FIRST_LINE_AFTER
        while not done.wait(pause):
            say(f"  {what}: {time.monotonic() - started:.0f} s ...")
            pause = THEN_EVERY

    ticker = threading.Thread(target=tick, daemon=True)
    ticker.start()
    try:
        yield
    finally:
        done.set()
        ticker.join()
    elapsed = time.monotonic() - started
    if elapsed >= FIRST_LINE_AFTER:
        say(f"  {what}: done in {elapsed:.0f} s")
