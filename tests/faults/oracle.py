"""What has to hold after every case, whatever was done to the operator in between."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from airflow_operator.api import parse_base
from airflow_operator.cli.cluster import context
from airflow_operator.domain import labels, names
from airflow_operator.domain.kinds import AIRFLOW_BASE, AIRFLOW_CLUSTER, CHILD_KINDS, PERSISTENT_VOLUME_CLAIM, SECRET
from airflow_operator.domain.manifest import Live, Manifest, dig, key_of
from airflow_operator.kube.errors import ApiError
from airflow_operator.kube.protocol import FIELD_MANAGER
from airflow_operator.reconcile import base as bases
from airflow_operator.reconcile import keys as made_keys
from airflow_operator.reconcile import plan
from airflow_operator.reconcile.in_use import accounts_in_use
from airflow_operator.reconcile.observe import observe
from airflow_operator.reconcile.validate import validate
from tests.faults.case import Case, Counts, told
from tests.faults.zygote import SETTINGS
from tests.integration.scenario import BASE, CLUSTER, Stage

ALLOWED_IN_TEMPLATES = frozenset({("f:metadata", "f:annotations", "f:kubectl.kubernetes.io/restartedAt")})
"""What others may set in a pod template."""

_MOVING = ("resourceVersion", "generation", "managedFields", "uid", "creationTimestamp")
_JOBS = ("provision", "check", "migrate", "users", "probe")
_REPEATED = ("check", f"jobs/{CLUSTER}-check-*")
"""Asked, made and removed once more where the operator was killed, or shown the past, between removing the answer and using it."""


@dataclass(frozen=True)
class Kept:
    """Keys and data: (kind, name) -> (UID, content); an empty UID stands for any."""

    objects: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)

    def but(self, *remade: str) -> Kept:
        """The same, where objects whose names begin so may be others with the same content."""
        return Kept({key: ("" if key[1].startswith(remade) else uid, content) for key, (uid, content) in self.objects.items()})


@dataclass(frozen=True)
class Reference:
    """How the same steps end where nothing is done to the operator."""

    counts: Counts
    asked: Counter[str]
    """What the Jobs were asked."""
    told: dict[str, set[tuple[str, str, str]]]


async def kept(stage: Stage) -> Kept:
    """Keys and data as they are now."""
    found: dict[tuple[str, str], tuple[str, str]] = {}
    for kind in (SECRET, PERSISTENT_VOLUME_CLAIM):
        for item in await stage.admin.list(kind, stage.namespace):
            if dig(item, "metadata", "labels", labels.RETAINED) and "deletionTimestamp" not in item["metadata"]:
                content = json.dumps(item.get("data", ""), sort_keys=True)
                found[kind.kind, item["metadata"]["name"]] = (item["metadata"]["uid"], content)
    return Kept(found)


async def reference(case: Case) -> Reference:
    """The case as others are measured by."""
    return Reference(case.counts(), case.asked(), await told(case.stage))


async def faults(case: Case, before: Kept, norm: Reference | None = None, theirs: Iterable[tuple[str, str]] = ()) -> list[str]:
    """Everything that is not as it has to be, a sentence each. The case is at rest.

    `before`: keys and data that were there when the step began; `norm`: the undisturbed run; `theirs`: (kind, name) of the user's own.
    """
    stage = case.stage
    found = [*of_process(case), *await _of_status(stage), *await _of_kept(stage, before)]
    wanted = await desired(stage)
    found += [sentence for manifest in wanted for sentence in await of_object(stage, manifest)]
    found += await _orphans(stage, wanted, set(theirs))
    if norm:
        found += _beyond(case, norm)
        now = await told(stage)
        found += [f"{kind} tells {sorted(now[kind] ^ norm.told[kind])} otherwise" for kind in now if now[kind] != norm.told[kind]]
    return found


async def desired(stage: Stage) -> list[Manifest]:
    """What `render` says should exist of what is declared now, with the real keys in the place of the stand-ins."""
    ctx = context(stage.admin, SETTINGS)
    base = await stage.get(AIRFLOW_BASE, BASE)
    wanted: list[Manifest] = []
    if base is not None and (password := await stage.get(SECRET, names.postgres(BASE))):
        wanted += bases.objects_of(base, parse_base(base).spec, password, SETTINGS.platform)
    seen = await observe(ctx, stage.namespace, CLUSTER)
    if seen is not None and base is not None:
        cluster = validate(seen, SETTINGS.platform)
        own = made_keys.read(await stage.must_get(SECRET, names.keys(CLUSTER)))
        wanted += [*plan.prerequisites(cluster, own, accounts_in_use(seen)), *plan.components(cluster, own)]
    return wanted


def of_process(case: Case) -> Iterator[str]:
    if not case.operator.alive:
        yield "the operator ended by itself"
    # kopf tells a refused finalizer by a traceback; what becomes of the object is what counts.
    log = case.operator.log
    for words in ("unexpected failure", *(() if "Throttling for" in log else ("Traceback",))):
        if words in log:
            yield f"the operator's log says {words!r}"


async def _of_status(stage: Stage) -> list[str]:
    found = []
    for kind, name in ((AIRFLOW_BASE, BASE), (AIRFLOW_CLUSTER, CLUSTER)):
        item = await stage.get(kind, name)
        generation = dig(item, "metadata", "generation", default=0)
        observed = [
            dig(item, "status", "observedGeneration"),
            *(each["observedGeneration"] for each in dig(item, "status", "conditions") or ()),
        ]
        if item is not None and set(observed) != {generation}:
            found.append(f"{kind.kind} speaks of generation {observed} and is at {generation}")
    return found


async def _of_kept(stage: Stage, before: Kept) -> list[str]:
    now = (await kept(stage)).objects
    found = []
    for (kind, name), (uid, content) in before.objects.items():
        if (kind, name) not in now:
            found.append(f"{kind} {name} is lost")
        elif uid not in ("", now[kind, name][0]):
            found.append(f"{kind} {name} was made anew")
        elif now[kind, name][1] != content:
            found.append(f"{kind} {name} has another content")
    return found


async def of_object(stage: Stage, manifest: Manifest) -> list[str]:
    """A dry run of the whole manifest changes neither a value nor who owns it: the API server judges, not the operator's own code."""
    key = key_of(manifest)
    kind = next(kind for kind in CHILD_KINDS if kind.kind == key.kind)
    live = await stage.get(kind, key.name)
    if live is None:
        return [f"{key} is missing"]
    try:
        tried = await stage.admin.apply(manifest, dry_run=True)
    except ApiError as error:
        return [f"{key} would be refused: {error.message}"]
    found = [f"{key} differs at {path}" for path in _differing(still(live), still(tried))]
    if not found and _ours(live) != _ours(tried):
        found.append(f"{key}: we own other fields than we set")
    return found + [f"{key} has {path} from others in its pods" for path in _foreign(live)]


