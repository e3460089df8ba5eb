"""What the models accept, refuse and fill in. The refused examples are those that the API server refuses."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from airflow_operator.api import parse_base, parse_cluster
from airflow_operator.api.common import quantity
from airflow_operator.api.config_rules import refused_variable
from airflow_operator.domain.errors import InvalidSpec
from tests.crd.examples import ALLOWED_CHANGES, REFUSED, REFUSED_CHANGES, SAMPLES, Refused, base, cluster, git, ours, parse


@pytest.mark.parametrize("example", REFUSED, ids=lambda example: example.id)
def test_refused_example(example: Refused) -> None:
    with pytest.raises(InvalidSpec) as refused:
        parse(example.resource)
    assert refused.value.reason == "InvalidSpec"
    assert refused.value.message.startswith(f"{example.field}: " if example.field else "metadata.name ")
    assert example.sentence in refused.value.message


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_every_sample_parses(sample: Path) -> None:
    documents = ours(sample)
    assert documents
    assert [parse(document).metadata.name for document in documents] == [document["metadata"]["name"] for document in documents]


def test_both_sides_of_a_change_are_fine_in_themselves() -> None:
    pairs = [(change.before, change.after) for change in REFUSED_CHANGES] + [change[1:] for change in ALLOWED_CHANGES]
    for pair in pairs:
        assert [parse(document).metadata.name for document in pair] == ["changing", "changing"]


@pytest.mark.parametrize(
    ("version", "fields"),
    [
        ("3.0.6", {}),
        ("3.1.8", {"credentialsSecretRef": {"name": "git"}}),
        ("3.2.2", {"credentialsSecretRef": {"name": "git"}, "repo": "git@git.example.com:etl.git"}),
    ],
)
def test_a_bundle_that_the_release_can_fetch_is_taken(version: str, fields: dict[str, Any]) -> None:
    assert parse_cluster(cluster({"version": version, **git(delivery="Bundle", **fields)})).spec.version == version


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(InvalidSpec) as refused:
        parse_cluster(cluster({"version": "1", "logs": {}, "auth": {}}))
    assert refused.value.message.split("; ") == [
        "spec.version: must be '2.10.5', '2.11.2', '3.0.6', '3.1.8', '3.2.2' or '3.3.2'",
        "spec.auth: set exactly one of fab, simple, manager",
        "spec.logs: set exactly one of volume, remote",
    ]


def test_a_long_list_of_mistakes_is_cut() -> None:
    with pytest.raises(InvalidSpec) as refused:
        parse_cluster(cluster({f"unknown{number}": 1 for number in range(100)}))
    assert len(refused.value.message) == 1000
    assert refused.value.message.endswith("...")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"core": "x"}, "spec.config.core: must map options to values"),
        ([], "spec.config: must map sections to options"),
        ({"Core": {}}, "spec.config.Core: section names are lower case, as Airflow reads them"),
        ({"core": {"Parallelism": 1}}, "spec.config.core.Parallelism: option names are lower case, as Airflow reads them"),
        ({"core": {"a\nb": 1}}, "spec.config.core.a\nb: option names are lower case, as Airflow reads them"),
        ({"core": {"x": 0.5}}, "spec.config.core.x: must be a string, an integer or a boolean; put other values in quotes"),
        ({"core": {"x": None}}, "spec.config.core.x: must be a string, an integer or a boolean; put other values in quotes"),
        ({"core": {"x": {"y": 1}}}, "spec.config.core.x: must be a string, an integer or a boolean; put other values in quotes"),
        ({"core": {"x": "y" * 20000}}, "spec.config.core.x: is longer than 16384 characters"),
        ({f"s{number}": {} for number in range(65)}, "spec.config: has more than 64 sections"),
    ],
)
def test_config_that_only_the_models_can_refuse(config: object, message: str) -> None:
    with pytest.raises(InvalidSpec) as refused:
        parse_cluster(cluster({"config": config}))
    assert refused.value.message == message


def test_types_are_not_guessed() -> None:
    with pytest.raises(InvalidSpec, match=r"spec.scheduler.replicas: input should be a valid integer"):
        parse_cluster(cluster({"scheduler": {"replicas": "2"}}))


def test_defaults() -> None:
    spec = parse_cluster(cluster(git())).spec
    assert spec.executors == ("LocalExecutor",)
    assert (spec.scheduler.replicas, spec.dag_processor, spec.api_server.replicas, spec.triggerer.replicas) == (1, None, 1, 1)
    assert spec.auth.fab is not None
    assert spec.auth.fab.admin.enabled
    source = spec.dags[0]
    assert source.git is not None
    assert (source.name, source.git.ref, source.git.period, source.git.depth) == ("dags-folder", "HEAD", "60s", None)
    assert (spec.deletion_policy, spec.paused, spec.logs) == ("Retain", False, None)


def test_defaults_of_the_base() -> None:
    spec = parse_base(base()).spec
    assert spec.database.postgres is not None
    assert (spec.database.postgres.version, spec.database.postgres.storage.size) == (17, "10Gi")
    assert spec.allowed_clusters.namespaces.from_ == "Same"
    assert spec.deletion_policy == "Retain"


def test_quantities_and_settings_may_be_integers() -> None:
    spec = parse_cluster(cluster({"jobs": {"resources": {"requests": {"cpu": 1, "memory": "1Gi"}}}})).spec
    assert spec.jobs.resources.requests == {"cpu": "1", "memory": "1Gi"}
    postgres = parse_base(base({"database": {"postgres": {"parameters": {"max_connections": 200}}}})).spec.database.postgres
    assert postgres is not None
    assert postgres.parameters == {"max_connections": "200"}


def test_the_refusal_of_a_variable_can_be_asked_for() -> None:
    why = "is set by the operator: it makes the keys and keeps them in a Secret; to bring your own, use spec.keys"
    assert refused_variable("AIRFLOW__CORE__FERNET_KEY_CMD") == f"AIRFLOW__CORE__FERNET_KEY_CMD {why}"
    assert refused_variable("AIRFLOW__CORE__FERNET_KEYS") is None
    assert refused_variable("AIRFLOW__CORE__PARALLELISM") is None


def test_status_and_unknown_metadata_are_not_read() -> None:
    live = {**cluster(), "status": {"from": "a later version"}}
    live["metadata"]["managedFields"] = []
    assert parse_cluster(live).metadata.name == "example"


def test_models_cannot_be_changed() -> None:
    spec = parse_cluster(cluster()).spec
    with pytest.raises(ValidationError, match="frozen"):
        spec.paused = True  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", 1), ("500m", "0.5"), ("1Ki", 1024), ("1.5Gi", 1610612736), ("2M", 2000000), ("1e3", 1000), ("1E", 10**18), ("1E2", 100)],
)
def test_quantity(text: str, value: int | str) -> None:
    assert quantity(text) == Decimal(value)


@pytest.mark.parametrize("text", ["", "x", "1 Gi", "1gi", "Gi"])
def test_no_quantity(text: str) -> None:
    with pytest.raises(ValueError, match="is not a quantity"):
        quantity(text)
