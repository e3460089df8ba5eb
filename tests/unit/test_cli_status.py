"""What `status` shows, and the settings that `plan` reads from the operator's Deployment."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_operator.cli.deployed import settings_of
from airflow_operator.cli.status import code, table

GENERATION = 2


def condition(type: str, status: str, reason: str, message: str = "", generation: int = GENERATION) -> dict[str, Any]:
    return {"type": type, "status": status, "reason": reason, "message": message, "observedGeneration": generation}


def resource(*conditions: dict[str, Any], **status: Any) -> dict[str, Any]:
    return {
        "apiVersion": "airflow-operator.dev/v1alpha1",
        "kind": "AirflowCluster",
        "metadata": {"name": "prod", "namespace": "team", "generation": GENERATION},
        "status": {"conditions": list(conditions), **status},
    }


READY = condition("Ready", "True", "Ready")
BROKEN = (
    condition("Ready", "False", "GitSyncFailed", "git-sync: no such branch"),
    condition("Degraded", "True", "GitSyncFailed", "git-sync: no such branch"),
    condition("DagsSynced", "False", "GitSyncFailed", "git-sync: no such branch"),
)


@pytest.mark.parametrize(
    ("live", "expected"),
    [
        (resource(READY), 0),
        (resource(condition("Ready", "True", "Ready", generation=1)), 3),
        (resource(condition("Ready", "False", "Starting"), condition("Degraded", "False", "AsExpected")), 3),
        (resource(*BROKEN), 4),
        ({"metadata": {"generation": 1}}, 3),
    ],
    ids=["ready", "of an earlier spec", "on its way", "broken", "not looked at"],
)
def test_exit_code(live: dict[str, Any], expected: int) -> None:
    assert code(live) == expected


def test_a_fault_is_told_once_with_what_to_do() -> None:
    text = "\n".join(table(resource(*BROKEN, phase="Degraded")))
    assert text.startswith("AirflowCluster team/prod: Degraded\n")
    assert text.count("git-sync: no such branch") == 1
    assert "  -> Correct repository, ref or credentials" in text


def test_tables_are_in_columns() -> None:
    rows = [{"name": "scheduler", "desired": 2, "ready": 1}, {"name": "dag-processor", "desired": 1, "ready": 1}]
    lines = list(table(resource(READY, components=rows, dags=[{"name": "etl", "ref": "main"}], auth={"adminSecretRef": {"name": "a"}})))
    assert "scheduler       1/2" in lines
    assert "dag-processor   1/1" in lines
    assert "etl    main   not known yet" in lines
    assert any("kubectl -n team get secret a " in line for line in lines)


def test_a_condition_of_an_earlier_spec_says_so() -> None:
    assert any("(an earlier spec)" in line for line in table(resource(condition("Ready", "True", "Ready", generation=1))))


def test_settings_of_a_deployment_are_its_environment_its_arguments_and_its_image() -> None:
    container = {
        "image": "registry.example/operator:2",
        "args": ["run", "--resync=30"],
        "env": [
            {"name": "POD_NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
            {"name": "AIRFLOW_OPERATOR_OF_A_LATER_RELEASE", "value": "x"},
            {"name": "AIRFLOW_OPERATOR_GIT_SYNC_WEBHOOK_URL", "value": "http://airflow-operator.$(POD_NAMESPACE).svc:8090"},
        ],
    }
    live = {"metadata": {"name": "airflow-operator", "namespace": "ops"}, "spec": {"template": {"spec": {"containers": [container]}}}}
    found = settings_of(live)
    assert found.platform.operator_image == "registry.example/operator:2"
    assert found.platform.webhook_url == "http://airflow-operator.ops.svc:8090"
    assert found.resync == 30
