"""A database server that others run: whether it answers is asked by a Job beside the base, never by the operator itself."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_operator.api import AirflowBaseSpec
from airflow_operator.api.external import External
from airflow_operator.domain.errors import Waiting
from airflow_operator.domain.kinds import AIRFLOW_BASE, JOB, SECRET
from airflow_operator.domain.manifest import Live, Manifest, dig
from airflow_operator.reconcile import certificates, evidence
from airflow_operator.reconcile.apply import Desired, Refused, apply
from airflow_operator.reconcile.build.probe import probe
from airflow_operator.reconcile.database import blocked, steady
from airflow_operator.reconcile.evidence import Evidence
from airflow_operator.reconcile.observe_base import read_ca
from airflow_operator.reconcile.prove import blamed, is_opaque
from airflow_operator.reconcile.references import CREDENTIALS
from airflow_operator.reconcile.types import Condition

if TYPE_CHECKING:
    from airflow_operator.runtime.context import Context

CONCERN = "DatabaseAvailable"


@dataclass(frozen=True)
class Asked:
    """What came of the question."""

    finding: Condition
    version: str = ""
    look_again: float | None = None


async def ask(ctx: Context, base: Live, spec: AirflowBaseSpec, external: External, children: Sequence[Live]) -> Asked:
    """Have the server asked, once for each address, Secret and certificates; again after a failure. Raises Waiting for what is missing."""
    wanted = await question(ctx, base, spec, external)
    jobs = [item for item in children if item["kind"] == "Job"]
    found = evidence.read(jobs, [item for item in children if item["kind"] == "Pod"])
    job = next((item for item in found if item.key.name == wanted["metadata"]["name"]), None)
    if job is not None and _is_spent(job, ctx):
        await ctx.kube.delete(JOB, job.key.namespace, job.key.name, uid=job.uid)
        return Asked(_told(base, job), look_again=1.0)
    if spec.jobs.image is None:
        wanted = _as_asked(wanted, jobs)
    try:
        applied = await apply(ctx.kube, Desired((wanted,), prove=is_opaque(spec.pods)), jobs, owner=base)
    except Refused as error:
        raise blamed(error, spec, [wanted]) from None
    if applied.refused:
        first = applied.refused[0]
        return Asked(Condition("ObjectsApplied", "False", first.reason, first.message, waiting=first.reason == "Terminating"))
    if job is None:
        return Asked(_asking(base))
    wait = None if job.state == "Running" or job.verdict == "Answers" else _retry_in(job, ctx)
    return Asked(_told(base, job), str(job.result.get("serverVersion", "")), wait)


async def question(ctx: Context, base: Live, spec: AirflowBaseSpec, external: External) -> Manifest:
    """The Job that asks; raises Waiting where the Secret or the certificates are missing."""
    return probe(base, spec, external, await _versions(ctx, base, external), ctx.settings.platform.operator_image)


def _as_asked(wanted: Manifest, jobs: Sequence[Live]) -> Manifest:
    """The Job in the image in which it was made: another release of the operator has the same question, and it is answered."""
    live = next((item for item in jobs if item["metadata"]["name"] == wanted["metadata"]["name"]), None)
    if live is not None:
        wanted = deepcopy(wanted)
        wanted["spec"]["template"]["spec"]["containers"][0]["image"] = dig(live, "spec", "template", "spec", "containers", 0, "image")
    return wanted


def _retry_in(job: Evidence, ctx: Context) -> float:
    return job.recheck_in(ctx.now()) if job.verdict == "Unsupported" else job.retry_in(ctx.now())


def _is_spent(job: Evidence, ctx: Context) -> bool:
    if job.state == "Running" or job.verdict == "Answers":
        return job.hopeless(ctx.now())
    return job.state == "Lost" or not _retry_in(job, ctx)


def _told(base: Live, job: Evidence) -> Condition:
    if job.state == "Running":
        return blocked(_asking(base), job, "The database server cannot be asked")
    if job.state == "Lost":
        return _asking(base)
    if job.verdict == "Answers":
        return Condition(CONCERN, "True", "Answers", "The database server answered when it was last asked.")
    if job.verdict == "Unsupported":
        return Condition(CONCERN, "False", "Unsupported", job.last_words)
    return Condition(CONCERN, "False", "DatabaseUnreachable", job.last_words)


def _asking(base: Live) -> Condition:
    return steady(Condition(CONCERN, "False", "Asking", "The database server is being asked.", waiting=True), base)


async def _versions(ctx: Context, base: Live, external: External) -> list[Any]:
    """Which versions of the Secret and the certificates the question is about; what they hold is no part of any name."""
    namespace, name = base["metadata"]["namespace"], base["metadata"]["name"]
    secret = external.admin_secret_ref.name if external.admin_secret_ref else ""
    ca = certificates.place(external.tls.ca) if external.tls.ca else None
    wanted = [*([("Secret", secret)] if secret else []), *([ca[:2]] if ca else [])]
    # Registered before they are read: a change in between is then not missed.
    ctx.references.set(namespace, name, wanted, kind=AIRFLOW_BASE)
    found = [_require_admin(secret, await ctx.kube.get(SECRET, namespace, secret))] if secret else []
    if external.tls.ca:
        live = await read_ca(ctx.kube, namespace, base)
        certificates.read(external.tls.ca, live)
        found.append(live or {})
    return [[dig(item, "metadata", "uid"), dig(item, "metadata", "resourceVersion")] for item in found]


def _require_admin(name: str, live: Live | None) -> Live:
    field = "spec.database.external.adminSecretRef"
    if live is None:
        raise Waiting("SecretNotFound", f"{field} names Secret {name}, which does not exist in this namespace.")
    missing = [key for key in CREDENTIALS if not dig(live, "data", key)]
    if missing:
        raise Waiting("KeyNotFound", f"{field} names Secret {name}, which needs the keys username and password.")
    return live
