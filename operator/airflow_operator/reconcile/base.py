"""The loop of an AirflowBase: its PostgreSQL server, and the truth about it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_operator.api import AirflowBaseSpec, parse_base
from airflow_operator.domain import labels, names
from airflow_operator.domain.errors import InvalidSpec, Waiting
from airflow_operator.domain.kinds import AIRFLOW_BASE, JOB, PERSISTENT_VOLUME_CLAIM, POD, SECRET, SERVICE, STATEFUL_SET
from airflow_operator.domain.manifest import Live, Manifest, dig
from airflow_operator.domain.quantities import quantity
from airflow_operator.kube.errors import Forbidden, Invalid
from airflow_operator.reconcile import redaction, refused_pods
from airflow_operator.reconcile.apply import Applied, Desired, Refused, apply
from airflow_operator.reconcile.base_external import Asked, ask
from airflow_operator.reconcile.base_users import clusters_of
from airflow_operator.reconcile.blind import tell_blind
from airflow_operator.reconcile.build import postgres
from airflow_operator.reconcile.observe_base import lists
from airflow_operator.reconcile.password import keep_password
from airflow_operator.reconcile.prove import blamed, is_opaque
from airflow_operator.reconcile.report import report, unchanged_but
from airflow_operator.reconcile.status import summary
from airflow_operator.reconcile.types import RETRY_REFUSED, Condition, LookAgain, Platform, soonest
from airflow_operator.reconcile.workloads import availability, pods_of

if TYPE_CHECKING:
    from airflow_operator.kube.protocol import Kube
    from airflow_operator.runtime.context import Context


CHILDREN = (SECRET, PERSISTENT_VOLUME_CLAIM, SERVICE, STATEFUL_SET, JOB, POD)


async def reconcile_base(ctx: Context, namespace: str, name: str) -> LookAgain:
    """Bring one AirflowBase one step nearer to its declared state; safe to call at any moment."""
    try:
        resource, children, clusters = await asyncio.gather(
            ctx.kube.get(AIRFLOW_BASE, namespace, name),
            children_of(ctx.kube, namespace, name),
            clusters_of(ctx, namespace, name),
        )
    except Forbidden as error:
        return await tell_blind(ctx, AIRFLOW_BASE, namespace, name, error)
    if resource is None or "deletionTimestamp" in resource["metadata"]:
        return LookAgain()
    asked: Asked | None = None
    try:
        spec = parse_base(resource).spec
        if spec.database.external:
            asked = await ask(ctx, resource, spec, spec.database.external, children)
            found = [asked.finding]
        else:
            password = await keep_password(ctx, resource, children)
            applied = await _carry_out(ctx, resource, spec, password, children)
            found = _available(name, applied, children)
    except Waiting as error:
        found = [waits_for(error)]
    except InvalidSpec as error:
        found = [Condition("SpecValid", "False", error.reason, error.message)]
    except (Forbidden, Invalid) as error:
        found = [Condition("ObjectsApplied", "False", type(error).__name__, f"The API server refused a request: {error.message}")]
    put_off = await report(ctx, resource, _status(resource, found, clusters, asked))
    if asked:
        return soonest(put_off, LookAgain(asked.look_again))
    stuck = any(item.status == "False" and not item.waiting for item in found)
    pods = LookAgain(refused_pods.AGAIN if refused_pods.lacking(children) else None)
    return soonest(put_off, pods, LookAgain(RETRY_REFUSED if stuck else None))


def waits_for(error: Waiting) -> Condition:
    """What is missing: the password's Secret cannot be made, or an external server's references are not there."""
    if error.reason == "NameConflict":
        return Condition("PasswordAvailable", "False", error.reason, error.message)
    return Condition("ReferencesResolved", "False", error.reason, error.message, waiting=error.reason != "CertificateMalformed")


async def _carry_out(ctx: Context, resource: Live, spec: AirflowBaseSpec, password: Live, children: Sequence[Live]) -> Applied:
    await _grow(ctx, resource["metadata"]["name"], spec, children)
    wanted = objects_of(resource, spec, password, ctx.settings.platform)
    try:
        return await apply(ctx.kube, Desired(wanted, prove=is_opaque(spec.pods)), owned(children), owner=resource)
    except Refused as error:
        raise blamed(error, spec, wanted) from None


def objects_of(resource: Live, spec: AirflowBaseSpec, password: Live, platform: Platform) -> tuple[Manifest, ...]:
    """What should exist beside the Secret with the password, which is made once."""
    meta = resource["metadata"]
    return tuple(
        postgres.postgres(meta["name"], meta["namespace"], meta["uid"], spec, postgres.password_to_set(password), platform.postgres_image)
    )


def owned(children: Sequence[Live]) -> list[Live]:
    """The children that are applied and pruned: not the password, the claim and the pods."""
    return [item for item in children if item["kind"] in ("Service", "StatefulSet")]


async def children_of(kube: Kube, namespace: str, name: str) -> list[Live]:
    """What the operator keeps for a base, pods included."""
    found = await refused_pods.told(kube, namespace, await lists(kube, CHILDREN, namespace, f"{labels.BASE}={name},!{labels.CLUSTER}"))
    return redaction.redacted(found, redaction.values_of(found))


async def _grow(ctx: Context, name: str, spec: AirflowBaseSpec, children: Sequence[Live]) -> None:
    """Ask for more room in the claim: a StatefulSet's template is only read when a claim is made."""
    if spec.database.postgres is None:
        return
    size = spec.database.postgres.storage.size
    for claim in children:
        if claim["kind"] != "PersistentVolumeClaim" or claim["metadata"]["name"] != names.postgres_claim(name):
            continue
        if quantity(dig(claim, "spec", "resources", "requests", "storage", default="0")) >= quantity(size):
            continue
        path = "/spec/resources/requests/storage"
        try:
            change = {"op": "replace", "path": path, "value": size}
            await ctx.kube.patch(PERSISTENT_VOLUME_CLAIM, claim["metadata"]["namespace"], claim["metadata"]["name"], [change])
        except (Forbidden, Invalid) as error:
            message = f"spec.database.postgres.storage.size cannot grow to {size}: {error.message}"
            raise InvalidSpec("StorageCannotGrow", message) from None


