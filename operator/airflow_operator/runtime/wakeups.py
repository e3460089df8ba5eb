"""Who has to be looked at when something changes: flags by resource, and the maps from what changed to whom it concerns."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from airflow_operator.domain import labels
from airflow_operator.domain.kinds import AIRFLOW_BASE, AIRFLOW_CLUSTER
from airflow_operator.domain.manifest import Kind

A_WHILE = 1.0
"""Seconds."""


class Resource(NamedTuple):
    """One AirflowCluster or AirflowBase, whichever object currently bears the name."""

    kind: Kind
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind.kind} {self.namespace}/{self.name}"


def cluster_of(namespace: str, marks: Mapping[str, str]) -> Resource | None:
    """The cluster that a child's labels name, which may live in another namespace than the child."""
    name = marks.get(labels.CLUSTER)
    return Resource(AIRFLOW_CLUSTER, marks.get(labels.CLUSTER_NAMESPACE, namespace), name) if name else None


class Wakeups:
    """A flag for each served resource; waking one that nobody serves does nothing."""

    def __init__(self) -> None:
        self._flags: dict[Resource, asyncio.Event] = {}
        self._in_a_while: set[Resource] = set()
        self._base_of: dict[Resource, Resource] = {}
        self._clusters_of: defaultdict[Resource, set[Resource]] = defaultdict(set)

    def flag(self, resource: Resource) -> asyncio.Event:
        """The resource's flag: set by `wake`, cleared by whoever serves it before it looks."""
        return self._flags.setdefault(resource, asyncio.Event())

    def forget(self, resource: Resource) -> None:
        """The resource is gone: drop its flag and its tie to a base."""
        self._flags.pop(resource, None)
        self.tie(resource, None)

    def wake(self, resource: Resource) -> None:
        """Have one resource looked at soon."""
        flag = self._flags.get(resource)
        if flag is not None:
            flag.set()

    def wake_in_a_while(self, resource: Resource) -> None:
        """The same for what is not urgent and may come often: once for all that comes within `A_WHILE`."""
        if resource in self._flags and resource not in self._in_a_while:
            self._in_a_while.add(resource)
            asyncio.get_running_loop().call_later(A_WHILE, self._wake_now, resource)

    def _wake_now(self, resource: Resource) -> None:
        self._in_a_while.discard(resource)
        self.wake(resource)

    def wake_owner(self, namespace: str, marks: Mapping[str, str]) -> None:
        """Wake whom a child's labels name: its cluster and its base."""
        if cluster := cluster_of(namespace, marks):
            self.wake(cluster)
        if base := marks.get(labels.BASE):
            self.wake(Resource(AIRFLOW_BASE, namespace, base))

    def tie(self, cluster: Resource, base: Resource | None) -> None:
        """Remember on which base a cluster stands, so that news of the base reaches it."""
        before = self._base_of.pop(cluster, None)
        if before is not None:
            self._clusters_of[before].discard(cluster)
            if not self._clusters_of[before]:
                del self._clusters_of[before]
        if base is not None:
            self._base_of[cluster] = base
            self._clusters_of[base].add(cluster)

    def wake_clusters_of(self, base: Resource) -> None:
        """Wake every cluster that stands on a base."""
        for cluster in tuple(self._clusters_of.get(base, ())):
            self.wake(cluster)

    def wake_base_of(self, cluster: Resource) -> None:
        """Wake the base of a cluster: a base in use waits for its clusters to go."""
        base = self._base_of.get(cluster)
        if base is not None:
            self.wake(base)


class References:
    """Which Secrets and ConfigMaps each cluster's spec names.

    `set` comes before the objects are read: what changes between the reading and the next `set` is then not missed.
    """

    def __init__(self) -> None:
        self._named_by: dict[Resource, frozenset[tuple[str, str]]] = {}
        self._users: defaultdict[tuple[str, str, str], set[Resource]] = defaultdict(set)

    def set(self, namespace: str, cluster: str, names: Iterable[tuple[str, str]], *, kind: Kind = AIRFLOW_CLUSTER) -> None:
        """Replace what one resource refers to in its own namespace: pairs of ("Secret" or "ConfigMap", name)."""
        resource = Resource(kind, namespace, cluster)
        wanted = frozenset(names)
        known = self._named_by.get(resource, frozenset())
        for what, name in known - wanted:
            users = self._users[what, namespace, name]
            users.discard(resource)
            if not users:
                del self._users[what, namespace, name]
        for what, name in wanted - known:
            self._users[what, namespace, name].add(resource)
        if wanted:
            self._named_by[resource] = wanted
        else:
            self._named_by.pop(resource, None)

    def users(self, what: str, namespace: str, name: str) -> tuple[Resource, ...]:
        """The resources that refer to one Secret or ConfigMap."""
        return tuple(self._users.get((what, namespace, name), ()))
