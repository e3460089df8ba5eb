"""What is done before a resource goes: nothing for Retain but letting go, everything for Delete, in an order that loses nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING

from airflow_operator.domain import labels, names
from airflow_operator.domain.errors import InvalidSpec, Waiting
from airflow_operator.domain.kinds import (
    AIRFLOW_BASE,
    JOB,
    NAMESPACE,
    PERSISTENT_VOLUME_CLAIM,
    POD,
    SECRET,
    STATEFUL_SET,
    kind_of,
)
from airflow_operator.domain.manifest import Live, dig
from airflow_operator.kube.errors import ApiError
from airflow_operator.reconcile import evidence, keys
from airflow_operator.reconcile.base_access import require_allowed
from airflow_operator.reconcile.base_users import clusters_of
from airflow_operator.reconcile.build.provision import provision
from airflow_operator.reconcile.observe import observe
from airflow_operator.reconcile.observe_base import lists
from airflow_operator.reconcile.report import report, unchanged_but
from airflow_operator.reconcile.types import RETRY_REFUSED, Condition, LookAgain, SeenCluster
from airflow_operator.reconcile.validate import ValidatedCluster, resolve
from airflow_operator.reconcile.workloads import pods_of

if TYPE_CHECKING:
    from airflow_operator.runtime.context import Context

STEP = 1.0
"""Seconds between two looks at something that is going."""

NOT_OURS = frozenset({"BaseNotAllowed", "BaseNotReadable", "OwnershipConflict"})
"""Reasons for which what is kept beside the base is another's to throw away: the keys of a database that stays."""


async def delete_cluster(ctx: Context, namespace: str, name: str) -> LookAgain | None:
    """One step of a cluster's deletion; None when the finalizer may go. Children with an owner reference go by garbage collection."""
    seen = await observe(ctx, namespace, name)
    if seen is None:
        return None
    again = None
    # What is in a namespace that is going goes with it, and nothing can be made there any more.
    all_gone = seen.namespace_going and seen.base_namespace_going
    if not all_gone and dig(seen.resource, "spec", "deletionPolicy", default="Retain") == "Delete":
        again = await _drop_everything(ctx, seen)
    if again is None:
        await _remove(ctx, (item for item in seen.provisioning if item["kind"] == "Job"))
        ctx.references.set(namespace, name, ())
        ctx.news.forget(namespace, name)
    return again


async def delete_base(ctx: Context, namespace: str, name: str) -> LookAgain | None:
    """One step of a base's deletion. It waits while a cluster uses it, and says which."""
    try:
        resource = await _base_without_users(ctx, namespace, name)
    except ApiError as error:
        # Not to know is no leave to take the server from under a cluster, however long it lasts.
        words = f"Whether a cluster is on the base cannot be told, and it stays meanwhile: {error}"
        raise Waiting("InUseUnknown", words, RETRY_REFUSED) from error
    if dig(resource, "spec", "deletionPolicy", default="Retain") != "Delete":
        return None
    # On a server of others the databases stay, and with them the copies of their keys.
    kept = f",!{labels.CLUSTER}" if dig(resource, "spec", "database", "external") else ""
    children = await lists(ctx.kube, (STATEFUL_SET, POD, PERSISTENT_VOLUME_CLAIM, SECRET), namespace, f"{labels.BASE}={name}{kept}")
    await _remove(ctx, (item for item in children if item["kind"] == "StatefulSet"))
    server = [item for item in children if item["kind"] in ("StatefulSet", "Pod")]
    if pods_of(server, "postgres"):
        return LookAgain(STEP)
    await _remove(ctx, children)
    return None


