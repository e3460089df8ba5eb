"""The life of one resource: reconcile, rest, be woken, again; and at its end the clean-up."""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from airflow_operator.domain.errors import Waiting
from airflow_operator.kube.errors import AlreadyExists, ApiError, Conflict, Unavailable
from airflow_operator.reconcile.types import LookAgain
from airflow_operator.runtime.leader import NotLeading
from airflow_operator.settings import Settings

log = logging.getLogger("airflow_operator.loop")

Reconcile = Callable[[], Awaitable[LookAgain]]
"""One step towards the declared state."""
Delete = Callable[[], Awaitable[LookAgain | None]]
"""One step of the clean-up; None when nothing is left to do. `Waiting` while others still need the resource."""

FIRST_BACKOFF = 1.0
LONGEST_BACKOFF = 120.0
CALM = 2.0
"""After a failure even a wake-up waits up to so many seconds, since the wake-up may be the failure's own doing."""
STOP_GRACE = 3.0
"""How long a running reconciliation may go on after its loop was told to stop."""
DELETION_POLL = 5.0
RESYNC_JITTER = (0.9, 1.1)


@dataclass(frozen=True)
class Timing:
    """The times of a loop, in seconds."""

    resync: float
    debounce: float
    reconcile_timeout: float
    deletion_timeout: float

    @classmethod
    def of(cls, settings: Settings) -> Timing:
        """The times that the settings give."""
        return cls(settings.resync, settings.debounce, settings.reconcile_timeout, settings.deletion_timeout)


def backoff(failures: int, at_least: float = 0.0) -> float:
    """Seconds to rest after so many failures in a row: doubled each time, with jitter, never below `at_least`."""
    delay = min(FIRST_BACKOFF * 2.0 ** min(failures - 1, 16), LONGEST_BACKOFF)
    return max(delay * random.uniform(0.8, 1.2), at_least)


async def at_once() -> None:
    """Nothing is waited for."""


class Loop:
    """Serves one resource until it is stopped; two reconciliations of it never overlap."""

    def __init__(
        self,
        title: str,
        reconcile: Reconcile,
        *,
        flag: asyncio.Event,
        timing: Timing,
        slots: asyncio.Semaphore,
        may_begin: Callable[[], bool] = lambda: True,
        after: Callable[[], Awaitable[None]] = at_once,
    ) -> None:
        """Nothing is called before `after` has ended, and `may_begin` answers True: that is asked at each wake-up."""
        self._title = title
        self._reconcile = reconcile
        self._flag = flag
        self._timing = timing
        self._slots = slots
        self._may_begin = may_begin
        self._after = after
        self._failures = 0
        self._rested_since = -math.inf
        self._stopping = False
        self._task: asyncio.Task[None] | None = None
        self._ended = asyncio.Event()

    async def run(self) -> None:
        """Reconcile for ever; returns after `stop`."""
        self._task = asyncio.current_task()
        try:
            await self._after()
            while not self._stopping:
                rest, calm = await self._attempt()
                await self._sleep(rest, calm)
        finally:
            self._ended.set()

    async def stop(self) -> None:
        """End the loop: what runs gets a moment, then it is cancelled. Returns when nothing runs any more."""
        self._stopping = True
        self._flag.set()
        if self._task is None or self._task is asyncio.current_task():
            return
        try:
            async with asyncio.timeout(STOP_GRACE):
                await self._ended.wait()
        except TimeoutError:
            self._task.cancel()
            await self._ended.wait()

    async def _attempt(self) -> tuple[float, float]:
        """One reconciliation; answers how long to rest, and for how long not even to listen."""
        if not self._may_begin():
            self._flag.clear()
            return self._timing.resync, 0.0
        async with self._slots:
            self._flag.clear()
            if self._stopping:
                return 0.0, 0.0
            try:
                async with asyncio.timeout(self._timing.reconcile_timeout):
                    again = await self._reconcile()
            except Exception as error:
                self._failures += 1
                rest = backoff(self._failures, _asked_for(error))
                report(self._title, error, rest)
                return rest, min(rest, CALM)
            finally:
                self._rested_since = asyncio.get_running_loop().time()
        self._failures = 0
        resync = self._timing.resync * random.uniform(*RESYNC_JITTER)
        return (resync if again.after is None else min(again.after, resync)), 0.0

    async def _sleep(self, rest: float, calm: float) -> None:
        if self._stopping:
            return
        await asyncio.sleep(calm)
        try:
            async with asyncio.timeout(max(rest - calm, 0.0)):
                await self._flag.wait()
        except TimeoutError:
            return
        if not self._stopping:
            # News after a rest are looked at at once, and what follows them is gathered.
            await asyncio.sleep(self._rested_since + self._timing.debounce - asyncio.get_running_loop().time())


async def delete(title: str, step: Delete, *, flag: asyncio.Event, timing: Timing) -> str | None:
    """Repeat a clean-up until it has nothing left to do, or has failed or lingered for `deletion_timeout`.

    Answers None when all is done, else the last thing that stood in the way. `Waiting` stops the clock: it means that
    somebody still needs what would be removed. So does an API server that nobody can ask: that is no failure of the clean-up.
    """
    clock = asyncio.get_running_loop().time
    busy_since: float | None = None
    failures = 0
    obstacle = "it did not end in time"
    while True:
        flag.clear()
        started = clock()
        try:
            async with asyncio.timeout(timing.reconcile_timeout):
                again = await step()
            if again is None:
                return None
            failures = 0
            rest = DELETION_POLL if again.after is None else again.after
        except Waiting as waiting:
            log.info("%s: %s", title, waiting.message)
            busy_since = None
            await _rest(flag, timing.resync if waiting.again is None else min(waiting.again, timing.resync), timing.debounce)
            continue
        except Exception as error:
            failures += 1
            obstacle = _in_words(error)
            rest = backoff(failures, _asked_for(error))
            report(title, error, rest)
            if _is_outage(error):
                busy_since = None
                await _rest(flag, rest, timing.debounce)
                continue
        busy_since = started if busy_since is None else busy_since
        left = busy_since + timing.deletion_timeout - clock()
        if left <= 0:
            return obstacle
        await _rest(flag, min(rest, left), timing.debounce)


async def _rest(flag: asyncio.Event, seconds: float, debounce: float) -> None:
    await asyncio.sleep(min(debounce, seconds))
    try:
        async with asyncio.timeout(seconds):
            await flag.wait()
    except TimeoutError:
        return


def report(title: str, error: Exception, rest: float) -> None:
    """Log a failed step: expected failures in one line, bugs with their traceback."""
    if isinstance(error, Waiting | Unavailable | AlreadyExists | Conflict | NotLeading | TimeoutError):
        log.warning("%s: %s; next try in %.0f s", title, _in_words(error), rest)
    else:
        log.error("%s: unexpected failure; next try in %.0f s", title, rest, exc_info=error)


def _is_outage(error: Exception) -> bool:
    # A 500 is of the request: a webhook that fails says it.
    return isinstance(error, Unavailable) and error.status != 500


def _asked_for(error: Exception) -> float:
    if isinstance(error, ApiError):
        return min(error.retry_after or 0.0, LONGEST_BACKOFF)
    return 0.0


def _in_words(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "it took too long"
    return str(error) or type(error).__name__
