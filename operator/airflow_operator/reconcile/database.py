"""Is the cluster's own database there? Decided anew each time from the Jobs beside the base that can prove it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from airflow_operator.domain import names
from airflow_operator.domain.manifest import Live, ObjectKey, dig
from airflow_operator.reconcile.build.provision import provision_name
from airflow_operator.reconcile.evidence import Evidence
from airflow_operator.reconcile.keys import Keys
from airflow_operator.reconcile.schema import Provisioned
from airflow_operator.reconcile.types import Condition, SeenCluster
from airflow_operator.reconcile.validate import ValidatedCluster

ASKED_AGAIN = frozenset({"OwnershipConflict", "KeyMismatch", "Unsupported", "DatabaseUnreachable", "UnknownRevision", "WrongVersion"})
"""Reasons that stand until others change something: asked for again from time to time, and told meanwhile."""


@dataclass(frozen=True)
class Database:
    """What is known of the database, and what is to be done about the Job that makes it."""

    finding: Condition
    provisioned: Provisioned | None = None
    wanted: bool = False
    """The provision Job is to be made."""
    keep: tuple[ObjectKey, ...] = ()
    discard: tuple[ObjectKey, ...] = ()
    retry_in: float | None = None


def base_ready(cluster: ValidatedCluster) -> Condition:
    """Whether the base can be worked with."""
    if cluster.base.ready:
        return Condition("BaseReady", "True", "Ready", f"AirflowBase {cluster.base.name} is ready.")
    message = f"AirflowBase {cluster.base.name} is not ready: {cluster.base.message}"
    return Condition("BaseReady", "False", "BaseNotReady", message, waiting=True)


def decide(cluster: ValidatedCluster, keys: Keys, found: Sequence[Evidence], seen: SeenCluster) -> Database:
    """The next step towards a database and a role of the cluster's own."""
    name = provision_name(cluster, keys.key_id)
    job = next((item for item in found if item.key.name == name), None)
    if job is None:
        if not cluster.base.ready:
            return Database(_database_finding("WaitingForBase", "The database is made once the base is ready."))
        return Database(steady(_database_finding("Provisioning", "The database is being made."), seen.resource), wanted=True)
    if job.state == "Running" and not job.hopeless(seen.now):
        said = f" The last attempt failed: {job.last_words}" if job.verdict == "Failed" else ""
        making = steady(_database_finding("Provisioning", f"The database is being made.{said}"), seen.resource)
        return Database(blocked(making, job, "The database cannot be made"), keep=(job.key,))
    if job.state in ("Running", "Lost"):
        return Database(_database_finding("Provisioning", "The database is being looked at again."), discard=(job.key,))
    if job.verdict == "Provisioned":
        identity = f"{job.result.get('systemIdentifier')}/{job.result.get('oid')}"
        provisioned = Provisioned(job, identity, empty=bool(job.result.get("empty")))
        ready = Condition("DatabaseReady", "True", "Provisioned", f"Database {cluster.database} is there.")
        return Database(ready, provisioned, keep=(job.key,))
    failed = job.state == "Failed" or job.verdict == "Failed"
    wait = job.retry_in(seen.now) if failed else job.recheck_in(seen.now)
    again = (job.key,)
    finding = _failed(job) if failed else Condition("DatabaseReady", "False", job.verdict, f"{job.last_words}{_way_out(cluster, job)}")
    return Database(finding, keep=again if wait else (), discard=() if wait else again, retry_in=wait or None)


def blocked(usual: Condition, job: Evidence, what: str) -> Condition:
    """What a running Job is waited for with; its obstacle where it cannot start."""
    return Condition(usual.type, "False", job.obstacle[0], f"{what}: {job.obstacle[1]}") if job.obstacle else usual


def steady(asked: Condition, resource: Live) -> Condition:
    """The last answer instead of `asked` where it is only asked for again; a change of the spec is a new question."""
    meta, last = resource["metadata"], dig(resource, "status", "conditions", default=[])
    before = next((item for item in last if item["type"] == asked.type and item["reason"] in ASKED_AGAIN), None)
    if before is None or not asked.waiting or before.get("observedGeneration") != meta.get("generation"):
        return asked
    return Condition(asked.type, "False", before["reason"], before["message"])


def keys_lost(cluster: ValidatedCluster, finding: Condition, seen: SeenCluster) -> tuple[Condition, ...]:
    """Keys that no pod ever had meet a database that is there: its own are gone, and so is every Job that could have told of it."""
    own = names.keys(cluster.name)
    if finding.reason != "KeyMismatch" or any(item["kind"] == "Secret" and item["metadata"]["name"] == own for item in seen.children):
        return ()
    return (Condition("KeysAvailable", "False", "KeyLost", finding.message),)


def _database_finding(reason: str, message: str) -> Condition:
    return Condition("DatabaseReady", "False", reason, message, waiting=True)


def _failed(job: Evidence) -> Condition:
    return Condition("DatabaseReady", "False", "ProvisioningFailed", f"The database could not be made: {job.last_words}")


def _way_out(cluster: ValidatedCluster, job: Evidence) -> str:
    base = cluster.base
    if job.verdict == "KeyMismatch":
        copy = f"Secret {names.keys_copy(cluster.namespace, cluster.name)} in namespace {base.namespace}"
        return f" Put Secret {names.keys(cluster.name)} back from a backup, and delete {copy} if that was made in its place."
    if job.verdict == "OwnershipConflict" and job.result.get("left"):
        entry = f"{{namespace: {cluster.namespace}, uid: {cluster.namespace_uid}}}"
        return (
            f" Namespace {cluster.namespace} was deleted and made again. If its clusters may have what the earlier ones left, "
            f"the owner of AirflowBase {base.name} (namespace {base.namespace}) adds {entry} to its spec.allowedClusters.adopt."
        )
    return ""