async def _base_without_users(ctx: Context, namespace: str, name: str) -> Live | None:
    """The base, which waits while a cluster uses it; None where it is gone or goes with its namespace."""
    resource, place = await asyncio.gather(ctx.kube.get(AIRFLOW_BASE, namespace, name), ctx.kube.get(NAMESPACE, "", namespace))
    # Server and data go with the namespace, whoever uses them: waiting would save nothing.
    if resource is None or "deletionTimestamp" in dig(place, "metadata", default={}):
        return None
    if users := await clusters_of(ctx, namespace, name):
        message = f"The base is in use by AirflowCluster {', '.join(users[:10])}: it goes when they are gone."
        found = [Condition("Ready", "False", "InUse", message), Condition("InUse", "True", "InUse", message)]
        put_off = await report(ctx, resource, unchanged_but(dig(resource, "status"), found, "Deleting"))
        raise Waiting("InUse", message, put_off.after)
    return resource


async def _drop_everything(ctx: Context, seen: SeenCluster) -> LookAgain | None:
    """Stop what uses the database, drop it, then remove keys and logs. A database that nobody serves any more is left, and said so."""
    users = [item for item in seen.children if item["kind"] in ("Deployment", "StatefulSet", "Job")]
    await _remove(ctx, users)
    if users or any(_opens_database(pod) for pod in seen.pods):
        return LookAgain(STEP)
    copies = [item for item in seen.provisioning if item["kind"] == "Secret"]
    try:
        cluster = _on_a_base(ctx, seen)
        if not await _database_dropped(ctx, cluster, seen):
            return LookAgain(STEP)
    except (InvalidSpec, Waiting) as error:
        # Without a base there is no server to ask, without the keys no right to.
        await ctx.events.post(seen.resource, "Warning", "DatabaseLeft", f"The database is left as it is: {error.message}")
        if error.reason in NOT_OURS:
            copies = []
    retained = [item for item in seen.children if item["kind"] in ("Secret", "PersistentVolumeClaim") and _is_retained(item)]
    await _remove(ctx, [*retained, *copies])
    return None


def _on_a_base(ctx: Context, seen: SeenCluster) -> ValidatedCluster:
    """The cluster, where its base can still be asked to drop the database."""
    if seen.base_namespace_going:
        raise Waiting("BaseTerminating", "the namespace of its base is being deleted.")
    cluster = resolve(seen, ctx.settings.platform)
    require_allowed(cluster.base, cluster.namespace)
    return cluster


async def _database_dropped(ctx: Context, cluster: ValidatedCluster, seen: SeenCluster) -> bool:
    """Whether the Job that drops database and role has ended; makes it where it is missing."""
    copy = next((item for item in seen.provisioning if item["kind"] == "Secret"), None)
    # A database that the user brought is the user's to drop.
    if not cluster.base.server or not cluster.base.makes_databases:
        return True
    if copy is None:
        raise Waiting("KeyLost", f"Secret {names.keys_copy(cluster.namespace, cluster.name)} is gone, which names database and password.")
    try:
        own = keys.read(copy)
    except keys.Malformed as error:
        raise Waiting("KeyMalformed", f"Secret {copy['metadata']['name']} cannot be used: {error}.") from None
    wanted = provision(cluster, own, "Deprovision")
    found = evidence.read_beside_base(seen)
    job = next((item for item in found if item.key.name == wanted["metadata"]["name"]), None)
    if job is None:
        await ctx.kube.apply(wanted)
        return False
    if job.state == "Lost" or job.hopeless(seen.now) or (job.state == "Failed" and not job.retry_in(seen.now)):
        await ctx.kube.delete(JOB, job.key.namespace, job.key.name, uid=job.uid)
    elif job.state == "Done" and job.verdict != "Deprovisioned":
        raise Waiting(job.verdict, job.last_words)
    return job.verdict == "Deprovisioned"


def _opens_database(pod: Live) -> bool:
    return dig(pod, "metadata", "labels", labels.COMPONENT) != "task" and dig(pod, "status", "phase") not in ("Succeeded", "Failed")


def _is_retained(item: Live) -> bool:
    return labels.RETAINED in dig(item, "metadata", "labels", default={})


async def _remove(ctx: Context, items: Iterable[Live]) -> None:
    for item in items:
        meta = item["metadata"]
        if "deletionTimestamp" not in meta and item["kind"] != "Pod":
            await ctx.kube.delete(kind_of(item), meta["namespace"], meta["name"], uid=meta["uid"])
