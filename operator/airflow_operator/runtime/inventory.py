"""Which children each cluster had when this process began to watch: it shows where nothing happened while no operator ran."""

from __future__ import annotations

import asyncio
import math
from collections import defaultdict
from collections.abc import Callable
from random import getrandbits

from airflow_operator.domain.hashing import together, version_of
from airflow_operator.domain.kinds import AIRFLOW_CLUSTER
from airflow_operator.domain.manifest import Live
from airflow_operator.runtime.wakeups import Resource


class Inventory:
    """A sum for each cluster over the versions of its children, from the first list of each watch.

    It is good until something happens to a child, and for a while: what a watch lost is found by looking at everything.
    """

    def __init__(self, good_for: float = 0.0) -> None:
        """`good_for`: seconds from the last of the first lists."""
        self._good_for = good_for
        self._good_until = -math.inf
        self._awaited = 0
        self._complete = asyncio.Event()
        self._complete.set()
        self._sums: defaultdict[Resource, int] = defaultdict(int)

    def expect(self) -> Callable[[bool], None]:
        """One more watch; what this answers is told whether its list came. Only the first time counts."""
        self._awaited += 1
        self._complete.clear()
        told = False

        def tell(came: bool) -> None:
            nonlocal told
            if not told:
                told = True
                self._told(came)

        return tell

    def noticed(self, event: str, cluster: Resource, live: Live) -> None:
        """A child is there, or something happened to it."""
        if self._complete.is_set():
            self._sums.pop(cluster, None)
        else:
            # What changes while lists are still to come spoils the sum: no look has told such a one.
            version = version_of(live["metadata"]) if event == "ADDED" else getrandbits(64)
            self._sums[cluster] = together((self._sums[cluster], version))

    def forget(self, namespace: str, name: str) -> None:
        """From here on everything of a cluster is read."""
        self._sums.pop(Resource(AIRFLOW_CLUSTER, namespace, name), None)

    async def wait(self) -> None:
        """Until every first list has come, or one of them could not be had."""
        await self._complete.wait()

    def sum_of(self, namespace: str, name: str) -> int | None:
        """A cluster's sum; None where it had no children, or is not known, or not any more."""
        if asyncio.get_running_loop().time() > self._good_until:
            return None
        return self._sums.get(Resource(AIRFLOW_CLUSTER, namespace, name))

    def _told(self, came: bool) -> None:
        self._awaited -= 1
        if not came:
            self._good_for = -math.inf
        if not self._awaited or not came:
            self._good_until = asyncio.get_running_loop().time() + self._good_for
            self._complete.set()
