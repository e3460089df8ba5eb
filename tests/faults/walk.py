"""Namespaces that walk through what can be declared, a leaf at a time, and how each transition is judged."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cache
from random import Random
from typing import Any

from airflow_operator.crdgen.structural import PRESERVE
from airflow_operator.domain import names
from airflow_operator.domain.kinds import AIRFLOW_BASE, AIRFLOW_CLUSTER, CHILD_KINDS, SECRET
from airflow_operator.domain.manifest import Kind, Live, dig
from airflow_operator.kube.errors import Invalid
from airflow_operator.reconcile import keys
from devcluster.control_plane import ControlPlane
from tests.faults import oracle
from tests.faults.case import Case, Rig
from tests.integration.certificates import certificate
from tests.integration.scenario import API_VERSION, BASE, CLUSTER
from tests.unit.leaves import LEAVES, START, VALUES, candidates, rendered, with_leaf

log = logging.getLogger("faults")

Spec = dict[str, Any]

KINDS: Mapping[str, tuple[Kind, str]] = {"AirflowBase": (AIRFLOW_BASE, BASE), "AirflowCluster": (AIRFLOW_CLUSTER, CLUSTER)}
NAMES = ("a", "b")
"""What the user's own objects are called, and their keys."""
STRANGER = "nobodyKnowsThis"
MISSING = "missing"
WRONG: tuple[Any, ...] = (True, -1, 1.5, "", "A b", [], {}, ["a"], [{}], {"a": "b"}, {"a": {}}, "x" * 300)
Running = dict[tuple[str, str], Any]
REFERENCES = ("Ref.name", "fernet.name", "apiSecret.name", "jwt.name", "webserverSecret.name", "claimName", "serviceAccount.name")

PAUSED = "AirflowCluster.paused"

ELSEWHERE: Mapping[str, str] = {
    "AirflowCluster.baseRef.": "cannot change: tests/crd; other namespaces: tests/integration/test_scenario_tenants.py",
    "AirflowCluster.database.": "for a base that makes no databases: tests/integration/test_scenario_external.py",
    PAUSED: "nothing is carried out then: tests/integration/test_scenario_refused.py",
    "AirflowCluster.gateway.": "nobody answers for routes here: tests/integration/test_scenario_gateway.py",
}
"""Leaves that are not walked, by the start of their path, and why."""
WALKED = [path for path in LEAVES if not path.startswith(tuple(ELSEWHERE))]
ENDS = ("Running", "Degraded", "Waiting", "Invalid", "Paused")
"""Phases in which nothing is on its way."""

CONTAINER = {
    "image": "registry.example/c",
    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
}
MISTAKES: Mapping[str, Sequence[str]] = {
    "stranger": [path for path, schema in LEAVES.items() if schema.get(PRESERVE) or schema.get("items", {}).get(PRESERVE)],
    "missing": [path for path in WALKED if path.endswith(REFERENCES)],
    "wrong": sorted(LEAVES),
}
"""What may be wrong with a value, and the leaves that can have it."""

LIVE: Mapping[str, tuple[Any, ...]] = {
    "fernet.key": ("fernet-key", "fernet-again"),
    "apiSecret.key": ("api-secret-key", "api-again"),
    "webserverSecret.key": ("webserver-secret-key", "webserver-again"),
    "jwt.key": ("jwt-secret", "jwt-again"),
    "KeyRef.key": NAMES,
    "SecretRef.key": NAMES,
    "matchLabels": ({"a": "a"}, {"b": "b"}),
    "matchExpressions[].operator": ("Exists",),
    "matchExpressions[].values": (["a"], ["a", "b"]),
    "resources.requests": ({"cpu": "10m"}, {"cpu": "20m"}),
    "resources.limits": ({"memory": "1Gi"}, {"memory": "2Gi"}),
    "topologySpreadConstraints": tuple([{"maxSkew": 1, "topologyKey": key, "whenUnsatisfiable": "ScheduleAnyway"}] for key in NAMES),
    "podSecurityContext": tuple({"fsGroupChangePolicy": policy} for policy in ("Always", "OnRootMismatch")),
    "securityContext": tuple({"readOnlyRootFilesystem": value} for value in (True, False)),
    "podTemplate.spec": tuple({"schedulerName": name} for name in NAMES),
    "fieldRef.fieldPath": ("metadata.name", "metadata.namespace"),
    "fieldRef.apiVersion": ("v1",),
    "initContainers": ([{"name": "a", **CONTAINER}], [{"name": "b", **CONTAINER}]),
    "extraContainers": ([{"name": "a", **CONTAINER}], [{"name": "b", **CONTAINER}]),
    "volumeMounts": ([{"name": "a", "mountPath": "/a"}], [{"name": "a", "mountPath": "/b"}]),
    "volumes": ([{"name": "a", "emptyDir": {}}], [{"name": "b", "emptyDir": {}}]),
    "tolerations": ([{"key": "a", "operator": "Exists"}], [{"key": "b", "operator": "Exists"}]),
    "affinity": ({"nodeAffinity": {}}, {"podAffinity": {}}),
}
"""Values that a real API server takes, by the end of a path, where those that are rendered do not tell any."""


