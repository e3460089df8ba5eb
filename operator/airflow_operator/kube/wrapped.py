"""The API server behind something that looks at what is written."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, nullcontext
from typing import Any

from airflow_operator.domain.manifest import Kind, Live, Manifest, ObjectKey, key_of
from airflow_operator.kube.protocol import FIELD_MANAGER, STATUS_MANAGER, Kube, Propagation, WatchEvent, nothing


class Wrapped:
    """Reads of another `Kube`, as they are; what writes is for subclasses."""

    def __init__(self, kube: Kube) -> None:
        """Nothing is asked yet."""
        self._kube = kube

    async def get(self, kind: Kind, namespace: str, name: str) -> Live | None:
        """See `Kube.get`."""
        return await self._kube.get(kind, namespace, name)

    async def list(self, kind: Kind, namespace: str, *, labels: str = "", fields: str = "") -> Sequence[Live]:
        """See `Kube.list`."""
        return await self._kube.list(kind, namespace, labels=labels, fields=fields)

    async def allowed(self, verb: str, kind: Kind, namespace: str) -> bool:
        """See `Kube.allowed`."""
        return await self._kube.allowed(verb, kind, namespace)

    async def whoami(self) -> str:
        """See `Kube.whoami`."""
        return await self._kube.whoami()

    def watch_metadata(
        self, kind: Kind, namespace: str, *, labels: str = "", listed: Callable[[], None] = nothing
    ) -> AsyncIterator[WatchEvent]:
        """See `Kube.watch_metadata`."""
        return self._kube.watch_metadata(kind, namespace, labels=labels, listed=listed)


Listen = Callable[[ObjectKey], AbstractContextManager[Callable[[Live], None]]]
"""What a write happens in: it yields what the object as it is afterwards is told to."""


class Guarded(Wrapped):
    """Every write, dry runs too, happens in a turn, which is waited for and may be refused."""

    def __init__(
        self,
        kube: Kube,
        turn: Callable[[], AbstractAsyncContextManager[None]],
        listen: Listen = lambda key: nullcontext(lambda live: None),
    ) -> None:
        """`turn` is called for each write anew, `listen` for each that changes an object beside its status."""
        super().__init__(kube)
        self._turn = turn
        self._listen = listen

    async def apply(self, manifest: Manifest, *, manager: str = FIELD_MANAGER, dry_run: bool = False, new: bool = False) -> Live:
        """See `Kube.apply`."""
        key = None if dry_run else key_of(manifest)
        return await self._write(key, lambda: self._kube.apply(manifest, manager=manager, dry_run=dry_run, new=new))

    async def apply_status(self, manifest: Manifest, *, manager: str = STATUS_MANAGER) -> Live:
        """See `Kube.apply_status`."""
        return await self._write(None, lambda: self._kube.apply_status(manifest, manager=manager))

    async def create(self, manifest: Manifest) -> Live:
        """See `Kube.create`."""
        return await self._write(key_of(manifest), lambda: self._kube.create(manifest))

    async def patch(self, kind: Kind, namespace: str, name: str, operations: Sequence[dict[str, Any]], *, dry_run: bool = False) -> Live:
        """See `Kube.patch`."""
        key = None if dry_run else ObjectKey(kind.api_version, kind.kind, namespace, name)
        return await self._write(key, lambda: self._kube.patch(kind, namespace, name, operations, dry_run=dry_run))

    async def delete(self, kind: Kind, namespace: str, name: str, *, uid: str = "", propagation: Propagation = "Background") -> None:
        """See `Kube.delete`."""
        async with self._turn():
            await self._kube.delete(kind, namespace, name, uid=uid, propagation=propagation)

    async def _write(self, key: ObjectKey | None, write: Callable[[], Awaitable[Live]]) -> Live:
        """Write in a turn; with `key` it is listened to."""
        async with self._turn():
            if key is None:
                return await write()
            with self._listen(key) as wrote:
                live = await write()
                wrote(live)
                return live
