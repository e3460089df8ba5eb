"""What a cluster depends on that is no child of it: its namespace, its base, what its spec names."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_operator.api import AirflowClusterSpec
from airflow_operator.domain.hashing import digest, version_of
from airflow_operator.domain.kinds import CONFIG_MAP, NAMESPACE, PERSISTENT_VOLUME_CLAIM, SECRET, SERVICE_ACCOUNT
from airflow_operator.domain.manifest import Live, dig
from airflow_operator.reconcile import references
from airflow_operator.reconcile.base_access import offer_of
from airflow_operator.reconcile.observe_base import SeenBase, look_around_base, look_at_base

if TYPE_CHECKING:
    from airflow_operator.kube.protocol import Kube
    from airflow_operator.runtime.context import Context


@dataclass(frozen=True)
class Around:
    """All of it as it is now."""

    own: Mapping[str, Any]
    """Metadata of the cluster's namespace; empty where that is gone."""
    base: SeenBase
    references: Mapping[tuple[str, str], Live | None]
    """(kind, name) -> object that the spec names; None where it does not exist."""

    @property
    def version(self) -> str:
        """Digest that changes whenever any of it does."""
        named = sorted((kind, name, _version(live)) for (kind, name), live in self.references.items())
        base = (self.base.refused, self.base.namespace_going, *map(_version, (*self.base.claims, self.base.ca)))
        return digest([marks(self.own), named, base, marks(dig(self.base.live, "metadata", default={})), offer_of(self.base.live)], 16)


async def look_around(ctx: Context, resource: Live, spec: AirflowClusterSpec | None) -> Around:
    """Read it; `spec` is None where it cannot be read, of which others tell."""
    namespace, name = resource["metadata"]["namespace"], resource["metadata"]["name"]
    wanted = {(reference.kind, reference.name) for reference in references.of_spec(spec)} if spec else set()
    # Registered before they are read: a change in between is then not missed.
    ctx.references.set(namespace, name, wanted)
    own, base, found = await asyncio.gather(
        _metadata(ctx.kube, namespace), look_at_base(ctx.kube, resource), _read_references(ctx.kube, namespace, wanted)
    )
    return Around(own, await look_around_base(ctx.kube, resource, base, own.get("labels", {})), found)


async def _metadata(kube: Kube, namespace: str) -> dict[str, Any]:
    return dict(dig(await kube.get(NAMESPACE, "", namespace), "metadata", default={}))


async def _read_references(kube: Kube, namespace: str, wanted: set[tuple[str, str]]) -> dict[tuple[str, str], Live | None]:
    kinds = {kind.kind: kind for kind in (SECRET, CONFIG_MAP, PERSISTENT_VOLUME_CLAIM, SERVICE_ACCOUNT)}
    ordered = sorted(wanted)
    found = await asyncio.gather(*(kube.get(kinds[kind], namespace, name) for kind, name in ordered))
    return dict(zip(ordered, found, strict=True))


def _version(live: Live | None) -> int:
    return version_of(live["metadata"]) if live else 0


def marks(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """What people change of metadata; the version moves with each status, too."""
    return {name: value for name, value in metadata.items() if name not in ("resourceVersion", "managedFields")}
