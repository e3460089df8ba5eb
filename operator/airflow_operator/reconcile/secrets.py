"""Secrets that are made once: keys, their copy, the administrator's password. Nothing here is ever overwritten."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Self

from airflow_operator.domain import labels, names
from airflow_operator.domain.errors import Waiting
from airflow_operator.domain.kinds import SECRET
from airflow_operator.domain.manifest import Live, Manifest, dig, key_of
from airflow_operator.kube.errors import AlreadyExists
from airflow_operator.reconcile import evidence, keys
from airflow_operator.reconcile.apply import is_ours, together
from airflow_operator.reconcile.copies import copy_of, keep_beside_base
from airflow_operator.reconcile.keys import Keys, Malformed
from airflow_operator.reconcile.plan import Admin
from airflow_operator.reconcile.types import SeenCluster
from airflow_operator.reconcile.validate import ValidatedCluster

if TYPE_CHECKING:
    from airflow_operator.kube.protocol import Kube

ADMIN_USER = "admin"
TURNS_TO_SEND = 4
"""Turns of the event loop after which the HTTP client has written a request."""


class Making:
    """Secrets that are being made while the rest is decided; all of them are there when it is left, or it raises.

    Waiting, reason NameConflict, where somebody else's Secret has the name.
    """

    def __init__(self, kube: Kube) -> None:
        """None yet."""
        self._kube = kube
        self._tasks: list[asyncio.Task[Live]] = []

    def begin(self, manifest: Manifest) -> Manifest:
        """Have one made that is not there; answers it."""
        self._tasks.append(asyncio.create_task(create_once(self._kube, manifest), name=f"making {key_of(manifest)}"))
        return manifest

    async def under_way(self) -> None:
        """Return when the requests are sent, as far as nothing else holds them back."""
        for _ in range(TURNS_TO_SEND):
            await asyncio.sleep(0)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            await together(self._tasks)
            return
        if issubclass(kind, asyncio.CancelledError):
            for task in self._tasks:
                task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def keep_keys(kube: Kube, cluster: ValidatedCluster, seen: SeenCluster, making: Making) -> Keys:
    """Find the keys, restore the Secret or its copy where one is gone, generate them only for a database that never was.

    Raises Waiting, reason KeyMalformed, KeyMismatch or KeyLost, when a person has to help.
    """
    own, copy = await _find_both(kube, cluster, seen)
    found = own or copy
    usable = _generated(cluster, seen) if found is None else _readable(found)
    if copy is None:
        making.begin(copy_of(cluster, usable))
    else:
        if own is not None:
            _require_one_piece(own, copy)
        await keep_beside_base(kube, cluster, usable, copy)
    if own is None and _provisioned(cluster, seen):
        making.begin(keys.secret_of(cluster.name, cluster.namespace, usable.data))
    return usable


async def _find_both(kube: Kube, cluster: ValidatedCluster, seen: SeenCluster) -> tuple[Live | None, Live | None]:
    """The cluster's own Secret and its copy; at the first look they were looked for already."""
    if seen.first:
        return None, None
    beside_base = keys.copy_of(cluster.name, cluster.namespace, cluster.base.name, cluster.base.namespace, {})
    return await asyncio.gather(
        _found(kube, seen.children, keys.secret_of(cluster.name, cluster.namespace, {})), _found(kube, seen.provisioning, beside_base)
    )


def _readable(found: Live) -> Keys:
    try:
        return keys.read(found)
    except Malformed as error:
        name = found["metadata"]["name"]
        message = f"Secret {name} cannot be used: {error}. Put the right value back; nothing is changed until then."
        raise Waiting("KeyMalformed", message) from None


def _require_one_piece(own: Live, copy: Live) -> None:
    """Pods read the one Secret and the provision Job the other: with two passwords, or two ids, nothing would fit any more."""
    mine, kept = keys.decode(own), keys.decode(copy)
    differing = [member for member in keys.MEMBERS if mine.get(member) != kept.get(member)]
    if differing:
        one, other = (f"{item['metadata']['namespace']}/{item['metadata']['name']}" for item in (own, copy))
        message = (
            f"Secret {one} and its copy {other} differ in {', '.join(differing)}. "
            "Delete the one that is wrong: it is made again from the other. Nothing is changed until then."
        )
        raise Waiting("KeyMismatch", message)


