"""What the operator is told, and how it says that it does not understand."""

from __future__ import annotations

import os
from dataclasses import fields
from pathlib import Path

import pytest

from airflow_operator.cli import parser, settings_of
from airflow_operator.settings import RELEASED_IMAGE, InvalidSetting, Settings, from_environment, variable


def test_defaults() -> None:
    assert from_environment({}) == Settings()
    assert from_environment({"AIRFLOW_OPERATOR_NAMESPACES": "", "OTHER": "x"}) == Settings()


def test_environment() -> None:
    settings = from_environment(
        {
            "AIRFLOW_OPERATOR_NAMESPACES": "team-a, team-b,team-a",
            "AIRFLOW_OPERATOR_RESYNC": "30.5",
            "AIRFLOW_OPERATOR_CONCURRENCY": "3",
            "AIRFLOW_OPERATOR_HEALTH_PROBE": "false",
            "AIRFLOW_OPERATOR_LOG_FORMAT": "json",
        }
    )
    assert settings == Settings(namespaces=("team-a", "team-b"), resync=30.5, concurrency=3, health_probe=False, log_format="json")


def test_flag_wins_over_the_environment() -> None:
    arguments = parser().parse_args(["run", "--resync", "5", "--git-sync-webhook-url", "http://x:8090/"])
    settings = settings_of(arguments, from_environment({"AIRFLOW_OPERATOR_RESYNC": "7", "AIRFLOW_OPERATOR_DEBOUNCE": "1"}))
    assert (settings.resync, settings.debounce) == (5, 1)
    assert settings.platform.webhook_url == "http://x:8090"
    assert settings.platform.operator_image == RELEASED_IMAGE


def test_mirror_takes_the_place_of_the_registry_in_what_nobody_named() -> None:
    own = from_environment({"AIRFLOW_OPERATOR_IMAGE_REGISTRY": "registry.example:5000/mirror"}).platform
    assert own.airflow_image == "registry.example:5000/mirror/apache/airflow"
    assert own.postgres_image == "registry.example:5000/mirror/library/postgres"
    assert own.git_sync_image == "registry.example:5000/mirror/git-sync/git-sync:v4.7.1"
    assert own.statsd_exporter_image == "registry.example:5000/mirror/prom/statsd-exporter:v0.31.0"
    assert own.operator_image == f"registry.example:5000/mirror/{RELEASED_IMAGE.partition('/')[2]}"
    named = Settings(
        image_registry="m.example",
        image="a.example/o:1",
        git_sync_image="b.example/g:1",
        postgres_image="c.example/p",
        statsd_exporter_image="d.example/s:1",
    ).platform
    assert (named.operator_image, named.git_sync_image, named.postgres_image) == ("a.example/o:1", "b.example/g:1", "c.example/p")
    assert named.statsd_exporter_image == "d.example/s:1"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("IMAGE_REGISTRY", "https://registry.example"), ("IMAGE_REGISTRY", "r.example/"), ("POSTGRES_IMAGE", "r.example/postgres:17"),
        ("REQUESTS_AT_ONCE", "0"), ("RESYNC", "soon"), ("RESYNC", "0"), ("DEBOUNCE", "-1"), ("CONCURRENCY", "2.5"), ("CONCURRENCY", "0"),
        ("HEALTH_PROBE", "yes"), ("LOG_FORMAT", "xml"), ("LOG_LEVEL", "loud"), ("RESINC", "5"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_named(name: str, value: str) -> None:
    with pytest.raises(InvalidSetting, match=f"AIRFLOW_OPERATOR_{name}"):
        from_environment({f"AIRFLOW_OPERATOR_{name}": value})


@pytest.mark.parametrize("name", ["SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_WEBHOOK", "PORT", "PORT_8090_TCP_ADDR"])
def test_variables_that_kubernetes_makes_of_a_service_are_no_settings(name: str) -> None:
    assert from_environment({f"AIRFLOW_OPERATOR_{name}": "10.0.0.1"}) == Settings()


def test_every_setting_has_a_variable_that_can_be_read_back() -> None:
    settings = Settings()
    texts = {}
    for field in fields(Settings):
        value = getattr(settings, field.name)
        texts[variable(field.name)] = ",".join(value) if isinstance(value, tuple) else str(value).lower()
    assert from_environment(texts) == settings


def test_manifests_set_only_known_variables() -> None:
    text = "".join(path.read_text() for path in (Path(__file__).parents[2] / "manifests" / "install").rglob("*.yaml"))
    used = {word.strip("{},:") for word in text.split() if word.startswith("AIRFLOW_OPERATOR_")} - {"AIRFLOW_OPERATOR_..."}
    assert used
    assert used <= {variable(field.name) for field in fields(Settings)}
    assert not any(name in os.environ for name in used)
