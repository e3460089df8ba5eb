"""`plan` and `status` beside a real deployment: real controllers have filled in what they fill in, and a user's own kubeconfig asks."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import yaml

from tests.e2e.deployment import BASE, CLUSTER, Deployment
from tests.e2e.prepare import ROOT

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


def cli(deployment: Deployment, *words: str, stdin: str = "") -> tuple[int, str]:
    """The command line as a user runs it: exit code, and all that it printed."""
    where = [f"--kubeconfig={deployment.kubectl.kubeconfig}", "-n", deployment.namespace]
    command = [sys.executable, "-m", "airflow_operator", *words, *where]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, timeout=120, cwd=ROOT / "operator")
    return done.returncode, done.stdout + done.stderr


def plan(deployment: Deployment, *resources: dict[str, Any]) -> tuple[int, str]:
    return cli(deployment, "plan", "-", stdin=yaml.safe_dump_all(resources))


def versions(deployment: Deployment) -> dict[str, str]:
    """What tells of a write to a child's spec or metadata, which a status alone does not."""
    return {f"{child['kind']}/{child['metadata']['name']}": str(child["metadata"].get("generation")) for child in deployment.children()}


def verdicts(text: str) -> list[str]:
    """`create KIND NAMESPACE/NAME` and its like."""
    return [line.strip() for line in text.splitlines() if line.strip().split(" ")[0] in ("create", "change", "restart", "remove", "refuse")]


def test_what_was_applied_would_change_nothing(deployed: Deployment) -> None:
    code, text = plan(deployed, *deployed.resources())
    assert (code, verdicts(text)) == (0, []), text
    assert "cannot be read" not in text, "the settings are those of the operator that runs"
    assert "No migration" in text


def test_a_change_is_told_with_the_pods_that_it_replaces_and_nothing_is_written(deployed: Deployment) -> None:
    base, cluster = deployed.resources()
    cluster["spec"]["config"] = {"core": {"parallelism": 7}}
    before = versions(deployed)
    code, text = plan(deployed, base, cluster)
    assert code == 0, text
    assert "airflow.cfg: +parallelism = 7" in text
    workloads = [f"{CLUSTER}-{component}" for component in ("api-server", "scheduler", "dag-processor", "triggerer")]
    assert f"one workload after the other: {', '.join(workloads)}" in text
    assert versions(deployed) == before


def test_status_says_ready_and_how_to_log_in(deployed: Deployment) -> None:
    code, text = cli(deployed, "status", CLUSTER)
    assert code == 0, text
    assert deployed.commit_in_status() in text
    assert f"get secret {CLUSTER}-admin" in text
    code, text = cli(deployed, "status", f"afb/{BASE}")
    assert code == 0, text
