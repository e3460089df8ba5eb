"""Writing the status: only when it says something new, with events for the turns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_operator.domain.manifest import Live, dig
from airflow_operator.reconcile.status import stamped

if TYPE_CHECKING:
    from airflow_operator.runtime.context import Context


async def report(ctx: Context, resource: Live, made: Mapping[str, Any]) -> None:
    """Write `made` as the resource's status unless it says the same already; post events for conditions that turned."""
    meta = resource["metadata"]
    last = dig(resource, "status", default={})
    new = stamped(made, last, meta.get("generation", 0), ctx.now())
    if new == last:
        return
    await ctx.kube.apply_status(
        {
            "apiVersion": resource["apiVersion"],
            "kind": resource["kind"],
            "metadata": {"name": meta["name"], "namespace": meta["namespace"]},
            "status": new,
        }
    )
    await ctx.events.transitions(resource, dig(last, "conditions", default=[]), new["conditions"])


def unchanged_but(last: Live | None, conditions: list[Any], phase: str) -> dict[str, Any]:
    """The last status with other conditions: for when nothing could be looked at closely."""
    kept = {key: value for key, value in (last or {}).items() if key not in ("conditions", "phase", "observedGeneration")}
    return {**kept, "conditions": conditions, "phase": phase}
