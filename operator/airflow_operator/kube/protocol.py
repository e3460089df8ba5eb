"""The little of the Kubernetes API that the operator needs, so that it can be replaced whole."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Literal, Protocol

from airflow_operator.domain.manifest import Kind, Live, Manifest

FIELD_MANAGER = "airflow-operator"
STATUS_MANAGER = "airflow-operator-status"

Propagation = Literal["Background", "Orphan"]
WatchEvent = tuple[Literal["ADDED", "MODIFIED", "DELETED"], Live]


def nothing() -> None:
    """Nobody is to be told."""


class Kube(Protocol):
    """Every method raises `kube.errors.ApiError` (or its subclass) when the API server refuses."""

    async def get(self, kind: Kind, namespace: str, name: str) -> Live | None:
        """One object; None where it does not exist. `namespace` is empty for cluster-scoped kinds."""

    async def list(self, kind: Kind, namespace: str, *, labels: str = "", fields: str = "") -> Sequence[Live]:
        """All objects of a namespace (empty: all namespaces) that match a label and a field selector; apiVersion and kind set."""

    async def apply(self, manifest: Manifest, *, manager: str = FIELD_MANAGER, dry_run: bool = False, new: bool = False) -> Live:
        """Server-side apply with force; answers the object as it is afterwards. `new`: `AlreadyExists` where it is there already."""

    async def apply_status(self, manifest: Manifest, *, manager: str = STATUS_MANAGER) -> Live:
        """Server-side apply of the status subresource."""

    async def create(self, manifest: Manifest) -> Live:
        """Create an object that must not exist yet; `AlreadyExists` otherwise."""

    async def patch(self, kind: Kind, namespace: str, name: str, operations: Sequence[dict[str, Any]], *, dry_run: bool = False) -> Live:
        """JSON patch (RFC 6902); a dry run refuses unknown fields as well."""

    async def delete(self, kind: Kind, namespace: str, name: str, *, uid: str = "", propagation: Propagation = "Background") -> None:
        """Delete; with `uid` only that very object. An absent object is no error. `Orphan` leaves the pods of a workload alive."""

    async def allowed(self, verb: str, kind: Kind, namespace: str) -> bool:
        """Whether this client may do that in a namespace; asking is no attempt, and leaves no refusal behind."""

    async def whoami(self) -> str:
        """The user name by which the API server knows this client."""

    def watch_metadata(
        self, kind: Kind, namespace: str, *, labels: str = "", listed: Callable[[], None] = nothing
    ) -> AsyncIterator[WatchEvent]:
        """List and watch as PartialObjectMetadata (without managedFields): first every object as ADDED, then changes.

        `listed` is called between the two. Ends when the place is lost (410, silence): the caller starts again, which lists
        again. Raises as every other method.
        """
