"""Waiting for what a cluster does by itself: a condition and a deadline, never a fixed pause."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(what: str, condition: Callable[[], T | None], *, within: float, every: float = 1.0, saying: Callable[[], str] | None = None) -> T:
    """The first true answer of `condition`; AssertionError after `within` seconds, with what `saying` adds to explain it."""
    deadline = time.monotonic() + within
    while not (answer := condition()):
        if time.monotonic() > deadline:
            more = f"\n{saying()}" if saying else ""
            raise AssertionError(f"{what}: not within {within:g} s{more}")
        time.sleep(every)
    return answer


class Stopwatch:
    """Seconds since it was made, on a clock that nobody sets."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds so far."""
        return time.monotonic() - self._began
