"""The API server as it would answer once some resources were applied: reads pass, writes are only written down."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from airflow_operator.domain.kinds import EVENT, kind_of
from airflow_operator.domain.manifest import Kind, Live, Manifest, ObjectKey, key_of
from airflow_operator.kube.protocol import FIELD_MANAGER, STATUS_MANAGER, Propagation
from airflow_operator.kube.wrapped import Wrapped

if TYPE_CHECKING:
    from airflow_operator.kube.protocol import Kube


class Rehearsal(Wrapped):
    """A `Kube` that sends nothing to the API server but reads and dry runs."""

    def __init__(self, kube: Kube, given: Iterable[Live]) -> None:
        """`given` are taken as applied, whatever the API server has."""
        super().__init__(kube)
        self._given: dict[ObjectKey, Live] = {key_of(item): item for item in given}
        self.created: list[Manifest] = []

    async def get(self, kind: Kind, namespace: str, name: str) -> Live | None:
        """See `Kube.get`; what was given or created here comes first."""
        found = self._given.get(ObjectKey(kind.api_version, kind.kind, namespace, name))
        return found if found is not None else await self._kube.get(kind, namespace, name)

    async def list(self, kind: Kind, namespace: str, *, labels: str = "", fields: str = "") -> Sequence[Live]:
        """See `Kube.list`; without a selector what was given is among them."""
        found = {key_of(item): item for item in await self._kube.list(kind, namespace, labels=labels, fields=fields)}
        mine = {key: item for key, item in self._given.items() if kind_of(item) == kind and namespace in ("", key.namespace)}
        return [*{**found, **{key: item for key, item in mine.items() if not (labels or fields) or key in found}}.values()]

    async def apply(self, manifest: Manifest, *, manager: str = FIELD_MANAGER, dry_run: bool = False, new: bool = False) -> Live:
        """Always a dry run."""
        return await self._kube.apply(manifest, manager=manager, dry_run=True, new=new)

    async def apply_status(self, manifest: Manifest, *, manager: str = STATUS_MANAGER) -> Live:
        """Nothing is told to anybody."""
        return manifest

    async def create(self, manifest: Manifest) -> Live:
        """Written down; from here on it is there. Events are not told."""
        made = {**manifest, "metadata": {**manifest["metadata"], "uid": "not-made-yet"}}
        if kind_of(manifest) != EVENT:
            self.created.append(made)
            self._given[key_of(manifest)] = made
        return made

    async def patch(self, kind: Kind, namespace: str, name: str, operations: Sequence[dict[str, Any]], *, dry_run: bool = False) -> Live:
        """Always a dry run."""
        return await self._kube.patch(kind, namespace, name, operations, dry_run=True)

    async def delete(self, kind: Kind, namespace: str, name: str, *, uid: str = "", propagation: Propagation = "Background") -> None:
        """Nothing goes."""
