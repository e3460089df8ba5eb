"""`airflow-operator status NAME`: one resource in a readable table, with what to do next."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_operator.cli import cluster
from airflow_operator.cli.errors import CommandError
from airflow_operator.domain.kinds import AIRFLOW_BASE, AIRFLOW_CLUSTER
from airflow_operator.domain.manifest import Kind, Live, dig, key_of
from airflow_operator.domain.reasons import ADVICE, INVERTED

if TYPE_CHECKING:
    from airflow_operator.kube.protocol import Kube

READY, ON_ITS_WAY, DEGRADED = 0, 3, 4

_KINDS: Mapping[str, Kind] = {
    **dict.fromkeys(("", "afc", "airflowcluster", "airflowclusters"), AIRFLOW_CLUSTER),
    **dict.fromkeys(("afb", "airflowbase", "airflowbases"), AIRFLOW_BASE),
}


def run(arguments: argparse.Namespace) -> int:
    """Exit code 0: ready; 3: on its way; 4: something is wrong."""
    word, _, name = arguments.name.rpartition("/")
    kind = _KINDS.get(word.lower())
    if kind is None:
        raise CommandError(f"{word!r} is neither afc (AirflowCluster) nor afb (AirflowBase).")

    async def question(kube: Kube, namespace: str) -> int:
        live = await kube.get(kind, namespace, name)
        if live is None:
            raise CommandError(f"{kind.kind} {namespace}/{name} does not exist.")
        print("\n".join(table(live)))
        return code(live)

    return cluster.ask(arguments, question)


def code(live: Live) -> int:
    """The exit code for what a resource says of itself; what it said of an earlier spec does not count."""
    now = {item["type"]: item["status"] for item in _conditions(live) if _is_current(item, live)}
    if now.get("Ready") == "True":
        return READY
    return DEGRADED if now.get("Degraded") == "True" else ON_ITS_WAY


def table(live: Live) -> Iterator[str]:
    """The lines for a person."""
    status: Mapping[str, Any] = live.get("status") or {}
    yield f"{key_of(live)}: {status.get('phase', 'not looked at by the operator yet')}"
    yield ""
    yield from _columns([[title, value] for title, value in _facts(live, status)])
    if rows := [[item["name"], f"{item['ready']}/{item['desired']}"] for item in status.get("components", ())]:
        yield ""
        yield from _columns([["COMPONENT", "READY"], *rows])
    if rows := [[item["name"], item.get("ref", ""), item.get("commit", "not known yet")] for item in status.get("dags", ())]:
        yield ""
        yield from _columns([["DAGS", "REF", "COMMIT"], *rows])
    yield ""
    rows = [
        [item["type"], item["status"], item["reason"], *([] if _is_current(item, live) else ["(an earlier spec)"])]
        for item in _conditions(live)
    ]
    yield from _columns([["CONDITION", "STATUS", "REASON"], *rows])
    yield from _next_steps(live)


def _facts(live: Live, status: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for title, path in (("Version", ("version",)), ("Executor", ("executor",)), ("URL", ("url",)), ("Database", ("database",))):
        if value := dig(status, *path):
            yield title, str(value)
    if dig(status, "clusters") is not None:
        yield "Clusters", str(status["clusters"])
    if secret := dig(status, "auth", "adminSecretRef", "name"):
        yield (
            "Administrator",
            f"kubectl -n {live['metadata']['namespace']} get secret {secret} -o jsonpath='{{.data.password}}' | base64 -d",
        )


def _next_steps(live: Live) -> Iterator[str]:
    """Each fault once, in the words of its condition, with what to do."""
    told: set[str] = set()
    faults = [item for item in _conditions(live) if item["type"] not in INVERTED and item["type"] != "Ready" and item["status"] != "True"]
    for item in faults:
        if item["message"] in told:
            continue
        told.add(item["message"])
        advice = ADVICE.get(item["reason"])
        yield ""
        yield f"{item['type']}: {item['message']}"
        if advice and advice.todo:
            yield f"  -> {advice.todo.replace('`', '')}"


def _conditions(live: Live) -> Sequence[Mapping[str, Any]]:
    found: Sequence[Mapping[str, Any]] = dig(live, "status", "conditions", default=[])
    return found


def _is_current(item: Mapping[str, Any], live: Live) -> bool:
    return bool(item.get("observedGeneration") == live["metadata"].get("generation"))


def _columns(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max((len(row[place]) for row in rows if place < len(row)), default=0) for place in range(max(map(len, rows), default=0))]
    for row in rows:
        yield "   ".join(text.ljust(width) for text, width in zip(row, widths, strict=False)).rstrip()
