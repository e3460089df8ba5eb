"""The command line as a user meets it."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml

from airflow_operator.cli import main

ROOT = Path(__file__).parents[2]
QUICKSTART = ROOT / "manifests" / "samples" / "quickstart.yaml"


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version"]) == 0
    assert capsys.readouterr().out.strip() == version("airflow-operator")


def test_crds_are_those_of_the_repository(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["crds"]) == 0
    printed = {document["metadata"]["name"]: document for document in yaml.safe_load_all(capsys.readouterr().out)}
    committed = [yaml.safe_load(path.read_text()) for path in (ROOT / "crds").glob("airflow*.yaml")]
    assert printed == {document["metadata"]["name"]: document for document in committed}
    assert len(printed) == 2


def test_render_prints_every_manifest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["render", str(QUICKSTART)]) == 0
    kinds = [document["kind"] for document in yaml.safe_load_all(capsys.readouterr().out)]
    assert {"Deployment", "StatefulSet", "Service", "Job", "ConfigMap", "ServiceAccount"} <= set(kinds)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [", "cannot be read"),
        ("apiVersion: airflow-operator.dev/v1alpha1\nkind: AirflowCluster\nmetadata: {name: c}\nspec: {version: 3.3.2}\n", "baseRef"),
    ],
)
def test_render_says_what_is_wrong(text: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "cluster.yaml"
    path.write_text(text)
    assert main(["render", str(path)]) == 1
    assert words in capsys.readouterr().err
    assert main(["render", str(tmp_path / "absent.yaml")]) == 1


def test_wrong_setting_is_one_sentence(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("AIRFLOW_OPERATOR_RESYNC", "soon")
    assert main(["run"]) == 2
    assert capsys.readouterr().err.strip() == "airflow-operator: AIRFLOW_OPERATOR_RESYNC='soon': takes a number of seconds."


def test_run_without_a_cluster_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "absent"))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    assert main(["run", "--health-port", "0", "--webhook-port", "0"]) == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("airflow-operator: ")


def test_module_is_the_command_line() -> None:
    done = subprocess.run([sys.executable, "-m", "airflow_operator", "--help"], capture_output=True, text=True, check=True)
    assert all(command in done.stdout for command in ("run", "crds", "render", "version"))
    # Help and version of a command that runs everywhere must not wait for the libraries of the operator.
    imported = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "airflow_operator", "version"], capture_output=True, text=True, check=True
    )
    assert "| kopf" not in imported.stderr