def still(item: Live) -> dict[str, Any]:
    """The object without what moves by itself."""
    meta = {name: value for name, value in item["metadata"].items() if name not in _MOVING}
    return {name: value for name, value in item.items() if name != "status"} | {"metadata": meta}


def _differing(one: Any, other: Any, path: str = "") -> Iterator[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        for name in sorted({*one, *other}):
            yield from _differing(one.get(name), other.get(name), f"{path}.{name}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for place, pair in enumerate(zip(one, other, strict=True)):
            yield from _differing(*pair, f"{path}[{place}]")
    elif one != other:
        yield path


def _ours(item: Live) -> Any:
    entries = dig(item, "metadata", "managedFields", default=[])
    return [entry["fieldsV1"] for entry in entries if entry["manager"] == FIELD_MANAGER and entry["operation"] == "Apply"]


def _leaves(tree: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, child in tree.items():
        if key != ".":
            yield from _leaves(child, (*path, key)) if child else iter([(*path, key)])


def _foreign(item: Live) -> Iterator[str]:
    ours: set[tuple[str, ...]] = set()
    theirs: set[tuple[str, ...]] = set()
    for entry in dig(item, "metadata", "managedFields", default=[]):
        leaves = set(_leaves(dig(entry, "fieldsV1", "f:spec", "f:template", default={})))
        if entry["manager"] == FIELD_MANAGER:
            ours |= leaves
        elif not entry.get("subresource"):
            theirs |= leaves
    for path in sorted(theirs - ours - ALLOWED_IN_TEMPLATES):
        yield "/".join(path)


async def _orphans(stage: Stage, wanted: list[Manifest], theirs: set[tuple[str, str]]) -> list[str]:
    """Objects that nobody wants, and children that belong to nobody."""
    known = {(item["kind"], item["metadata"]["name"]) for item in wanted} | theirs
    owners = {dig(await stage.get(kind, name), "metadata", "uid") for kind, name in ((AIRFLOW_BASE, BASE), (AIRFLOW_CLUSTER, CLUSTER))}
    found = []
    jobs: Counter[str] = Counter()
    for kind in CHILD_KINDS:
        for item in await stage.admin.list(kind, stage.namespace):
            meta, mark = item["metadata"], (item["kind"], item["metadata"]["name"])
            if mark in (("ConfigMap", "kube-root-ca.crt"), ("ServiceAccount", "default")) or "deletionTimestamp" in meta:
                continue
            retained = labels.RETAINED in dig(meta, "labels", default={})
            controllers = [owner["uid"] for owner in meta.get("ownerReferences", []) if owner.get("controller")]
            beside_base = labels.CLUSTER_NAMESPACE in dig(meta, "labels", default={})
            if kind.kind == "Job":
                jobs[dig(meta, "labels", labels.COMPONENT, default="")] += 1
            elif not retained and mark not in known:
                found.append(f"{mark[0]} {mark[1]} is left over")
            if retained or mark in theirs:
                continue
            if not beside_base and not (controllers and set(controllers) <= owners):
                found.append(f"{mark[0]} {mark[1]} belongs to nobody")
            if beside_base and dig(await stage.get(AIRFLOW_CLUSTER, CLUSTER), "metadata", "uid") is None:
                found.append(f"{mark[0]} {mark[1]} is left beside the base")
    return found + [f"{count} Jobs of component {name!r}" for name, count in jobs.items() if count > 1 or name not in _JOBS]


def _beyond(case: Case, norm: Reference) -> Iterator[str]:
    """What was made, removed or asked oftener than where nothing was done to the operator."""
    now = case.counts()
    for what, mine, usual in (("made", now.created, norm.counts.created), ("removed", now.deleted, norm.counts.deleted)):
        for name, times in (mine - usual).items():
            if name in _REPEATED and times == 1:
                continue
            yield f"{name} was {what} {times} times more than without a fault"
    asked = case.asked()
    for name in sorted({*asked, *norm.asked}):
        more = asked[name] - norm.asked[name]
        if more and not (more == 1 and name in _REPEATED):
            yield f"Jobs asked to {name} {asked[name]} times instead of {norm.asked[name]}"
