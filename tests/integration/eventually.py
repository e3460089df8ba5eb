"""Waiting for what others do, in tests."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def eventually(condition: Callable[[], Awaitable[T | None]], *, within: float = 20.0, every: float = 0.05) -> T:
    """The first true answer of `condition`, which is asked every so often; AssertionError when there was none in time (seconds)."""
    try:
        async with asyncio.timeout(within):
            while not (answer := await condition()):  # noqa: ASYNC110  (the condition lies behind an API, not in this process)
                await asyncio.sleep(every)
            return answer
    except TimeoutError:
        raise AssertionError(f"{getattr(condition, '__name__', condition)} did not become true within {within:g} s") from None