@dataclass(frozen=True)
class Change:
    """One leaf is given a value."""

    kind: str
    path: str
    value: Any
    manner: str
    """`likely`, or what is wrong with it: `stranger`, `missing`, `wrong`; `back` is what was carried out last."""
    spec: Spec = field(compare=False)
    """The whole spec that is declared."""

    def __str__(self) -> str:
        return f"{self.manner} {self.path} = {json.dumps(self.value)[:100]}"

    def named_in(self, words: str, *, held: bool) -> bool:
        """Whether somebody who reads this finds what they wrote: the field, and in a condition also the name that nobody knows."""
        field = self.path.replace("[]", "").split(".")[1] if "." in self.path else "(nothing of it is wrong)"
        unknown = {"stranger": STRANGER, "missing": MISSING}.get(self.manner, "") if held else ""
        return f"spec.{field}" in words and unknown in words


@dataclass
class Walked:
    """What became of all transitions."""

    ends: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(manner, end) -> how often."""
    changed: set[str] = field(default_factory=set)
    """Leaves of which a value was carried out."""
    tried: Counter[str] = field(default_factory=Counter)
    """Leaf -> how often a likely value of it was declared."""
    failures: list[str] = field(default_factory=list)
    """What was wrong, with the story of it."""
    told: dict[str, str] = field(default_factory=dict)
    """Leaf -> what was said of a likely value that was not carried out."""

    @property
    def transitions(self) -> int:
        return self.ends.total()

    @property
    def left(self) -> list[str]:
        """Leaves that are still to be changed, those first that were tried least."""
        return sorted(set(WALKED) - self.changed, key=lambda path: self.tried[path])


class Lane:
    """One namespace on its way."""

    def __init__(self, shared: Rig, walked: Walked, number: int) -> None:
        self._rig = shared
        self._walked = walked
        self._number = number
        self._stack = AsyncExitStack()
        self.case: Case
        self._good: dict[str, Spec] = {}
        """Kind -> what was carried out last."""
        self._still: Running = {}
        """What ran then."""
        self._held = ""
        """Kind of which something else was declared since, which is not carried out."""

    async def begin(self, specs: Mapping[str, Spec] = START) -> str:
        """Go on in a fresh namespace where this is carried out; what is in the way of that, if anything."""
        await self.close()
        self.case = await self._stack.enter_async_context(self._rig.case(f"walk-{self._number}"))
        await bring(self.case)
        await self.case.operator.start()
        for kind in KINDS:
            await self._declare(kind, specs[kind])
        if specs is START:
            await self.case.settled()
        elif words := await self._judged():
            return words
        await bring_keys(self.case)
        await self.case.at_rest()
        self._good = deepcopy(dict(specs))
        self._still = await running(self.case)
        self._held = ""
        return ""

    async def close(self) -> None:
        """Leave the namespace."""
        await self._stack.aclose()

    def choose(self, number: int) -> Change:
        """What to declare now; hypothesis draws the number."""
        # The same number means another thing at each step: hypothesis likes to draw the same ones.
        random = Random(f"{number} {self._number} {self._walked.transitions}")
        # A mistake is taken back, or replaced by another change of the same resource.
        if self._held and random.random() < 0.75:
            return Change(self._held, self._held, None, "back", self._good[self._held])
        manner = random.choices(("likely", *MISTAKES), (6, 2, 2, 2))[0]
        while True:
            path = self._likely_path(random) if manner == "likely" else random.choice(MISTAKES[manner])
            kind = path.partition(".")[0]
            if self._held not in ("", kind):
                continue
            self._walked.tried[path] += manner == "likely"
            for value in values(path, manner, random):
                for onto in self._onto(kind):
                    spec = with_leaf(kind, path, value, onto)
                    if fits(path, onto, random) if manner != "likely" else spec != self._good[kind] and rendered(kind, spec) is not None:
                        return Change(kind, path, value, manner, spec)

    def _onto(self, kind: str) -> list[Spec]:
        """What a leaf is added to. The start comes after what is there, but not where its volume would have to grow: here none can."""
        size = ("database", "postgres", "storage", "size")
        there, start = self._good[kind], START[kind]
        return [there, start] if dig(there, *size) == dig(start, *size) else [there]

    def _likely_path(self, random: Random) -> str:
        left = [path for path in self._walked.left if path.startswith(self._held)]
        return left[0] if left and random.random() < 0.8 else random.choice(WALKED)

    async def walk(self, numbers: Sequence[int]) -> None:
        """A transition for each number."""
        for number in numbers:
            await self.step(number)

    async def step(self, number: int) -> None:
        """One transition; after one that went wrong the lane goes on in another namespace."""
        change = self.choose(number)
        try:
            await self._take(change)
        except Exception as error:
            self._walked.failures.append(f"=== {self.case.namespace}: {change}: {error}\n{self.case.story()}")
            log.error("%s", self._walked.failures[-1])
            self._end(change, "wrong")
            words = await self.begin()
            assert not words, words

    async def _take(self, change: Change) -> None:
        case = self.case
        case.begin()
        kept = await oracle.kept(case.stage)
        # Keys that are brought are copied too.
        copy = names.keys_copy(case.namespace, CLUSTER)
        before = oracle.Kept({key: value for key, value in kept.objects.items() if key[1] != copy})
        refusal = ""
        try:
            await self._declare(change.kind, change.spec)
        except Invalid as error:
            refusal = error.message
        holds = await self._judged()
        words = refusal or holds
        now = await running(case)
        if words:
            assert change.named_in(words, held=not refusal), f"{change} is not named: {words}"
            assert now == self._still, f"{differing(self._still, now)} changed in spite of: {words}"
            self._held = self._held if refusal else change.kind
            self._end(change, "refused" if refusal else "held", words)
        else:
            found = await oracle.faults(case, before, theirs=THEIRS)
            assert not found, "\n".join(found)
            if change.manner == "back":
                assert now == self._still, f"{differing(self._still, now)} is not as before the mistake"
            self._good[change.kind], self._still, self._held = change.spec, now, ""
            self._end(change, "carried out")
        if refusal and change.manner == "likely" and change.path not in self._walked.changed:
            # What cannot be changed can be chosen once.
            words = await self.begin({**START, change.kind: with_leaf(change.kind, change.path, change.value)})
            self._end(change, "held from the start" if words else "carried out", words)
            if words:
                await self.begin()

    async def _judged(self) -> str:
        """What holds it once it is at rest and nothing is on its way; twice, since a busy machine may be slow between two looks."""
        words = ""
        for _ in range(2):
            await self.case.stage.until(self._ended)
            await self.case.at_rest()
            if not (words := await not_ready(self.case)):
                break
        return words

    async def _ended(self) -> bool:
        found = {kind: await self.case.stage.must_get(*of) for kind, of in KINDS.items()}
        current = all(dig(item, "status", "observedGeneration") == item["metadata"]["generation"] for item in found.values())
        # A cluster whose base is held waits for it without end.
        return current and (dig(found["AirflowCluster"], "status", "phase") in ENDS or not _is_ready(found["AirflowBase"]))

    async def _declare(self, kind: str, spec: Spec) -> None:
        name = KINDS[kind][1]
        if spec.get("baseRef") == START["AirflowCluster"]["baseRef"]:
            spec = {**spec, "baseRef": {"name": BASE}}
        document = {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": without_none(spec)}
        try:
            await self.case.stage.apply(document)
        except Invalid as error:
            emptied = EMPTIED.findall(error.message)
            if not emptied:
                raise
            for path in emptied:
                leave_out(document, path)
            await self.case.stage.apply(document)

    def _end(self, change: Change, end: str, words: str = "") -> None:
        log.info("%s: %s: %s %s", self.case.namespace, change, end, words[:200])
        self._walked.ends[change.manner, end] += 1
        if change.manner == "likely" and end == "carried out":
            self._walked.changed.add(change.path)
        elif change.manner == "likely":
            self._walked.told[change.path] = f"{change}: {end}: {words}"


def values(path: str, manner: str, random: Random) -> list[Any]:
    """What a leaf may be given, in the order in which it is tried."""
    schema = LEAVES[path]
    match manner:
        case "stranger":
            return [[{STRANGER: 1}] if schema.get("type") == "array" else {STRANGER: 1}]
        case "missing":
            return [MISSING]
        case "wrong":
            # To pause is no mistake, and nothing that comes after it would be carried out.
            return [random.choice([value for value in WRONG if not (path == PAUSED and value is True)])]
    end = next((end for end in LIVE if path.endswith(end)), None)
    found = list(LIVE[end]) if end else [*VALUES.get(path, ()), *candidates(schema)]
    first, rest = found[:4], found[4:]
    random.shuffle(first)
    random.shuffle(rest)
    return [*first, *rest]


def fits(path: str, onto: Spec, random: Random) -> bool:
    """Whether the leaf could have a right value there: else something else is wrong as well, and may be all that is told."""
    kind = path.partition(".")[0]
    return any(rendered(kind, with_leaf(kind, path, value, onto)) is not None for value in values(path, "likely", random))


EMPTIED = re.compile(r'(spec\.[^ ]+): Invalid value: "null"')
"""Server-side apply makes null of a map whose last key goes, which its schema refuses: kubernetes/kubernetes#135841, docs/gitops.md."""


