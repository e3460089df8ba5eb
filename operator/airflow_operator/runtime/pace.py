"""How fast the operator writes: a mistake of its own, or a thousand resources at once, must not busy the API server."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable


class Pace:
    """At most so many turns in any second, given in the order in which they were asked for."""

    def __init__(
        self, turns: int, *, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        """`turns` is above zero."""
        self._given: deque[float] = deque(maxlen=turns)
        self._clock = clock
        self._sleep = sleep
        self._queue = asyncio.Lock()

    async def turn(self) -> None:
        """Wait for the next turn."""
        async with self._queue:
            while len(self._given) == self._given.maxlen and (wait := self._given[0] + 1 - self._clock()) > 0:
                await self._sleep(wait)
            self._given.append(self._clock())
