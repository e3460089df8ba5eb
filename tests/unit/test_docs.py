"""The documentation says what the code says: its tables, its links, and every reason that a condition can have."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_operator import docgen
from airflow_operator.domain.reasons import ADVICE, CONDITIONS, GROUPS
from airflow_operator.generated import stale

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "operator" / "airflow_operator"
CAMEL = re.compile(r"[A-Z][a-z]+(?:[A-Z][a-z]+)*")

REASON_AT = {"Condition": 2, "_database_finding": 0, "Waiting": 0, "InvalidSpec": 0, "Schema": 1, "Refusal": 1, "Answer": 0, "post": 2}
"""Position of the reason among the arguments of what makes one."""

BY_NAME = {
    "Forbidden",
    "Invalid",
    "NotFound",
    "SecretNotFound",
    "ConfigMapNotFound",
    "PersistentVolumeClaimNotFound",
    "ServiceAccountNotFound",
}
"""Reasons that are made of the name of an error or of a kind."""


def calls() -> Iterator[tuple[str, ast.Call]]:
    for path in [*(PACKAGE / "reconcile").rglob("*.py"), *(PACKAGE / "runtime").glob("*.py"), PACKAGE / "jobs" / "provision.py"]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                yield getattr(node.func, "id", getattr(node.func, "attr", "")), node


def constants(module: str) -> dict[str, set[str]]:
    """Reasons that have a name of their own; of a mapping its values."""
    body = ast.parse((PACKAGE / module).read_text(encoding="utf-8")).body
    named = [(node.targets[0], node.value) for node in body if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)]
    texts = {str(getattr(name, "id", "")): value.values if isinstance(value, ast.Dict) else [value] for name, value in named}
    return {name: {word for value in values for word in words(value)} for name, values in texts.items()}


def words(node: ast.AST) -> set[str]:
    texts = {part.value for part in ast.walk(node) if isinstance(part, ast.Constant) and isinstance(part.value, str)}
    return {text for text in texts if CAMEL.fullmatch(text)}


def emitted() -> set[str]:
    # What keeps a pod from running is told by whoever waits for it.
    found = set(BY_NAME).union(*constants("reconcile/workloads.py").values())
    for name, call in calls():
        if name in REASON_AT and len(call.args) > REASON_AT[name]:
            found |= words(call.args[REASON_AT[name]])
    return found


def test_every_reason_has_its_advice_and_no_other_stands_there() -> None:
    assert emitted() - set(ADVICE) == set(), "add it to domain/reasons.py with what a person does about it"
    assert set(ADVICE) - emitted() == set(), "nobody says this any more"
    assert sum(map(len, GROUPS.values())) == len(ADVICE), "a reason stands twice"


def test_every_condition_is_explained_and_no_other_is() -> None:
    made = {word for name, call in calls() if name in ("Condition", "availability") and call.args for word in words(call.args[0])}
    in_tables = {"ApiServerAvailable", "SchedulersAvailable", "DagProcessorAvailable", "TriggererAvailable", "MetricsAvailable"}
    named_by_a_function = {"SpecValid", "BaseReady", "Reconciled", "KeysAvailable", "ObjectsApplied", "ReferencesResolved"}
    assert made | in_tables | named_by_a_function == set(CONDITIONS)


def test_tables_are_those_of_the_code() -> None:
    assert stale(docgen.generated(ROOT), ROOT) == [], "make generate"
    tables = [name for file in docgen.FILES for name in re.findall(r"<!-- table (\w+) -->", (ROOT / file).read_text())]
    assert sorted(tables) == sorted(docgen.TABLES)


PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=[page.relative_to(ROOT).as_posix() for page in PAGES])
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if "://" not in link and not (page.parent / link).exists()] == []
