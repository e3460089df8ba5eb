"""When the operator may not read what a resource depends on: nothing is changed, the status says so, and it is tried again soon."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_operator.domain.manifest import Kind, dig
from airflow_operator.kube.errors import Forbidden
from airflow_operator.reconcile.report import report, unchanged_but
from airflow_operator.reconcile.status import summary
from airflow_operator.reconcile.types import RETRY_REFUSED, Condition, LookAgain, soonest

if TYPE_CHECKING:
    from airflow_operator.runtime.context import Context


async def tell_blind(ctx: Context, kind: Kind, namespace: str, name: str, error: Forbidden) -> LookAgain:
    """Say what was refused. Raises Forbidden where the resource itself may not be read: there is nobody to tell then."""
    resource = await ctx.kube.get(kind, namespace, name)
    if resource is None or "deletionTimestamp" in resource["metadata"]:
        return LookAgain()
    found = Condition("ObjectsApplied", "False", "Forbidden", f"The API server refused a request: {error.message}")
    put_off = await report(ctx, resource, unchanged_but(dig(resource, "status"), [*summary([found]), found], "Degraded"))
    return soonest(put_off, LookAgain(RETRY_REFUSED))
