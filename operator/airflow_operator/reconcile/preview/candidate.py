"""A resource as it would be after it was applied, defaults included: asked of the API server by dry run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_operator.domain.kinds import kind_of
from airflow_operator.domain.manifest import Live, Manifest, dig
from airflow_operator.kube.protocol import STATUS_MANAGER

if TYPE_CHECKING:
    from airflow_operator.kube.protocol import Kube

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
"""Annotation in which client-side apply keeps what it was given last; what is missing from the next file goes."""

NEW_MANAGER = "kubectl"


async def candidate(kube: Kube, wanted: Manifest, live: Live | None) -> Live:
    """Raises `kube.errors.ApiError` where the API server refuses it.

    It is applied as whoever applied it last would: by `kubectl apply` where that left its annotation, else by server-side apply as its
    manager. So what others own, such as replicas that an autoscaler sets, stays.
    """
    last = dig(live, "metadata", "annotations", LAST_APPLIED)
    if live is None or last is None:
        return await kube.apply(wanted, manager=manager_of(live), dry_run=True)
    meta = live["metadata"]
    spec = three_way(live["spec"], json.loads(last).get("spec", {}), wanted.get("spec", {}))
    change = [{"op": "replace", "path": "/spec", "value": spec}]
    return await kube.patch(kind_of(live), meta["namespace"], meta["name"], change, dry_run=True)


def manager_of(live: Live | None) -> str:
    """Who applies the spec by server-side apply: GitOps tools have names of their own."""
    for entry in dig(live, "metadata", "managedFields", default=[]):
        ours = entry.get("manager") == STATUS_MANAGER or entry.get("subresource")
        if entry.get("operation") == "Apply" and not ours and "f:spec" in entry.get("fieldsV1", {}):
            return str(entry["manager"])
    return NEW_MANAGER


def three_way(live: Any, last: Any, wanted: Any) -> Any:
    """What client-side apply makes of `live`: what the last file had and the new one has not goes, what the new one has is set."""
    if not isinstance(wanted, Mapping) or not isinstance(live, Mapping):
        return wanted
    before: Mapping[str, Any] = last if isinstance(last, Mapping) else {}
    kept = {name: value for name, value in live.items() if name in wanted or name not in before}
    return {**kept, **{name: three_way(live.get(name), before.get(name), value) for name, value in wanted.items()}}