def leave_out(document: Any, path: str) -> None:
    """Take a field out: spec.dags[0].git."""
    *parents, last = path.split(".")
    for step in parents:
        name, *places = step.replace("]", "").split("[")
        document = document[name]
        for place in places:
            document = document[int(place)]
    del document[last]


def without_none(value: Any) -> Any:
    """None stands for a field that is taken out."""
    if isinstance(value, dict):
        return {key: without_none(item) for key, item in value.items() if item is not None}
    return [without_none(item) for item in value] if isinstance(value, list) else value


async def running(case: Case) -> Running:
    """Everything that the operator made, but for Jobs, which run once."""
    return {
        (kind.kind, item["metadata"]["name"]): (item["metadata"]["uid"], oracle.still(item))
        for kind in CHILD_KINDS
        if kind.kind != "Job"
        for item in await case.stage.admin.list(kind, case.namespace)
        if (kind.kind, item["metadata"]["name"]) not in THEIRS
    }


def differing(one: Running, other: Running) -> list[str]:
    """The names of what is not the same."""
    return [f"{kind} {name}" for kind, name in sorted({*one, *other}) if one.get((kind, name)) != other.get((kind, name))]


async def not_ready(case: Case) -> str:
    """What both resources say of what holds them; empty where all is carried out."""
    found = []
    for kind, name in KINDS.values():
        conditions = {item["type"]: item for item in dig(await case.stage.get(kind, name), "status", "conditions", default=[])}
        if conditions["Ready"]["status"] != "True" and "Paused" not in conditions:
            found += [item["message"] for item in conditions.values() if item["status"] != "True"]
    return "\n".join(found)