async def keep_admin(kube: Kube, cluster: ValidatedCluster, own: Keys, seen: SeenCluster, making: Making) -> Admin | None:
    """The administrator's Secret: the user's own, or one that is generated once; None where none is wanted."""
    settings = cluster.spec.auth.fab.admin if cluster.spec.auth.fab else None
    if settings is None or not settings.enabled:
        return None
    if settings.secret_ref:
        data = dig(cluster.references[("Secret", settings.secret_ref.name)], "data", default={})
        return Admin(settings.secret_ref.name, own.checksum(dict(data)))
    name = names.admin(cluster.name)
    wanted = _generated_admin(cluster, name)
    found = None if seen.first else await _found(kube, seen.children, wanted)
    found = found or making.begin(wanted)
    return Admin(name, own.checksum(dict(dig(found, "data", default={}))))


def secret(objects: tuple[Live, ...], name: str) -> Live | None:
    """The Secret of that name among the objects."""
    return next((item for item in objects if item["kind"] == "Secret" and item["metadata"]["name"] == name), None)


def _generated(cluster: ValidatedCluster, seen: SeenCluster) -> Keys:
    """Fresh keys begin as the copy beside the base; the provision Job then binds them to the database that it makes."""
    jobs = evidence.read_beside_base(seen)
    if any(job.verdict in ("Provisioned", "KeyMismatch") for job in jobs):
        message = (
            f"The database {cluster.database} exists, but its keys are gone: Secret {names.keys(cluster.name)} and its copy. "
            "Put the Secret back from a backup; new keys could not read what the old ones encrypted."
        )
        raise Waiting("KeyLost", message)
    return Keys(keys.generate())


def _provisioned(cluster: ValidatedCluster, seen: SeenCluster) -> bool:
    """Whether the database is known to be this namespace's: an earlier one of its name had the same Jobs."""
    jobs = evidence.of_database(seen, beside_base=cluster.base.makes_databases)
    return any(job.verdict == "Provisioned" and job.annotations.get(evidence.OWNER) == seen.namespace_uid for job in jobs)


def _generated_admin(cluster: ValidatedCluster, name: str) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": name,
            "namespace": cluster.namespace,
            "labels": labels.retained(labels.of_cluster(cluster.name, "admin")),
            "annotations": dict(labels.KEPT_BY_ARGO_CD),
        },
        "type": "kubernetes.io/basic-auth",
        "data": keys.encode({"username": ADMIN_USER, "password": secrets.token_urlsafe(18)}),
    }


async def _found(kube: Kube, listed: tuple[Live, ...], wanted: Manifest) -> Live | None:
    return secret(listed, wanted["metadata"]["name"]) or await unlisted(kube, wanted)


async def unlisted(kube: Kube, wanted: Manifest) -> Live | None:
    """Our Secret that a list by label did not show, with its labels put back; None where there is none of the name."""
    meta = wanted["metadata"]
    found = await kube.get(SECRET, meta["namespace"], meta["name"])
    if found is None:
        return None
    if not is_ours(wanted, found):
        raise _conflict(wanted)
    marks = {**dig(found, "metadata", "labels", default={}), **meta["labels"]}
    return await kube.patch(SECRET, meta["namespace"], meta["name"], [{"op": "add", "path": "/metadata/labels", "value": marks}])


async def create_once(kube: Kube, manifest: Manifest) -> Live:
    """Create a Secret; one of the same name that is not ours is never touched."""
    try:
        return await kube.create(manifest)
    except AlreadyExists:
        raise _conflict(manifest) from None


def _conflict(manifest: Manifest) -> Waiting:
    name = manifest["metadata"]["name"]
    message = (
        f"Secret {name} exists and was not made by this operator for this resource: rename or remove it, or name the resource differently."
    )
    return Waiting("NameConflict", message)
