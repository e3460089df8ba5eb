"""The one apply engine: brings children to their desired state in order, and removes those that are no longer desired.

It remembers nothing. Whether an object is already as desired is read from the object itself (`fields`), so an unchanged cluster costs no
write, after a restart either.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, TypeVar

from airflow_operator.domain import labels
from airflow_operator.domain.errors import InvalidSpec
from airflow_operator.domain.kinds import CONFIG_MAP, JOB, PERSISTENT_VOLUME_CLAIM, ROLE_BINDING, RUN_PODS, STATEFUL_SET, kind_of
from airflow_operator.domain.manifest import Kind, Live, Manifest, ObjectKey, dig, key_of
from airflow_operator.kube.errors import AlreadyExists, ApiError, Conflict, Forbidden, Invalid, NotFound
from airflow_operator.kube.protocol import Kube, Propagation
from airflow_operator.reconcile.fields import foreign_paths, is_applied, is_managed

T = TypeVar("T")

RECREATED: Mapping[Kind, Propagation] = {CONFIG_MAP: "Background", ROLE_BINDING: "Background", JOB: "Background", STATEFUL_SET: "Orphan"}
"""Kinds that are deleted and made anew when a change is refused because a field is immutable; pods of a StatefulSet go on meanwhile."""

_WAY_OUT = "It is not taken over: delete or rename it, or choose another name for this resource."
_TELLING_LABELS = (labels.CLUSTER, labels.CLUSTER_NAMESPACE, labels.BASE)


@dataclass(frozen=True)
class Desired:
    """What should exist."""

    objects: tuple[Manifest, ...]
    """What runs pods is applied once all else is; each of the two at once."""
    keep: frozenset[ObjectKey] = frozenset()
    """Live children that are neither applied nor pruned."""
    prove: bool = False
    """Every object that would change is tried by dry run first, and nothing is written if one is refused."""
    first: bool = False
    """Nothing was ever made for the owner: its names are not looked up, and what has one of them shows when it is to be made."""


@dataclass(frozen=True)
class Refusal:
    """An object that could not be brought to its desired state, with a sentence for a person.

    Reasons: `NameConflict` (somebody else's object has the name), `Terminating` (it is being deleted, and made anew when it is gone),
    `Forbidden`, `Invalid` and `NotFound` (the API server's words).
    """

    key: ObjectKey
    reason: str
    message: str


class Refused(InvalidSpec):
    """A dry run was refused, in the API server's words."""

    def __init__(self, key: ObjectKey, error: ApiError) -> None:
        super().__init__("Refused", f"The API server refused {key}: {error.message}")
        self.key = key


@dataclass(frozen=True)
class Applied:
    """What came of it."""

    live: Mapping[ObjectKey, Live]
    """Every child that exists now, as the API server last answered it; without those of others and the pruned ones."""
    changed: tuple[ObjectKey, ...] = ()
    pruned: tuple[ObjectKey, ...] = ()
    refused: tuple[Refusal, ...] = ()


@dataclass(frozen=True)
class _Target:
    manifest: Manifest
    live: Live | None

    @property
    def key(self) -> ObjectKey:
        return key_of(self.manifest)

    @property
    def settled(self) -> bool:
        return self.live is not None and is_applied(self.manifest, self.live) and not foreign_paths(self.manifest, self.live)


async def apply(kube: Kube, desired: Desired, children: Sequence[Live], *, owner: Live | None) -> Applied:
    """Bring the children of `owner` to `desired`; `children` are those that a fresh list by label found.

    Raises `InvalidSpec` when `desired.prove` found a refusal, and `kube.errors.ApiError` for what is worth another try.
    """
    listed = {key_of(child): child for child in children}
    targets = [_Target(manifest, listed.get(key_of(manifest))) for manifest in desired.objects]
    if not desired.first:
        targets = await together(_find(kube, target) for target in targets)
    refused = [refusal for target in targets if (refusal := _hindrance(target, owner))]
    hindered = {refusal.key for refusal in refused}
    todo = [target for target in targets if target.key not in hindered and not target.settled]
    if desired.prove:
        await together(_prove(kube, target, owner) for target in todo)

    found = listed | {target.key: target.live for target in targets if target.live is not None}
    foreign = {refusal.key for refusal in refused if refusal.reason == "NameConflict"}
    uid = dig(owner, "metadata", "uid")
    live = {key: child for key, child in found.items() if key not in foreign and _controller(child).get("uid", uid) == uid}
    changed: list[ObjectKey] = []
    for _, wave in groupby(sorted(todo, key=_runs_pods), key=_runs_pods):
        for target, outcome in await together(_write(kube, target, owner) for target in wave):
            if isinstance(outcome, Refusal):
                refused.append(outcome)
                continue
            if _version(outcome) != _version(target.live):
                changed.append(target.key)
            live[target.key] = outcome

    # What runs may still need the old objects when a new one was refused.
    stale = [] if refused else _stale(desired, live.values())
    pruned = await together(_delete(kube, child) for child in stale)
    return Applied({key: child for key, child in live.items() if key not in pruned}, tuple(changed), tuple(pruned), tuple(refused))


async def prove(kube: Kube, manifests: Sequence[Manifest], children: Sequence[Live], *, owner: Live | None) -> None:
    """Try by dry run each of `manifests` that would change something; raises `InvalidSpec` where one is refused."""
    listed = {key_of(child): child for child in children}
    targets = [_Target(manifest, listed.get(key_of(manifest))) for manifest in manifests]
    await together(_prove(kube, target, owner) for target in targets if not target.settled)


@dataclass(frozen=True)
class Outlook:
    """What `apply` would meet at one object."""

    manifest: Manifest
    live: Live | None
    settled: bool
    """It would not be written."""
    refusal: Refusal | None
    """Why it would not be touched."""


async def outlook(kube: Kube, manifests: Sequence[Manifest], children: Sequence[Live], *, owner: Live | None) -> list[Outlook]:
    """What `apply` would do with each of `manifests`, without doing it."""
    listed = {key_of(child): child for child in children}
    targets = await together(_find(kube, _Target(manifest, listed.get(key_of(manifest)))) for manifest in manifests)
    return [Outlook(target.manifest, target.live, target.settled, _hindrance(target, owner)) for target in targets]


async def together(work: Iterable[Awaitable[T]]) -> list[T]:
    """Run all of it at once and wait for all of it, also when one fails; then raise the first failure."""
    outcomes = await asyncio.gather(*work, return_exceptions=True)
    results: list[T] = []
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
        results.append(outcome)
    return results


async def _find(kube: Kube, target: _Target) -> _Target:
    """The target with what is not listed: nothing, somebody else's object, or ours without its label."""
    if target.live is not None:
        return target
    key = target.key
    return replace(target, live=await kube.get(kind_of(target.manifest), key.namespace, key.name))


def _hindrance(target: _Target, owner: Live | None) -> Refusal | None:
    live, key = target.live, target.key
    if live is None:
        return None
    if dig(live, "metadata", "deletionTimestamp"):
        return Refusal(key, "Terminating", f"{key} is being deleted; it is made anew when it is gone.")
    controller = _controller(live)
    if controller and controller["uid"] != dig(owner, "metadata", "uid"):
        if (controller["kind"], controller["name"]) == (dig(owner, "kind"), dig(owner, "metadata", "name")):
            return Refusal(key, "Terminating", f"{key} is left of an earlier {_words(controller)}; it is made anew when it is gone.")
        return Refusal(key, "NameConflict", f"{key} belongs to {_words(controller)}. {_WAY_OUT}")
    if not controller and not is_ours(target.manifest, live):
        return Refusal(key, "NameConflict", f"{key} exists already and was not made by this operator for this resource. {_WAY_OUT}")
    return None


def _words(reference: Mapping[str, Any]) -> str:
    return f"{reference['kind']} {reference['name']}"


def _controller(live: Live) -> Mapping[str, Any]:
    """Reference to the object that controls this one; empty where none does."""
    references: list[Mapping[str, Any]] = dig(live, "metadata", "ownerReferences", default=[])
    return next((reference for reference in references if reference.get("controller")), {})


def is_ours(manifest: Manifest, live: Live) -> bool:
    """Whether an object of the desired one's name was made by this operator for the same resource."""
    wanted, found = dig(manifest, "metadata", "labels", default={}), dig(live, "metadata", "labels", default={})
    if any(found.get(label, wanted.get(label)) != wanted.get(label) for label in _TELLING_LABELS):
        return False
    return is_managed(live) or found.get(labels.MANAGED_BY) == labels.MANAGER


def _runs_pods(target: _Target) -> bool:
    return kind_of(target.manifest) in RUN_PODS


def _version(live: Live | None) -> str:
    return str(dig(live, "metadata", "resourceVersion", default=""))


async def _prove(kube: Kube, target: _Target, owner: Live | None) -> None:
    try:
        if target.live is not None and foreign_paths(target.manifest, target.live):
            # What others put in would be merged into the trial; what counts is the object without it.
            await _try_anew(kube, target.manifest)
        else:
            await kube.apply(target.manifest, dry_run=True, new=target.live is None)
    except AlreadyExists:
        found = await _find(kube, target)
        if found.live is not None and not _hindrance(found, owner):
            await _prove(kube, found, owner)
    except Forbidden as error:
        raise Refused(target.key, error) from error
    except Invalid as error:
        if target.live is None or not await _is_sound(kube, target):
            raise Refused(target.key, error) from error


async def _try_anew(kube: Kube, manifest: Manifest) -> None:
    """Dry run as if the object did not exist yet, under a name that nothing has."""
    name = f"{manifest['metadata']['name'][:40]}-anew"
    await kube.apply({**manifest, "metadata": {**manifest["metadata"], "name": name}}, dry_run=True)


async def _is_sound(kube: Kube, target: _Target) -> bool:
    """Whether an object that was refused may be made anew: its kind allows it, and it is the change that was refused."""
    if target.live is None or kind_of(target.manifest) not in RECREATED:
        return False
    try:
        await _try_anew(kube, target.manifest)
    except (Forbidden, Invalid):
        return False
    return True


async def _write(kube: Kube, target: _Target, owner: Live | None) -> tuple[_Target, Live | Refusal]:
    try:
        try:
            return target, await _bring(kube, target)
        except AlreadyExists:
            target = await _find(kube, target)
            return target, _hindrance(target, owner) or await _bring(kube, target)
    except (Forbidden, Invalid, NotFound) as error:
        return target, Refusal(target.key, type(error).__name__, f"The API server refused {target.key}: {error.message}")


async def _bring(kube: Kube, target: _Target) -> Live | Refusal:
    live = target.live
    if live is not None:
        # Refused where our own change is needed first; it is tried again after that.
        with suppress(Invalid):
            live = await _strip(kube, target.manifest, live)
        if is_applied(target.manifest, live):
            return live
    try:
        applied = await kube.apply(target.manifest, new=live is None)
    except Invalid:
        if not await _is_sound(kube, target):
            raise
        return await _recreate(kube, target)
    return await _strip(kube, target.manifest, applied)


async def _strip(kube: Kube, manifest: Manifest, live: Live) -> Live:
    """Take out of a pod template what others put into it."""
    kind, key = kind_of(live), key_of(live)
    for last in (False, False, True):
        paths = foreign_paths(manifest, live)
        if not paths:
            break
        # A resourceVersion that has moved on is a Conflict, so that no path hits another list item.
        guard = {"op": "replace", "path": "/metadata/resourceVersion", "value": _version(live)}
        try:
            return await kube.patch(kind, key.namespace, key.name, [guard, *({"op": "remove", "path": path} for path in paths)])
        except Conflict:
            # During a roll-out the controllers write status all the time.
            if last or (now := await kube.get(kind, key.namespace, key.name)) is None:
                raise
            live = now
    return live


async def _recreate(kube: Kube, target: _Target) -> Live | Refusal:
    kind, key = kind_of(target.manifest), target.key
    uid = dig(target.live, "metadata", "uid", default="")
    await kube.delete(kind, key.namespace, key.name, uid=uid, propagation=RECREATED[kind])
    if await kube.get(kind, key.namespace, key.name) is not None:
        return Refusal(key, "Terminating", f"{key} is being replaced, since a field that cannot be changed has changed.")
    return await kube.apply(target.manifest, new=True)


def _stale(desired: Desired, children: Iterable[Live]) -> list[Live]:
    kept = desired.keep | {key_of(manifest) for manifest in desired.objects}
    return [child for child in children if key_of(child) not in kept and is_prunable(child)]


def is_prunable(child: Live) -> bool:
    """Whether a child goes when it is no longer desired: what holds keys or data never does."""
    if dig(child, "metadata", "deletionTimestamp") or dig(child, "metadata", "labels", labels.RETAINED):
        return False
    # A claim is data: it goes by its own name or not at all.
    if kind_of(child) == PERSISTENT_VOLUME_CLAIM:
        return False
    return is_managed(child) or bool(_controller(child))


async def _delete(kube: Kube, child: Live) -> ObjectKey:
    key = key_of(child)
    await kube.delete(kind_of(child), key.namespace, key.name, uid=dig(child, "metadata", "uid", default=""))
    return key
