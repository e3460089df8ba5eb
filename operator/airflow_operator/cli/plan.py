"""`airflow-operator plan FILE`: what would change if the file were applied."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from airflow_operator.cli import cluster, deployed
from airflow_operator.cli.errors import CommandError
from airflow_operator.cli.files import documents
from airflow_operator.domain.kinds import AIRFLOW_BASE, AIRFLOW_CLUSTER, API_VERSION, CONFIG_MAP, SECRET, kind_of
from airflow_operator.domain.manifest import Live, Manifest, key_of
from airflow_operator.kube.errors import Forbidden, Invalid, NotFound
from airflow_operator.reconcile.fields import Difference, compared
from airflow_operator.reconcile.keys import encode
from airflow_operator.reconcile.preview.candidate import candidate
from airflow_operator.reconcile.preview.preview import Preview, Row, preview_base, preview_cluster
from airflow_operator.reconcile.preview.rehearsal import Rehearsal
from airflow_operator.settings import Settings

if TYPE_CHECKING:
    from airflow_operator.kube.protocol import Kube

ACCEPTED, REFUSED, HELD = 0, 1, 3

_TAKEN = (AIRFLOW_BASE.kind, AIRFLOW_CLUSTER.kind, SECRET.kind, CONFIG_MAP.kind)
_LONGEST = 100


def run(arguments: argparse.Namespace) -> int:
    """Exit code 0: it would be carried out; 1: it is refused; 3: it would be accepted and wait."""
    wanted = documents(arguments.file)

    async def question(kube: Kube, namespace: str) -> int:
        return await plan(kube, wanted, namespace, arguments.operator_namespace)

    return cluster.ask(arguments, question)


async def plan(kube: Kube, wanted: list[Any], namespace: str, operator_namespace: str) -> int:
    """Print what would become of each resource."""
    resources = [_placed(item, namespace) for item in wanted if isinstance(item, dict) and item.get("kind") in _TAKEN]
    ours = sorted((item for item in resources if item.get("apiVersion") == API_VERSION), key=lambda item: str(item["kind"]))
    if not ours:
        raise CommandError("the file holds no AirflowBase and no AirflowCluster.")
    settings = await _settings(kube, [operator_namespace, *(item["metadata"]["namespace"] for item in ours)])
    given: list[Live] = [_as_read(item) for item in resources if item.get("apiVersion") == SECRET.api_version]
    worst = ACCEPTED
    for item in ours:
        live = await kube.get(kind_of(item), item["metadata"]["namespace"], item["metadata"]["name"])
        try:
            found = await candidate(kube, item, live)
        except (Invalid, NotFound, Forbidden) as error:
            print(f"{key_of(item)}: refused by the API server\n  {error.message}\n")
            worst = REFUSED
            continue
        given.append({**found, "apiVersion": API_VERSION, "kind": item["kind"]})
        preview = await _preview(kube, given, settings)
        print("\n".join(_report(given[-1], live, preview)), end="\n\n")
        worst = min((worst, _code(preview)), key=[REFUSED, HELD, ACCEPTED].index)
    return worst


async def _preview(kube: Kube, given: list[Live], settings: Settings) -> Preview:
    rehearsal = Rehearsal(kube, given)
    ctx = cluster.context(rehearsal, settings)
    meta = given[-1]["metadata"]
    if given[-1]["kind"] == "AirflowBase":
        return await preview_base(ctx, rehearsal, given[-1])
    return await preview_cluster(ctx, rehearsal, meta["namespace"], meta["name"])


async def _settings(kube: Kube, namespaces: list[str]) -> Settings:
    found = await deployed.deployed_settings(kube, namespaces)
    if found is None:
        print("The operator's own settings cannot be read (--operator-namespace names its namespace); those of the install are assumed.\n")
    return found or Settings(
        git_sync_webhook_url=f"http://{deployed.NAME}.{deployed.INSTALLED_IN}.svc:8090", own_namespace=deployed.INSTALLED_IN
    )


def _placed(document: dict[str, Any], namespace: str) -> Manifest:
    meta = document.get("metadata") or {}
    if not isinstance(meta, dict) or not meta.get("name"):
        raise CommandError(f"a {document.get('kind', 'document')} has no metadata.name.")
    return {**document, "metadata": {**meta, "namespace": meta.get("namespace") or namespace}}


def _as_read(document: Manifest) -> Manifest:
    """A Secret as the API server would show it: what was written as text is data."""
    text = document.get("stringData")
    return {**document, "data": {**(document.get("data") or {}), **encode(text)}} if isinstance(text, dict) else document


def _code(preview: Preview) -> int:
    if preview.refusal or any(row.verdict == "refuse" for row in preview.rows):
        return REFUSED
    return HELD if preview.held else ACCEPTED


def _report(resource: Live, live: Live | None, preview: Preview) -> Iterator[str]:
    changes = compared(live["spec"], resource["spec"], "spec") if live else ()
    yield f"{key_of(resource)}: {'new' if live is None else 'changed' if changes else 'unchanged'}"
    for change in changes:
        yield f"  {_words(change)}"
    if preview.refusal:
        yield f"  Refused, and nothing that runs is touched: {preview.refusal}"
    for row in preview.rows:
        if row.verdict != "unchanged":
            yield from _of_row(row)
    same = sum(1 for row in preview.rows if row.verdict == "unchanged")
    if same:
        yield f"  {same} other {'object stays as it is' if same == 1 else 'objects stay as they are'}"
    if preview.restarts:
        yield f"  Pods are replaced, one workload after the other: {', '.join(preview.restarts)}"
    if preview.schema:
        yield f"  Schema: {preview.schema}"
    for item in preview.held:
        yield f"  Held: {item.type}={item.status} {item.reason}: {item.message}"


def _of_row(row: Row) -> Iterator[str]:
    note = f" ({row.note})" if row.note else ""
    yield f"  {row.verdict:8}{row.key}{note}"
    for change in row.differences:
        yield f"            {_words(change)}"
    for line in row.lines:
        yield f"            {_cut(line)}"


def _words(change: Difference) -> str:
    if change.old is None:
        return f"{change.path}: added {_value(change.new)}"
    if change.new is None:
        return f"{change.path}: removed {_value(change.old)}"
    return f"{change.path}: {_value(change.old)} -> {_value(change.new)}"


def _value(value: Any) -> str:
    return _cut(value if isinstance(value, str) and value and "\n" not in value else json.dumps(value, ensure_ascii=False))


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
