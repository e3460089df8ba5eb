"""crds/ and docs/reference/ are what the models make."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from airflow_operator.crdgen.__main__ import generated, main
from airflow_operator.generated import stale
from tests.crd.server import ROOT
from tests.unit.leaves import SPECS


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


def maps_that_must_be_there(path: str, schema: Mapping[str, Any]) -> Iterator[str]:
    """Required maps that may be empty."""
    for name, field in schema.get("properties", {}).items():
        # A rule of its own asks for one of its fields.
        asks = any(field.get(word) for word in ("required", "minProperties", "x-kubernetes-validations"))
        empty_is_valid = field.get("type") == "object" and not asks
        if name in schema.get("required", ()) and empty_is_valid:
            yield f"{path}.{name}"
        yield from maps_that_must_be_there(f"{path}.{name}", field)
    if "items" in schema:
        yield from maps_that_must_be_there(f"{path}[]", schema["items"])


@pytest.mark.parametrize("kind", sorted(SPECS))
def test_a_map_in_which_nothing_is_left_can_be_left_out(kind: str) -> None:
    """Server-side apply of an empty one is refused where it was not empty before: kubernetes/kubernetes#135841."""
    assert list(maps_that_must_be_there(kind, SPECS[kind])) == []
