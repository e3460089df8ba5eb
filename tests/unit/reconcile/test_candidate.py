"""A resource as it would be after it was applied."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_operator.reconcile.preview.candidate import manager_of, three_way

CASES: tuple[tuple[str, Any, Any, Any, Any], ...] = (
    ("set", {"a": 1}, {"a": 1}, {"a": 2}, {"a": 2}),
    ("taken out of the file", {"a": 1, "b": 2}, {"a": 1, "b": 2}, {"a": 1}, {"a": 1}),
    ("set by others", {"a": 1, "replicas": 4}, {"a": 1}, {"a": 1}, {"a": 1, "replicas": 4}),
    ("deep", {"s": {"x": 1, "replicas": 4}}, {"s": {"x": 1}}, {"s": {}}, {"s": {"replicas": 4}}),
    ("lists as a whole", {"l": [1, 2]}, {"l": [1, 2]}, {"l": [2]}, {"l": [2]}),
)


@pytest.mark.parametrize(("live", "last", "wanted", "made"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_client_side_apply(live: Any, last: Any, wanted: Any, made: Any) -> None:
    assert three_way(live, last, wanted) == made


def entry(manager: str, operation: str = "Apply", **more: Any) -> dict[str, Any]:
    return {"manager": manager, "operation": operation, "fieldsV1": {"f:spec": {}}, **more}


def test_server_side_apply_goes_on_as_who_began_it() -> None:
    assert manager_of(None) == "kubectl"
    assert manager_of({"metadata": {"managedFields": [entry("kubectl-edit", "Update")]}}) == "kubectl"
    others = [entry("kopf", "Update"), entry("airflow-operator-status", subresource="status"), entry("scaler", subresource="scale")]
    assert manager_of({"metadata": {"managedFields": [*others, entry("argocd-controller")]}}) == "argocd-controller"