def _available(name: str, applied: Applied, children: Sequence[Live]) -> list[Condition]:
    if applied.refused:
        first = applied.refused[0]
        return [Condition("ObjectsApplied", "False", first.reason, first.message, waiting=first.reason == "Terminating")]
    server = next((item for key, item in applied.live.items() if key.kind == "StatefulSet" and key.name == names.postgres(name)), None)
    pods = pods_of([item for item in children if item["kind"] == "Pod"], "postgres")
    return [availability("DatabaseAvailable", "PostgreSQL server", server, pods)]


def _status(resource: Live, found: list[Condition], clusters: list[str], asked: Asked | None) -> dict[str, Any]:
    every = [*_summary(found), *found]
    made = unchanged_but(dig(resource, "status"), every, _phase(every))
    return {**made, "clusters": len(clusters), **(_external(resource, asked) if _is_external(resource) else _embedded(resource))}


def _is_external(resource: Live) -> bool:
    return dig(resource, "spec", "database", "external") is not None


def _embedded(resource: Live) -> dict[str, Any]:
    name, version = resource["metadata"]["name"], dig(resource, "spec", "database", "postgres", "version")
    server = {
        "serviceName": names.postgres(name),
        "port": postgres.PORT,
        "version": str(version),
        "secretRef": {"name": names.postgres(name)},
    }
    return {"database": f"PostgreSQL {version}", "postgres": server}


def _external(resource: Live, asked: Asked | None) -> dict[str, Any]:
    """The version is that of the last answer: a server that is away for a moment is not another."""
    told = dig(resource, "spec", "database", "external", default={})
    version = (asked.version if asked else "") or dig(resource, "status", "external", "version", default="")
    server = {"host": told.get("host"), "port": told.get("port"), **({"version": version} if version else {})}
    return {"database": f"PostgreSQL {version}".strip(), "external": server}


def _summary(found: list[Condition]) -> list[Condition]:
    made = summary(found)
    if made[0].status == "True":
        made[0] = Condition("Ready", "True", "Ready", "The database server is ready.")
    return made


def _phase(every: Sequence[Condition]) -> str:
    by_type = {item.type: item.status for item in every}
    if by_type["Ready"] == "True":
        return "Running"
    return "Degraded" if by_type["Degraded"] == "True" else "Progressing"
