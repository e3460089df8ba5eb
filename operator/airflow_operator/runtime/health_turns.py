"""Wakes a cluster when Airflow's health turns, so that its loop need not look again and again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from airflow_operator.domain.kinds import AIRFLOW_CLUSTER
from airflow_operator.reconcile.types import Health
from airflow_operator.runtime.health import HealthProbe
from airflow_operator.runtime.wakeups import Resource

TICK = 1.0
"""Seconds between two rounds; the probe itself decides how often an endpoint is really asked."""


class HealthTurns:
    """Which endpoint each cluster has, and what it said last."""

    def __init__(self, probe: HealthProbe, wake: Callable[[Resource], None]) -> None:
        """`wake` is called with the cluster whose health turned."""
        self._probe = probe
        self._wake = wake
        self._watched: dict[Resource, tuple[str, Health]] = {}

    async def read(self, namespace: str, name: str, url: str) -> Health:
        """What the endpoint says now; from here on the cluster is woken when that turns."""
        health = await self._probe.read(url)
        self._watched[Resource(AIRFLOW_CLUSTER, namespace, name)] = (url, health)
        return health

    def forget(self, namespace: str, name: str) -> None:
        """Watch a cluster no longer: it is gone, or nobody serves its endpoint."""
        self._watched.pop(Resource(AIRFLOW_CLUSTER, namespace, name), None)

    async def run(self) -> None:
        """Watch for ever."""
        while True:
            await asyncio.sleep(TICK)
            await asyncio.gather(*(self._look(resource, url, last) for resource, (url, last) in list(self._watched.items())))

    async def _look(self, resource: Resource, url: str, last: Health) -> None:
        health = await self._probe.read(url)
        if health != last and self._watched.get(resource) == (url, last):
            self._watched[resource] = (url, health)
            self._wake(resource)
