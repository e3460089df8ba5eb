"""The loop of an AirflowCluster as a sentence: observe, validate, plan, apply, report."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from airflow_operator.domain.errors import InvalidSpec, Waiting
from airflow_operator.domain.kinds import AIRFLOW_CLUSTER, kind_of
from airflow_operator.domain.manifest import Live, dig, key_of
from airflow_operator.kube.errors import ApiError, Forbidden, Invalid
from airflow_operator.kube.wrapped import Guarded
from airflow_operator.reconcile import dags, refused_pods
from airflow_operator.reconcile.apply import Applied, Desired, apply
from airflow_operator.reconcile.as_left import digest_of, is_as_left
from airflow_operator.reconcile.blind import tell_blind
from airflow_operator.reconcile.build.git_sync import webhook_token
from airflow_operator.reconcile.keys import Keys
from airflow_operator.reconcile.observe import observe
from airflow_operator.reconcile.plan import Admin, plan
from airflow_operator.reconcile.prove import opaque_parts, prove_pods
from airflow_operator.reconcile.report import report, unchanged_but
from airflow_operator.reconcile.secrets import Making, keep_admin, keep_keys
from airflow_operator.reconcile.status import counts, status, summary, what_runs
from airflow_operator.reconcile.types import RETRY_REFUSED, Condition, LookAgain, SeenCluster, Step, soonest
from airflow_operator.reconcile.validate import ValidatedCluster, validate

if TYPE_CHECKING:
    from airflow_operator.kube.protocol import Kube
    from airflow_operator.runtime.context import Context


async def reconcile_cluster(ctx: Context, namespace: str, name: str) -> LookAgain:
    """Bring one AirflowCluster one step nearer to its declared state; safe to call at any moment."""
    try:
        if await is_as_left(ctx, namespace, name):
            return LookAgain()
        seen = await observe(ctx, namespace, name)
    except Forbidden as error:
        return await tell_blind(ctx, AIRFLOW_CLUSTER, namespace, name, error)
    if seen is None or "deletionTimestamp" in seen.resource["metadata"]:
        return LookAgain()
    try:
        return await _reconcile(ctx, seen, namespace, name)
    except (ApiError, TimeoutError):
        raise
    except Exception as error:
        words = f"The operator failed here ({type(error).__name__}) and tries again; its log says more. This is a bug of the operator."
        await _held(ctx, seen, Waiting("InternalError", words))
        raise


async def _reconcile(ctx: Context, seen: SeenCluster, namespace: str, name: str) -> LookAgain:
    try:
        cluster = validate(seen, ctx.settings.platform)
        if cluster.spec.paused:
            return await _paused(ctx, seen)
        written: list[Live] = []
        noting = replace(ctx, kube=Guarded(ctx.kube, nullcontext, lambda key: nullcontext(written.append)))
        decided = await decide(noting, cluster, seen)
        applied = await _carry_out(noting, cluster, decided.step, decided.seen)
    except (InvalidSpec, Waiting) as error:
        return await _held(ctx, seen, error)
    except (Forbidden, Invalid) as error:
        return await _held(ctx, seen, Waiting(type(error).__name__, f"The API server refused a request: {error.message}"))
    step, admin = decided.step, decided.admin
    lacking = refused_pods.lacking([*seen.children, *seen.pods]) or refused_pods.lacking(seen.provisioning)
    pods = LookAgain(refused_pods.AGAIN if lacking else None)
    again = soonest(step.look_again, pods, LookAgain(RETRY_REFUSED if applied.refused else None))
    made = status(cluster, step, applied, decided.seen, admin.secret if admin else "")
    digest = digest_of(ctx.program, seen, written, {*step.discard, *applied.pruned}) if again.after is None else None
    put_off = await report(ctx, seen.resource, made, digest, anew=ctx.inventory.sum_of(namespace, name) is not None)
    ctx.inventory.forget(namespace, name)
    if put_off.after is None:
        for entry in dags.gone(cluster.spec, dig(seen.resource, "status", default={})):
            await ctx.events.post(seen.resource, "Warning", "DagSourceRemoved", dags.farewell(entry))
        ctx.news.keep(namespace, name, {row["name"]: row["commit"] for row in made.get("dags", []) if "commit" in row})
    return soonest(again, put_off)


@dataclass(frozen=True)
class Decided:
    """What the next step is, and on which picture it was decided."""

    step: Step
    keys: Keys
    admin: Admin | None
    seen: SeenCluster


async def decide(ctx: Context, cluster: ValidatedCluster, seen: SeenCluster) -> Decided:
    """Keys and administrator first, which are made once, and while they are made the plan."""
    async with Making(ctx.kube) as making:
        keys = await keep_keys(ctx.kube, cluster, seen, making)
        admin = await keep_admin(ctx.kube, cluster, keys, seen, making)
        await making.under_way()
        _expect_news(ctx, cluster, keys)
        seen = replace(seen, commits=ctx.news.commits(cluster.namespace, cluster.name))
        return Decided(plan(cluster, keys, admin, seen), keys, admin, seen)


async def prove_opaque(kube: Kube, cluster: ValidatedCluster, step: Step, seen: SeenCluster) -> None:
    """Try by dry run what only the API server can judge; InvalidSpec in its words."""
    if opaque_parts(cluster.spec):
        status = dig(seen.resource, "status", default={})
        told = any(item["type"] == "SpecValid" and item["status"] == "True" for item in status.get("conditions", ()))
        new = not told or status.get("observedGeneration") != seen.resource["metadata"]["generation"]
        await prove_pods(kube, cluster, (*step.objects, *step.later), children_of(seen), owner=seen.resource, new=new)


def children_of(seen: SeenCluster) -> tuple[Live, ...]:
    """All that the operator keeps for a cluster, in its namespace and in that of its base; pods belong to others."""
    return (*seen.children, *(item for item in seen.provisioning if item["kind"] != "Pod"))


async def _carry_out(ctx: Context, cluster: ValidatedCluster, step: Step, seen: SeenCluster) -> Applied:
    """Remove what must be gone first, then bring everything else to its desired state."""
    await prove_opaque(ctx.kube, cluster, step, seen)
    children = children_of(seen)
    live = {key_of(child): child for child in children}
    for key in step.discard:
        if key in live:
            await ctx.kube.delete(kind_of(live[key]), key.namespace, key.name, uid=live[key]["metadata"]["uid"])
    gone = set(step.discard)
    remaining = [child for key, child in live.items() if key not in gone]
    return await apply(ctx.kube, Desired(step.objects, step.keep, first=seen.first), remaining, owner=seen.resource)


def _expect_news(ctx: Context, cluster: ValidatedCluster, keys: Keys) -> None:
    tokens = {entry.name: webhook_token(cluster.namespace, cluster.name, entry, keys) for entry in cluster.spec.dags}
    ctx.news.expect(cluster.namespace, cluster.name, tokens)


async def _held(ctx: Context, seen: SeenCluster, error: InvalidSpec | Waiting) -> LookAgain:
    """Nothing is written but the status; what runs stays."""
    waiting = isinstance(error, Waiting)
    found = Condition(_concern(error), "False", error.reason, error.message, waiting=waiting and error.reason not in NEEDS_A_PERSON)
    phase = "Waiting" if found.waiting else "Invalid" if not waiting else "Degraded"
    every = [found, *what_runs(seen)]
    put_off = await report(ctx, seen.resource, {**_last_but(seen, [*summary(every), *every], phase), **counts(seen)})
    if isinstance(error, InvalidSpec) and error.reason != "Refused":
        return put_off
    return soonest(put_off, LookAgain(RETRY_REFUSED if error.reason in REFUSALS else 30.0))


def _last_but(seen: SeenCluster, conditions: list[Condition], phase: str) -> dict[str, Any]:
    return unchanged_but(dig(seen.resource, "status", default={}), conditions, phase)


REFUSALS = frozenset({"Forbidden", "Invalid", "Refused"})
KEY_TROUBLE = frozenset({"KeyLost", "KeyMalformed", "KeyMismatch", "OwnershipConflict"})
NEEDS_A_PERSON = REFUSALS | KEY_TROUBLE | {"NameConflict", "InternalError"}


def _concern(error: InvalidSpec | Waiting) -> str:
    """The condition that a failure belongs to."""
    if isinstance(error, InvalidSpec):
        return "SpecValid"
    if error.reason.startswith("Base"):
        return "BaseReady"
    if error.reason == "InternalError":
        return "Reconciled"
    if error.reason in KEY_TROUBLE:
        return "KeysAvailable"
    if error.reason in NEEDS_A_PERSON:
        return "ObjectsApplied"
    return "ReferencesResolved"


async def _paused(ctx: Context, seen: SeenCluster) -> LookAgain:
    found = Condition("Paused", "True", "Paused", "spec.paused is true: nothing is changed until it is false. Airflow goes on.")
    ready = Condition("Ready", "Unknown", "Paused", found.message)
    idle = Condition("Progressing", "False", "Paused", found.message)
    every = [ready, idle, found, *what_runs(seen)]
    return await report(ctx, seen.resource, {**_last_but(seen, every, "Paused"), **counts(seen)})
