"""airflow.cfg: who wins, and that Airflow reads back what was meant."""

from __future__ import annotations

import configparser
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_operator.airflow import config
from airflow_operator.airflow.releases import RELEASES, release_of
from airflow_operator.api import AirflowClusterSpec
from airflow_operator.api.config_rules import OWNED_OPTIONS
from airflow_operator.reconcile.build.config import owned
from airflow_operator.reconcile.offline import cluster_of
from tests.unit.strategies import resource


def read(text):
    """The text as Airflow reads it: Python's ConfigParser with its interpolation."""
    parser = configparser.ConfigParser()
    parser.optionxform = str
    parser.read_string(text)
    return {section: dict(parser[section]) for section in parser.sections()}


def test_the_last_layer_wins_option_by_option():
    first = {"core": {"a": "1", "b": "1"}, "x": {"k": "1"}}
    second = {"core": {"b": 2, "c": True}}
    third = {"core": {"c": "3"}}
    assert config.merge(first, second, third) == {"core": {"a": "1", "b": "2", "c": "3"}, "x": {"k": "1"}}
    assert first == {"core": {"a": "1", "b": "1"}, "x": {"k": "1"}}


def test_what_the_operator_owns_wins_over_the_spec_and_the_spec_over_defaults():
    spec = {
        "baseRef": {"name": "b"},
        "version": "3.3.2",
        "config": {"core": {"load_examples": True}, "workers": {"execution_api_retries": 3}},
    }
    cluster = cluster_of(resource("AirflowCluster", "demo", "team", spec), {})
    defaults = config.defaults(cluster.release, None)
    merged = config.merge(defaults, cluster.spec.config, {"core": {"load_examples": "owned"}})
    assert merged["core"]["load_examples"] == "owned"
    assert merged["workers"]["execution_api_retries"] == "3"
    assert merged["workers"]["execution_api_timeout"] == defaults["workers"]["execution_api_timeout"]


@pytest.mark.parametrize(("period", "refresh"), [(None, "10"), (1.0, "1"), (5.5, "5"), (0.2, "1"), (60.0, "10")])
def test_new_files_are_looked_for_as_often_as_git_is(period, refresh):
    for version in RELEASES:
        section, option = ("dag_processor", "refresh_interval") if version > "3" else ("scheduler", "dag_dir_list_interval")
        assert config.defaults(release_of(version), period)[section][option] == refresh


@pytest.mark.parametrize("version", sorted(RELEASES))
def test_an_option_that_is_set_by_the_operator_is_refused_in_the_spec_and_not_ignored(version):
    dags = [{"git": {"repo": "https://git.example.com/a.git"}}]
    spec = {"baseRef": {"name": "b"}, "version": version, "dags": dags, "executors": ["LocalExecutor", "KubernetesExecutor"]}
    made = owned(cluster_of(resource("AirflowCluster", "demo", "team", spec), {}))
    assert [(s, o) for s, options in made.items() for o in options if (s, o) not in OWNED_OPTIONS] == []


@pytest.mark.parametrize("version", sorted(RELEASES))
def test_a_default_is_not_refused(version):
    given = {(section, option) for section, options in config.defaults(release_of(version), None).items() for option in options}
    assert given & set(OWNED_OPTIONS) == set()


TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=30).map(str.strip)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(["core", "smtp", "x"]), st.dictionaries(st.sampled_from(["a", "b_c", "d"]), TEXT)))
def test_a_value_of_one_line_is_read_back_as_it_is(values):
    assert read(config.render(values)) == values


@pytest.mark.parametrize("value", ["100%", "%(asctime)s [%(levelname)s]", "%%", "$HOME", "[x]", "a = b", "#no comment", '[{"name": "a"}]'])
def test_characters_with_a_meaning_are_read_back_as_they_are(value):
    assert read(config.render({"logging": {"log_format": value}})) == {"logging": {"log_format": value}}


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_a_value_of_several_lines_cannot_name_another_option(line_end, tmp_path):
    text = config.render({"core": {"x": f"first{line_end}fernet_key = mine{line_end}[api]"}})
    file = tmp_path / "airflow.cfg"
    file.write_bytes(text.encode())
    parser = configparser.ConfigParser()
    parser.read(file)
    assert {section: list(parser[section]) for section in parser.sections()} == {"core": ["x"]}
    assert parser["core"]["x"] == "first\nfernet_key = mine\n[api]"


def test_equal_settings_make_equal_text():
    assert config.render({"b": {"y": "1", "x": "2"}, "a": {}}) == config.render({"a": {}, "b": {"x": "2", "y": "1"}})


@pytest.mark.parametrize("version", sorted(RELEASES))
def test_the_facts_of_every_release_fit_together(version):
    release = release_of(version)
    assert version.startswith(f"{release.minor}.")
    names = [component.name for component in release.components]
    assert names == ["api-server", "scheduler", "dag-processor", "triggerer"]
    for component in release.components:
        assert component.health_key
        assert {"startupProbe", "livenessProbe"} <= set(component.probes)
        for probe in component.probes.values():
            if "httpGet" in probe:
                assert probe["httpGet"]["port"] in component.ports.values()
    assert release.scheduler.grace >= 30
    assert [c.name for c in release.components if c.signs_tokens] == (["api-server", "scheduler"] if release.task_sdk else [])
    assert [c.name for c in release.components if c.checks_tokens] == (["api-server"] if release.task_sdk else [])
    assert release.task_sdk == bool(release.dag_bundle_class)


@pytest.mark.parametrize("version", sorted(RELEASES))
@pytest.mark.parametrize("dag_processor", [True, False])
@pytest.mark.parametrize("local_tasks", [True, False])
def test_who_reads_dags_follows_from_who_parses_and_who_runs_tasks(version, dag_processor, local_tasks):
    release = release_of(version).as_run(local_tasks=local_tasks, dag_processor=dag_processor)
    apart = dag_processor or version.startswith("3")
    assert ("dag-processor" in [component.name for component in release.components]) == apart
    assert release.parser.name == ("dag-processor" if apart else "scheduler")
    assert release.parser.reads_dags
    assert release.scheduler.reads_dags == (local_tasks or not apart)
    assert release.scheduler.runs_tasks == release.scheduler.serves_logs == local_tasks


def test_the_schema_accepts_the_releases_that_a_test_has_run():
    assert set(get_args(AirflowClusterSpec.model_fields["version"].annotation)) == set(RELEASES)


def test_a_version_that_no_test_has_run_is_not_known():
    with pytest.raises(KeyError):
        release_of("3.3.99")
