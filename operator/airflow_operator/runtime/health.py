"""Reading Airflow's health endpoint, carefully: it is served by code that a tenant chose."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import aiohttp

from airflow_operator.reconcile.types import Health

log = logging.getLogger("airflow_operator.health")

TIMEOUT = 3.0
MOST_BYTES = 64 * 1024
STEADY_INTERVAL = 15.0
EAGER_INTERVAL = 2.0
"""Between two readings of a cluster that is not healthy yet, so that Ready comes soon after Airflow."""
EAGER_FOR = 600.0
"""After so long without health the reading is no longer eager."""
MISSES = 3
"""Failed readings in a row before a cluster counts as unreachable."""
FORGET_AFTER = 3600.0


def client(at_once: int) -> aiohttp.ClientSession:
    """The HTTP client of the probe, for so many readings at the same time; to be closed."""
    # One connection a reading: an open one would keep a pod in its grace period. Packed answers stay packed: they could be bombs.
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(force_close=True, limit=at_once),
        headers={"Accept": "application/json", "Accept-Encoding": "identity"},
        auto_decompress=False,
        trust_env=False,
    )


class HealthProbe(Protocol):
    """Where `reconcile` learns what Airflow says of itself."""

    async def read(self, url: str) -> Health:
        """The health at `url`, from memory where it was read a moment ago; never raises."""


class Unreadable(Exception):
    """No answer, or none that can be used."""


@dataclass
class _Entry:
    """What is remembered of one URL."""

    created: float
    health: Health = field(default_factory=Health)
    asked_at: float = float("-inf")
    unhealthy_since: float | None = None
    misses: int = 0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class HttpHealthProbe:
    """One GET a cluster each 15 seconds: no redirects, 3 seconds, 64 KiB, no proxy, three misses before it counts."""

    def __init__(self, session: aiohttp.ClientSession, clock: Callable[[], float] | None = None) -> None:
        """`session` is one of `client`."""
        self._session = session
        self._clock = clock or asyncio.get_running_loop().time
        self._entries: dict[str, _Entry] = {}

    async def read(self, url: str) -> Health:
        """The health at `url`, at most 15 seconds old (2 while it is not healthy yet)."""
        entry = self._entry(url)
        async with entry.lock:
            if self._clock() - entry.asked_at < self._interval(entry):
                return entry.health
            entry.asked_at = self._clock()
            try:
                components = components_of(await self._fetch(url))
            except Unreadable as error:
                self._missed(entry, url, error)
            else:
                entry.misses = 0
                entry.health = Health(reachable=True, components=components)
                self._note(entry)
            return entry.health

    def _entry(self, url: str) -> _Entry:
        now = self._clock()
        if url not in self._entries:
            for old in [key for key, entry in self._entries.items() if now - max(entry.asked_at, entry.created) > FORGET_AFTER]:
                del self._entries[old]
        return self._entries.setdefault(url, _Entry(created=now))

    def _interval(self, entry: _Entry) -> float:
        if entry.health.reachable and entry.unhealthy_since is None and not entry.misses:
            return STEADY_INTERVAL
        since = entry.created if entry.unhealthy_since is None else entry.unhealthy_since
        return EAGER_INTERVAL if self._clock() - since < EAGER_FOR else STEADY_INTERVAL

    def _missed(self, entry: _Entry, url: str, error: Unreadable) -> None:
        entry.misses += 1
        log.debug("%s: %s (%d in a row)", url, error, entry.misses)
        if entry.misses >= MISSES:
            entry.health = Health(reachable=False)
            self._note(entry)

    def _note(self, entry: _Entry) -> None:
        healthy = bool(entry.health.reachable) and all(status == "healthy" for status in entry.health.components.values())
        if healthy:
            entry.unhealthy_since = None
        elif entry.unhealthy_since is None:
            entry.unhealthy_since = self._clock()

    async def _fetch(self, url: str) -> bytes:
        try:
            async with (
                asyncio.timeout(TIMEOUT),
                self._session.get(url, allow_redirects=False) as response,
            ):
                if response.status != 200:
                    raise Unreadable(f"HTTP {response.status}")
                body = b""
                async for chunk in response.content.iter_chunked(MOST_BYTES):
                    body += chunk
                    if len(body) > MOST_BYTES:
                        raise Unreadable("the answer is too long")
                return body
        except TimeoutError:
            raise Unreadable("no answer in time") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise Unreadable(f"{type(error).__name__}: {error}") from None


def components_of(body: bytes) -> Mapping[str, str]:
    """Status by component, from the body of Airflow 3's /api/v2/monitor/health or 2.x's /health.

    A component that reports no status (nothing of its kind has ever run) is left out.
    """
    try:
        document: Any = json.loads(body)
    except (ValueError, RecursionError):
        raise Unreadable("the answer is not JSON") from None
    if not isinstance(document, dict):
        raise Unreadable("the answer is not an object")
    found = {
        str(name)[:64]: value["status"][:64]
        for name, value in document.items()
        if isinstance(value, dict) and isinstance(value.get("status"), str)
    }
    if not found:
        raise Unreadable("the answer names no component")
    return found


class NoHealthProbe:
    """Knows nothing: for an operator that cannot reach the pods' network."""

    async def read(self, url: str) -> Health:
        """Always: not asked."""
        return Health(asked=False)
