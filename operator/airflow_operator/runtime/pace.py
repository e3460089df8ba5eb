"""How fast the operator writes: a mistake of its own, or a thousand resources at once, must not busy the API server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

Turn = Callable[[], AbstractAsyncContextManager[None]]
"""What a write happens in: it waits before, and may raise instead."""


class Pace:
    """At most so many writes in any second, in the order in which they were asked for.

    The second is that of whoever receives them, who may be slow: a write counts from its turn until a second after its answer, since
    nobody here knows when in between it arrived.
    """

    def __init__(
        self, turns: int, *, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        """`turns` is above zero."""
        self._free_at: asyncio.Queue[float] = asyncio.PriorityQueue()
        for _ in range(turns):
            self._free_at.put_nowait(0.0)
        self._clock = clock
        self._sleep = sleep
        self._queue = asyncio.Lock()

    @asynccontextmanager
    async def turn(self, late: float = 0.0) -> AsyncIterator[None]:
        """Wait for the next turn, and write in the block; `late`: what is written may arrive so many seconds after it."""
        async with self._queue:
            free_at = await self._free_at.get()
            try:
                if (wait := free_at - self._clock()) > 0:
                    await self._sleep(wait)
            except BaseException:
                self._free_at.put_nowait(free_at)
                raise
        try:
            yield
        finally:
            self._free_at.put_nowait(self._clock() + late + 1.0)

    def later(self, seconds: float, late: float = 0.0) -> float:
        """Take a turn for what is written without waiting in one; answers in how many seconds, not before `seconds`, that is."""
        if self._free_at.empty():
            return seconds
        delay = max(seconds, self._free_at.get_nowait() - self._clock())
        self._free_at.put_nowait(self._clock() + delay + late + 1.0)
        return delay
