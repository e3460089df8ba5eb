"""Scanners over the installs and all that the samples render to: every finding is explained in scanners/findings.yaml."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from devcluster.tools import KUBE_SCORE, build, control_plane_binaries
from tests.golden.rendering import NAMES, rendered
from tests.security.audit import ROOT, uv

pytestmark = [pytest.mark.security, pytest.mark.timeout(600)]

SCANNERS = Path(__file__).parent / "scanners"
ENVIRONMENT = ROOT / ".build" / "scanners"
EXPLAINED: dict[str, dict[str, dict[str, str]]] = yaml.safe_load((SCANNERS / "findings.yaml").read_text(encoding="utf-8"))
ALL_OK = 10
"""kube-score's grade of a check that found nothing."""


@pytest.fixture(scope="module")
def checkov() -> Path:
    """The pinned version in an environment of its own."""
    command = [uv(), "sync", "--frozen", "--quiet", "--project", str(SCANNERS)]
    done = subprocess.run(
        command, env={**os.environ, "UV_PROJECT_ENVIRONMENT": str(ENVIRONMENT)}, capture_output=True, text=True, check=False
    )
    if done.returncode and "error sending request" in done.stderr:
        pytest.skip("checkov cannot be fetched: no network")
    assert done.returncode == 0, done.stderr
    return ENVIRONMENT / "bin" / "checkov"


def installs() -> Iterator[str]:
    kubectl = control_plane_binaries(("kubectl",))["kubectl"]
    for name in ("cluster-wide", "opt-in", "single-namespace"):
        path = ROOT / "manifests" / "install" / name
        yield subprocess.run([str(kubectl), "kustomize", str(path)], capture_output=True, text=True, check=True).stdout


def without_secrets(sample: str) -> list[Any]:
    """What a sample renders to but for its Secrets, which are stand-ins."""
    return [manifest for manifest in rendered(sample) if manifest["kind"] != "Secret"]


def samples() -> Iterator[Any]:
    """Their objects under names that no two share."""
    for sample in NAMES:
        for manifest in without_secrets(sample):
            yield {**manifest, "metadata": {**manifest["metadata"], "name": f"{sample}.{manifest['metadata']['name']}"}}


def by_checkov(checkov: Path, folder: Path) -> dict[str, set[str]]:
    """Ids of the checks that failed, by file."""
    command = [str(checkov), "-d", str(folder), "--framework", "kubernetes", "--quiet", "--compact", "--skip-download", "-o", "json"]
    report = json.loads(subprocess.run(command, capture_output=True, text=True, check=False).stdout)
    assert report["summary"]["passed"] > 1000, "it looked at nothing"
    found: dict[str, set[str]] = {}
    for item in report["results"]["failed_checks"]:
        found.setdefault(Path(item["file_path"]).stem, set()).add(item["check_id"])
    return found


def by_kube_score(kube_score: Path, document: str) -> set[str]:
    """Ids of the checks that found something, a warning or worse."""
    command = [str(kube_score), "score", "--kubernetes-version", "v1.30", "-o", "json", "-"]
    report = json.loads(subprocess.run(command, input=document, capture_output=True, text=True, check=False).stdout)
    checks = [check for item in report for check in item["checks"] if not check["skipped"]]
    assert len(checks) > 10, "it looked at nothing"
    return {check["check"]["id"] for check in checks if check["grade"] < ALL_OK}


def explained(scanner: str) -> dict[str, set[str]]:
    return {name: set(reasons) for name, reasons in EXPLAINED[scanner].items()}


def test_every_finding_of_checkov_is_explained(checkov: Path, tmp_path: Path) -> None:
    (tmp_path / "installs.yaml").write_text("---\n".join(installs()))
    (tmp_path / "samples.yaml").write_text(yaml.dump_all(samples(), Dumper=yaml.CSafeDumper))
    assert by_checkov(checkov, tmp_path) == explained("checkov")


def test_every_finding_of_kube_score_is_explained() -> None:
    """Sample by sample: it looks for the Service of an Ingress and the policy of a pod."""
    kube_score = build(KUBE_SCORE) / "kube-score"
    of_samples = [by_kube_score(kube_score, yaml.dump_all(without_secrets(name), Dumper=yaml.CSafeDumper)) for name in NAMES]
    of_installs = [by_kube_score(kube_score, document) for document in installs()]
    assert {"installs": set().union(*of_installs), "samples": set().union(*of_samples)} == explained("kube-score")
