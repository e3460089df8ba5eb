"""crds/ and docs/reference/ are what the models make."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from airflow_operator.crdgen.__main__ import generated, main
from airflow_operator.generated import stale
from tests.crd.server import ROOT


def test_nothing_is_stale() -> None:
    assert stale(generated(), ROOT) == [], "run `make generate`"


def test_check_names_the_stale_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--root", str(tmp_path)]) == 0
    assert main(["--root", str(tmp_path), "--check"]) == 0
    (tmp_path / "crds" / "airflowbases.yaml").write_text("old")
    (tmp_path / "docs" / "reference" / "airflowcluster.md").unlink()
    capsys.readouterr()
    assert main(["--root", str(tmp_path), "--check"]) == 1
    told = capsys.readouterr().err
    assert [line.split()[0] for line in told.splitlines()] == ["crds/airflowbases.yaml", "docs/reference/airflowcluster.md"]


def test_kustomization_lists_every_crd() -> None:
    files = {name for name in generated() if name.startswith("crds/")}
    listed = yaml.safe_load(generated()["crds/kustomization.yaml"])["resources"]
    assert {f"crds/{name}" for name in listed} == files - {"crds/kustomization.yaml"}
