"""Writing the status: only when it says something new, with events for the turns."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow_operator.domain.manifest import Live, dig
from airflow_operator.kube.errors import Forbidden, Invalid, NotFound
from airflow_operator.kube.protocol import STATUS_MANAGER
from airflow_operator.reconcile.status import stamped
from airflow_operator.reconcile.types import RETRY_REFUSED, LookAgain

if TYPE_CHECKING:
    from airflow_operator.runtime.context import Context

log = logging.getLogger("airflow_operator.status")

OBSERVED_DIGEST = "observedDigest"
"""Field of the status: digest of all that a look saw after which nothing was left to do."""

PACE = 3.0
"""Seconds between two writes of a status whose headline stays the same: pods become ready one by one, and each would be a write."""

_HEADLINES = ("Ready", "Degraded")


async def report(
    ctx: Context, resource: Live, made: Mapping[str, Any], digest: Callable[[Live], str] | None = None, *, anew: bool = False
) -> LookAgain:
    """Write `made` as the resource's status unless it says the same already; post events for conditions that turned.

    `digest` of the whole status goes with it, and is worth a write of its own only where it is made `anew`. Answers when to look
    again where a small change was put off, or a right or a webhook stood in the way: a look that did its work is no failure then.
    """
    meta = resource["metadata"]
    last = dig(resource, "status", default={})
    new = stamped(made, last, meta.get("generation", 0), ctx.now())
    same = new == told(last)
    if same and not anew:
        return LookAgain()
    if digest:
        new[OBSERVED_DIGEST] = digest(new)
    if new == last:
        return LookAgain()
    if not same and (wait := _put_off(resource, new, ctx.now())):
        return LookAgain(wait)
    identity = {"name": meta["name"], "namespace": meta["namespace"]}
    try:
        await ctx.kube.apply_status({"apiVersion": resource["apiVersion"], "kind": resource["kind"], "metadata": identity, "status": new})
    except NotFound:
        return LookAgain()  # it went meanwhile, and nobody is left to be told
    except (Forbidden, Invalid) as error:
        words = "%s %s/%s: its status could not be written: %s; next try in %.0f s"
        log.warning(words, resource["kind"], meta["namespace"], meta["name"], error, RETRY_REFUSED)
        return LookAgain(RETRY_REFUSED)
    await ctx.events.transitions(resource, dig(last, "conditions", default=[]), new["conditions"])
    return LookAgain()


def told(status: Live) -> dict[str, Any]:
    """What a status says, without the digest that goes with it."""
    return {key: value for key, value in status.items() if key != OBSERVED_DIGEST}


def unchanged_but(last: Live | None, conditions: list[Any], phase: str) -> dict[str, Any]:
    """The last status with other conditions: for when nothing could be looked at closely."""
    kept = {key: value for key, value in told(last or {}).items() if key not in ("conditions", "phase", "observedGeneration")}
    return {**kept, "conditions": conditions, "phase": phase}


def _put_off(resource: Live, new: Live, now: datetime) -> float:
    """Seconds for which a change can wait; 0 when it is told now.

    The API server's own record tells when the status was last written, so a restart forgets nothing. A clock that
    disagrees with the API server's only means that nothing is put off.
    """
    if _headline(dig(resource, "status", default={})) != _headline(new):
        return 0.0
    for entry in dig(resource, "metadata", "managedFields", default=[]):
        if entry.get("manager") == STATUS_MANAGER and entry.get("time"):
            age = (now - datetime.fromisoformat(entry["time"])).total_seconds()
            return PACE - age if 0 <= age < PACE else 0.0
    return 0.0


def _headline(status: Live) -> tuple[Any, ...]:
    """What a person or a waiting program acts on; it is never told late."""
    turns = {item["type"]: item["status"] for item in dig(status, "conditions", default=[]) if item["type"] in _HEADLINES}
    return status.get("phase"), status.get("observedGeneration"), turns
