"""Watches what bears the operator's labels, and wakes whom it belongs to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from airflow_operator.domain import labels
from airflow_operator.domain.kinds import AIRFLOW_BASE, ALL_CHILD_KINDS, POD
from airflow_operator.domain.manifest import Live, ObjectKey, dig, key_of
from airflow_operator.kube.protocol import Kube
from airflow_operator.runtime.inventory import Inventory
from airflow_operator.runtime.reflector import May, Watch, always, follow, nobody
from airflow_operator.runtime.wakeups import Resource, Wakeups, cluster_of

KINDS = (*ALL_CHILD_KINDS, POD)


class Children:
    """Tells the loops what others do to their children. A loop's own writes, which the watches tell back, do not wake it."""

    def __init__(self, wakeups: Wakeups, inventory: Inventory) -> None:
        """Only metadata comes here."""
        self._wakeups = wakeups
        self.inventory = inventory
        self._written: dict[str, str] = {}
        self._held_back: dict[ObjectKey, list[Live]] = {}

    def watches(self, kube: Kube, namespace: str, *, may: May = always, late: bool = False) -> list[Watch]:
        """One for each kind in a namespace (empty: in all), each to be run until it is cancelled; `may`: see `follow`.

        The inventory is made of their lists, but not where the namespace comes to be served `late`: by then nobody waits for it.
        """
        return [
            follow(
                kube,
                kind,
                namespace,
                self.noticed,
                labels=labels.watched(kind),
                may=may,
                listed=nobody if late else self.inventory.expect(),
            )
            for kind in KINDS
        ]

    def noticed(self, event: str, live: Live) -> None:
        """Wake the owner of a child that somebody else changed or removed."""
        uid, version = live["metadata"]["uid"], live["metadata"]["resourceVersion"]
        marks = dig(live, "metadata", "labels", default={})
        if cluster := cluster_of(live["metadata"]["namespace"], marks):
            self.inventory.noticed(event, cluster, live)
        if event == "DELETED":
            self._written.pop(uid, None)
        elif (held_back := self._held_back.get(key_of(live))) is not None:
            held_back.append(live)
            return
        elif self._written.get(uid) == version:
            del self._written[uid]
            if labels.CLUSTER in marks and labels.BASE in marks:
                # Kept by a cluster beside its base, which counts its clusters by it.
                self._wakeups.wake_in_a_while(Resource(AIRFLOW_BASE, live["metadata"]["namespace"], marks[labels.BASE]))
            return
        self._wakeups.wake_owner(live["metadata"]["namespace"], marks)

    @contextmanager
    def writing(self, key: ObjectKey) -> Iterator[Callable[[Live], None]]:
        """Around a write, whose answer goes to what this yields: its echo may come before the answer, so news wait for that."""
        held_back = self._held_back.setdefault(key, [])
        try:
            yield self._wrote
        finally:
            self._held_back.pop(key, None)
            for live in held_back:
                self.noticed("MODIFIED", live)

    def _wrote(self, live: Live) -> None:
        meta = live["metadata"]
        # What does not bear the label is told back by no watch, and would be kept for ever.
        if dig(meta, "labels", labels.MANAGED_BY) == labels.MANAGER:
            self._written[meta["uid"]] = meta["resourceVersion"]
