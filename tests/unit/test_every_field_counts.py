"""No field is ignored: each leaf of a spec changes what is rendered, or a test is named that shows what else it does.

A new field needs nothing here where `tests.unit.leaves` knows values of it and it changes a manifest; otherwise one line in `ELSEWHERE`
(the test that shows its effect).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.unit.leaves import ABSENT, AROUND, BESIDE, LEAVES, VALUES, candidates, rendered, with_leaf

ROOT = Path(__file__).resolve().parents[2]

ELSEWHERE: Mapping[str, str] = {
    "AirflowCluster.paused": "tests/integration/test_scenario_refused.py::test_paused",
    "AirflowCluster.deletionPolicy": "tests/integration/test_scenario_delete.py::test_delete_takes_everything",
    "AirflowBase.allowedClusters.namespaces.from": "tests/crd/test_allowed.py::test_all_means_all",
    "AirflowBase.allowedClusters.namespaces.names": "tests/crd/test_allowed.py::test_names_come_on_top_of_the_rest",
    "AirflowBase.allowedClusters.namespaces.selector.matchLabels": "tests/crd/test_allowed.py::test_a_selector_alone_decides",
    **dict.fromkeys(
        (f"AirflowBase.allowedClusters.namespaces.selector.matchExpressions[].{field}" for field in ("key", "operator", "values")),
        "tests/crd/test_allowed.py::test_expressions_are_read_as_kubernetes_reads_them",
    ),
    **dict.fromkeys(
        (f"AirflowBase.allowedClusters.adopt[].{field}" for field in ("namespace", "uid")),
        "tests/unit/reconcile/test_plan.py::test_an_approval_is_another_question",
    ),
    "AirflowBase.database.external.provisioning": "tests/unit/reconcile/test_brought.py::"
    "test_base_and_cluster_must_agree_about_who_makes_the_database",
    "AirflowBase.deletionPolicy": "tests/integration/test_scenario_delete.py::test_both_deleted_at_once_with_everything",
}
"""Leaves that change no manifest, and the test that shows what they do."""


def valid(kind: str, path: str) -> Iterator[str]:
    """What is rendered with each value of a leaf that is not refused, and without it."""
    for value in (*VALUES.get(path, ()), *candidates(LEAVES[path]), ABSENT):
        text = rendered(kind, with_leaf(kind, path, value))
        if text is not None:
            yield text


@pytest.mark.parametrize("path", [path for path in LEAVES if path not in ELSEWHERE])
def test_a_leaf_changes_what_is_rendered(path):
    found = valid(path.partition(".")[0], path)
    first, second = next(found, None), next(found, None)
    assert second is not None, (
        f"{path}: two valid values are not known: add some to VALUES, or what must stand beside it to BESIDE or AROUND"
    )
    if first == second and all(text == first for text in found):
        pytest.fail(
            f"{path} changes nothing: give it an effect, or what it needs for one (BESIDE, AROUND), or name the test of it (ELSEWHERE)"
        )


@pytest.mark.parametrize("path", ELSEWHERE)
def test_the_effect_of_other_leaves_is_tested(path):
    file, _, name = ELSEWHERE[path].partition("::")
    assert f"def {name}(" in (ROOT / file).read_text(encoding="utf-8")


def test_the_tables_speak_of_leaves_that_exist():
    assert [path for path in (*VALUES, *ELSEWHERE) if path not in LEAVES] == []
    assert [end for end in BESIDE if not any(path.endswith(f".{end}") for path in LEAVES)] == []
    assert [start for start in AROUND if not any(path.startswith(start) for path in LEAVES)] == []


def test_a_leaf_without_effect_is_found(monkeypatch):
    monkeypatch.setitem(LEAVES, "AirflowCluster.paused", {"type": "boolean"})
    with pytest.raises(pytest.fail.Exception, match="changes nothing"):
        test_a_leaf_changes_what_is_rendered("AirflowCluster.paused")
