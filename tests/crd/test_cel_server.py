"""What a real API server says to the CRDs, the samples, and every example that must be refused."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from airflow_operator.api import parse_cluster
from airflow_operator.domain.errors import InvalidSpec
from tests.crd.examples import ALLOWED_CHANGES, REFUSED, REFUSED_CHANGES, SAMPLES, Refused, RefusedChange, cluster, git, ours, parse
from tests.crd.server import Server
from tests.golden.rendering import NAMES, rendered

pytestmark = pytest.mark.integration


def _delete(server: Server, document: dict[str, object]) -> None:
    server.kubectl("delete", "--ignore-not-found", "--wait", "-f", "-", document=document)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
@pytest.mark.parametrize("way", ["--server-side", "--server-side=false"])
def test_every_sample_is_accepted(server: Server, sample: Path, way: str) -> None:
    done = server.kubectl("apply", way, "--dry-run=server", "--validate=strict", "-f", str(sample))
    assert "airflow-operator.dev/" in done.stdout


@pytest.mark.parametrize("example", REFUSED, ids=lambda example: example.id)
def test_refused_example(server: Server, example: Refused) -> None:
    done = server.apply(example.resource, "--dry-run=server")
    assert done.returncode != 0
    assert example.from_server in done.stderr
    assert example.field.removesuffix("[1]") in done.stderr


def test_a_volume_without_a_name_is_refused(server: Server) -> None:
    document = cluster({"scheduler": {"volumes": [{"emptyDir": {}}]}}, "nameless")
    done = server.apply(document, "--dry-run=server")
    assert done.returncode != 0
    # Its own words (they differ by version), before any rule: a list that merges by name cannot hold it.
    assert ".spec.scheduler.volumes" in done.stderr
    assert re.search(r'"name"\W', done.stderr)
    with pytest.raises(InvalidSpec, match="volumes"):
        parse_cluster(document)


@pytest.mark.parametrize("example", REFUSED_CHANGES, ids=lambda example: example.id)
def test_refused_change(server: Server, example: RefusedChange) -> None:
    assert server.apply(example.before).returncode == 0
    try:
        done = server.apply(example.after)
        assert done.returncode != 0
        assert example.sentence in done.stderr
        assert example.field in done.stderr
    finally:
        _delete(server, example.before)


@pytest.mark.parametrize(("before", "after"), [change[1:] for change in ALLOWED_CHANGES], ids=[change[0] for change in ALLOWED_CHANGES])
def test_allowed_change(server: Server, before: dict[str, object], after: dict[str, object]) -> None:
    assert server.apply(before).returncode == 0
    try:
        done = server.apply(after)
        assert done.returncode == 0, done.stderr
    finally:
        _delete(server, before)


def test_unknown_field_is_refused_by_plain_apply_too(server: Server) -> None:
    done = server.kubectl("apply", "-f", "-", document=cluster({"scheduler": {"replica": 2}}), check=False)
    assert done.returncode != 0
    assert 'unknown field "spec.scheduler.replica"' in done.stderr


def test_unknown_field_is_pruned_where_nobody_asks_for_validation(server: Server) -> None:
    document = cluster({"scheduler": {"replica": 2}}, "pruned")
    server.kubectl("apply", "--validate=ignore", "-f", "-", document=document)
    assert server.get("afc", "pruned")["spec"]["scheduler"] == {"replicas": 1}
    _delete(server, document)


def test_defaults_are_filled_in_to_the_last_leaf(server: Server) -> None:
    document = cluster(git(), "defaults")
    assert server.apply(document).returncode == 0
    spec = server.get("afc", "defaults")["spec"]
    _delete(server, document)
    assert spec["scheduler"] == {"replicas": 1}
    assert "auth" not in spec
    assert spec["executors"] == ["LocalExecutor"]
    assert spec["dags"] == [
        {"name": "dags-folder", "git": {"repo": "https://git.example.com/etl.git", "ref": "HEAD", "period": "60s", "delivery": "Sidecar"}}
    ]
    # Which image that is, the operator's settings say: a mirror replaces only what nobody named.
    assert spec["gitSync"]["image"] == {"pullPolicy": "IfNotPresent"}


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_the_server_and_the_models_fill_in_the_same(server: Server, sample: Path) -> None:
    """What the API server answers for a sample reads as what the sample itself reads as."""
    for document in ours(sample):
        answer = json.loads(server.kubectl("create", "--dry-run=server", "-o", "json", "-f", "-", document=document).stdout)
        assert parse(answer).spec == parse(document).spec


def test_values_of_config_keep_their_types(server: Server) -> None:
    config = {"core": {"parallelism": 64, "load_examples": False, "default_timezone": "utc"}, "smtp": {"smtp_port": 25}}
    document = cluster({"config": config}, "config")
    assert server.apply(document).returncode == 0
    assert server.get("afc", "config")["spec"]["config"] == config
    _delete(server, document)


def test_two_appliers_share_lists_and_config(server: Server) -> None:
    document = cluster({"env": [{"name": "A", "value": "1"}], "config": {"core": {"parallelism": 1}}}, "shared")
    assert server.apply(document).returncode == 0
    other = {**document, "spec": {"env": [{"name": "B", "value": "2"}], "config": {"core": {"max_active_tasks_per_dag": 2}}}}
    done = server.apply(other, "--field-manager=other")
    assert done.returncode == 0, done.stderr
    spec = server.get("afc", "shared")["spec"]
    _delete(server, document)
    assert spec["env"] == [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]
    assert spec["config"] == {"core": {"parallelism": 1, "max_active_tasks_per_dag": 2}}


def test_scale(server: Server) -> None:
    document = cluster(name="scaled")
    server.kubectl("apply", "-f", "-", document=document)
    path = "/apis/airflow-operator.dev/v1alpha1/namespaces/default/airflowclusters/scaled/scale"
    assert json.loads(server.kubectl("get", "--raw", path).stdout)["spec"] == {"replicas": 1}
    server.kubectl("scale", "afc/scaled", "--replicas=3")
    assert server.get("afc", "scaled")["spec"]["scheduler"]["replicas"] == 3
    status = {"scheduler": {"replicas": 2, "selector": "airflow-operator.dev/cluster=scaled"}}
    server.kubectl("patch", "afc/scaled", "--subresource=status", "--type=merge", "-p", json.dumps({"status": status}))
    assert json.loads(server.kubectl("get", "--raw", path).stdout)["status"] == status["scheduler"]
    _delete(server, document)


def test_columns(server: Server) -> None:
    document = cluster(name="columns")
    server.kubectl("apply", "-f", "-", document=document)
    ready = {"type": "Ready", "status": "False", "reason": "Waiting", "message": "Waits.", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    status = {"version": "3.3.2", "executor": "KubernetesExecutor", "schedulers": "1/2", "phase": "Updating", "conditions": [ready]}
    server.kubectl("patch", "afc/columns", "--subresource=status", "--type=merge", "-p", json.dumps({"status": status}))
    head, row = server.kubectl("get", "afc", "columns").stdout.splitlines()
    assert head.split() == ["NAME", "VERSION", "EXECUTOR", "SCHEDULERS", "READY", "PHASE", "AGE"]
    assert row.split()[:6] == ["columns", "3.3.2", "KubernetesExecutor", "1/2", "False", "Updating"]
    assert server.kubectl("get", "afc", "columns", "-o", "wide").stdout.rstrip().endswith("Waits.")
    _delete(server, document)


def test_short_names_and_category(server: Server) -> None:
    listed = server.kubectl("api-resources", "--api-group=airflow-operator.dev", "-o", "wide", "--no-headers").stdout
    rows = {line.split()[0]: line for line in listed.splitlines()}
    assert rows["airflowclusters"].split()[1] == "afc"
    assert rows["airflowbases"].split()[1] == "afb"
    assert all(row.rstrip().endswith("airflow") for row in rows.values())


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("afc", "One Apache Airflow deployment"),
        ("afc.spec.dags.git.period", "Time between two looks at the repository, from 1s to 24h. Once: each pod"),
        ("afc.spec.scheduler.replicas", "Number of pods; 0 stops the component."),
        ("afc.spec.config.core.executor", "use spec.executors"),
        ("afb.spec.database.postgres.version", "Major version of PostgreSQL."),
        ("afc.status.conditions.reason", "in one word for machines"),
    ],
)
def test_explain_reads_as_documentation(server: Server, path: str, words: str) -> None:
    told = " ".join(server.kubectl("explain", path).stdout.split())
    assert words in told


@pytest.mark.parametrize("sample", NAMES)
def test_everything_that_a_sample_renders_to_is_taken(server: Server, sample: str) -> None:
    """By the API server's whole validation and under strict field validation, in whatever namespace."""
    # The Gateway API is no part of Kubernetes itself.
    own = [manifest for manifest in rendered(sample) if not manifest["apiVersion"].startswith("gateway.")]
    objects = [{**manifest, "metadata": {**manifest["metadata"], "namespace": "default"}} for manifest in own]
    made = server.kubectl(
        *("create", "--dry-run=server", "--validate=strict", "-o", "name", "-f", "-"),
        document={"apiVersion": "v1", "kind": "List", "items": objects},
    )
    assert len(made.stdout.splitlines()) == len(objects)