def _is_ready(item: Live) -> bool:
    return any(found["type"] == "Ready" and found["status"] == "True" for found in dig(item, "status", "conditions", default=[]))


THEIRS = frozenset({(kind, name) for kind in ("Secret", "ConfigMap", "ServiceAccount", "PersistentVolumeClaim") for name in NAMES})


@cache
def texts() -> dict[str, str]:
    """What the Secrets and ConfigMaps hold; what names one of their keys may want a certificate there."""
    pem = certificate()
    return {
        "a": pem,
        "b": pem,
        "ssh-privatekey": pem,
        "username": "airflow",
        "password": "theirs",
        "client-id": "airflow",
        "client-secret": "theirs",
    }


async def bring(case: Case) -> None:
    """What the leaves name: everything is called a or b, and its keys and labels too."""
    await asyncio.to_thread(case.stage.kubectl, "label", "namespace", case.namespace, *(f"{name}={name}" for name in NAMES))
    for name in NAMES:
        meta = {"metadata": {"name": name}}
        await case.stage.secret(name, **texts())
        await case.stage.apply({"apiVersion": "v1", "kind": "ConfigMap", **meta, "data": texts()})
        await case.stage.apply({"apiVersion": "v1", "kind": "ServiceAccount", **meta})
        claim = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}}
        await case.stage.apply({"apiVersion": "v1", "kind": "PersistentVolumeClaim", **meta, "spec": claim})


async def bring_keys(case: Case) -> None:
    """The keys that the operator made are the user's own as well: a database does not take others."""
    made = await case.stage.must_get(SECRET, names.keys(CLUSTER))
    fernet, api = (base64.b64decode(made["data"][member]).decode() for member in (keys.FERNET, keys.API_SECRET))
    again = {"fernet-again": fernet, "api-again": api, "webserver-secret-key": api, "webserver-again": api}
    jwt = {"jwt-secret": "j" * 64, "jwt-again": "k" * 64}
    for name in NAMES:
        await case.stage.secret(name, **texts(), **{keys.FERNET: fernet, keys.API_SECRET: api}, **again, **jwt)


def bring_for_all(control_plane: ControlPlane) -> None:
    """What is named and belongs to no namespace."""
    for name in NAMES:
        meta = {"metadata": {"name": name}}
        for document in (
            {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", **meta, "value": 1},
            {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", **meta, "provisioner": "example.com/none"},
        ):
            control_plane.kubectl("create", "-f", "-", input=json.dumps(document))
