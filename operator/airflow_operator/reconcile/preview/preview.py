"""What the operator would do with a resource: its own observe, validate and plan, compared with what is there."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from airflow_operator.api import AirflowBaseSpec, parse_base
from airflow_operator.domain import labels
from airflow_operator.domain.errors import InvalidSpec, Waiting
from airflow_operator.domain.manifest import Live, Manifest, ObjectKey, dig, key_of
from airflow_operator.reconcile import base as bases
from airflow_operator.reconcile import rollout
from airflow_operator.reconcile.apply import Outlook, Refused, is_prunable, outlook, prove
from airflow_operator.reconcile.base_external import question
from airflow_operator.reconcile.cluster import Decided, children_of, decide, prove_opaque
from airflow_operator.reconcile.fields import Difference, differences
from airflow_operator.reconcile.in_use import WORKLOADS
from airflow_operator.reconcile.observe import observe
from airflow_operator.reconcile.password import keep_password
from airflow_operator.reconcile.plan import in_turn
from airflow_operator.reconcile.preview.rehearsal import Rehearsal
from airflow_operator.reconcile.prove import blamed
from airflow_operator.reconcile.types import Condition
from airflow_operator.reconcile.validate import ValidatedCluster, validate

if TYPE_CHECKING:
    from airflow_operator.runtime.context import Context

Verdict = Literal["create", "change", "restart", "remove", "refuse", "unchanged"]

REDACTED = "(secret)"
_STAMP = f"metadata.annotations.{labels.TEMPLATE}"
"""A digest of the template: it says only that something else changed."""


@dataclass(frozen=True)
class Row:
    """One object, and what would become of it. Nothing secret is in it."""

    key: ObjectKey
    verdict: Verdict
    differences: tuple[Difference, ...] = ()
    note: str = ""
    lines: tuple[str, ...] = ()
    """Changed lines of a text, as `diff` writes them."""


@dataclass(frozen=True)
class Preview:
    """What would be done about one resource."""

    rows: tuple[Row, ...] = ()
    restarts: tuple[str, ...] = ()
    """Workloads whose pods would be replaced, in that order."""
    schema: str = ""
    """Whether a migration would run."""
    held: tuple[Condition, ...] = ()
    """What is waited for, and what stands in the way."""
    refusal: str = ""
    """Why nothing would be done: only a change of the spec helps."""


async def preview_cluster(ctx: Context, rehearsal: Rehearsal, namespace: str, name: str) -> Preview:
    """What would be done for an AirflowCluster that `rehearsal` was given."""
    rehearsal.created.clear()
    seen = await observe(ctx, namespace, name)
    if seen is None:
        return Preview()
    try:
        cluster = validate(seen, ctx.settings.platform)
        if cluster.spec.paused:
            return Preview(held=(Condition("Paused", "True", "Paused", "spec.paused is true: nothing is changed until it is false."),))
        decided = await decide(ctx, cluster, seen)
        await prove_opaque(ctx.kube, cluster, decided.step, decided.seen)
    except InvalidSpec as error:
        return Preview(refusal=error.message)
    except Waiting as error:
        return Preview(held=(Condition("ReferencesResolved", "False", error.reason, error.message, waiting=True),))
    return await _of_cluster(ctx, cluster, decided, rehearsal.created)


async def preview_base(ctx: Context, rehearsal: Rehearsal, resource: Live) -> Preview:
    """What would be done for an AirflowBase."""
    rehearsal.created.clear()
    meta = resource["metadata"]
    try:
        spec = parse_base(resource).spec
        children = await bases.children_of(ctx.kube, meta["namespace"], meta["name"])
        wanted = await _wanted_of_base(ctx, resource, spec, children)
        await prove(ctx.kube, wanted, bases.owned(children), owner=resource)
    except Refused as error:
        return Preview(refusal=blamed(error, spec, wanted).message)
    except InvalidSpec as error:
        return Preview(refusal=error.message)
    except Waiting as error:
        return Preview(held=(bases.waits_for(error),))
    rows = [Row(key_of(item), "create") for item in rehearsal.created]
    rows += [_row(item) for item in await outlook(ctx.kube, wanted, bases.owned(children), owner=resource)]
    return Preview(tuple(rows), tuple(row.key.name for row in rows if row.verdict == "restart"))


async def _wanted_of_base(ctx: Context, resource: Live, spec: AirflowBaseSpec, children: Sequence[Live]) -> tuple[Manifest, ...]:
    if spec.database.external:
        return (await question(ctx, resource, spec, spec.database.external),)
    return bases.objects_of(resource, spec, await keep_password(ctx, resource, children), ctx.settings.platform)


async def _of_cluster(ctx: Context, cluster: ValidatedCluster, decided: Decided, made_once: Sequence[Manifest]) -> Preview:
    step, seen = decided.step, decided.seen
    met = await outlook(ctx.kube, (*step.objects, *step.later), children_of(seen), owner=seen.resource)
    rows = [Row(key_of(item), "create") for item in made_once]
    rows += _paired([_row(item) for item in met], met, children_of(seen))
    order = [key_of(item).name for item in in_turn(cluster, decided.keys, {key_of(child): child for child in seen.children})]
    restarting = {row.key.name for row in rows if row.verdict == "restart"}
    # Whatever is in no order goes beside them.
    order += sorted(restarting - set(order))
    held = tuple(item for item in step.findings if item.status != "True" and item.type != "MigrationsApplied")
    return Preview(tuple(rows), tuple(name for name in order if name in restarting), _schema_words(cluster, decided), held)


def _row(item: Outlook) -> Row:
    key = key_of(item.manifest)
    if item.refusal:
        return Row(key, "refuse", note=item.refusal.message)
    if item.live is None:
        return Row(key, "create")
    if item.settled:
        return Row(key, "unchanged")
    found = tuple(_redacted(key, part) for part in differences(item.manifest, item.live) if part.path != _STAMP)
    rolls = key.kind in WORKLOADS and _rolls(item.manifest, item.live, found)
    note = "" if found else "fields that are the operator's have another owner"
    return Row(key, "restart" if rolls else "change", found, note)


def _rolls(desired: Manifest, live: Live, found: Iterable[Difference]) -> bool:
    if rollout.template_of(desired):
        return not rollout.same_template(desired, live)
    return any(part.path.startswith("spec.template") for part in found)


def _redacted(key: ObjectKey, part: Difference) -> Difference:
    if key.kind != "Secret" or not part.path.startswith(("data", "stringData")):
        return part
    return replace(part, old=part.old and REDACTED, new=part.new and REDACTED)


def _paired(rows: list[Row], met: Sequence[Outlook], children: Sequence[Live]) -> list[Row]:
    """The rows with what goes, and with a ConfigMap that is named by its content beside the one that it replaces."""
    desired = {row.key for row in rows}
    going = {key_of(child): child for child in children if key_of(child) not in desired and is_prunable(child) and child["kind"] != "Job"}
    made = []
    for row, item in zip(rows, met, strict=True):
        old = next((child for child in going.values() if _replaces(row, item.manifest, child)), None)
        if old is not None:
            del going[key_of(old)]
            row = replace(row, note=f"replaces {old['metadata']['name']}", lines=_changed_lines(old, item.manifest))
        made.append(row)
    return [*made, *(Row(key, "remove", note="once no pod uses it" if key.kind == "ConfigMap" else "") for key in going)]


def _replaces(row: Row, manifest: Manifest, child: Live) -> bool:
    component = dig(manifest, "metadata", "labels", labels.COMPONENT)
    same = dig(child, "metadata", "labels", labels.COMPONENT) == component
    return row.verdict == "create" and row.key.kind == child["kind"] == "ConfigMap" and same


def _changed_lines(old: Live, new: Manifest) -> tuple[str, ...]:
    found: list[str] = []
    for name in sorted({*dig(old, "data", default={}), *dig(new, "data", default={})}):
        before, after = (str(dig(item, "data", name, default="")).splitlines() for item in (old, new))
        changed = [line for line in difflib.unified_diff(before, after, lineterm="", n=0) if not line.startswith(("---", "+++", "@@"))]
        found += [f"{name}: {line}" for line in changed]
    return tuple(found)


def _schema_words(cluster: ValidatedCluster, decided: Decided) -> str:
    """Whether a migration would run, as far as it can be known before the image was asked."""
    found = next((item for item in decided.step.findings if item.type == "MigrationsApplied"), None)
    if found is None:
        return "The database is made or looked at first; an empty one is migrated, any other is compared with the image."
    if found.status == "True":
        return "No migration: the database has the schema of this image."
    if found.reason == "Checking":
        return (
            f"A Job compares the database with {cluster.image} first. "
            "Only where the schema differs is Airflow stopped, the database migrated and Airflow started again."
        )
    return found.message
