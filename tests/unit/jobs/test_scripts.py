"""What the scripts for the Airflow image decide without a database."""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

from airflow_operator.airflow.config import merge, render
from airflow_operator.airflow.releases import release_of
from airflow_operator.jobs.sources import airflow_scripts

Scripts = dict[str, ModuleType]


def test_the_scripts_are_carried_together() -> None:
    assert {"check.py", "common.py", "migrate.py", "users.py"} <= set(airflow_scripts())


@pytest.mark.parametrize("name", sorted(airflow_scripts()))
def test_a_script_needs_only_the_standard_library_and_its_neighbours(name: str) -> None:
    tree = ast.parse(airflow_scripts()[name], feature_version=(3, 9))
    type_checking = [node for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)]
    unseen = {inner for node in type_checking for branch in node.body for inner in ast.walk(branch)}
    at_import = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom) and node not in unseen]
    inside_functions = {inner for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) for inner in ast.walk(node)}
    modules = {
        module.partition(".")[0]
        for node in at_import
        if node not in inside_functions
        for module in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names])
    }
    neighbours = {file.removesuffix(".py") for file in airflow_scripts()}
    assert modules <= set(sys.stdlib_module_names) | neighbours


class TestRevisions:
    """Migration files are read as text."""

    def test_the_head_is_what_no_other_revision_follows(self, scripts: Scripts) -> None:
        files = [
            'revision = "aaa"\ndown_revision = None\n',
            "revision: str = 'bbb'  # the middle\ndown_revision: str | None = 'aaa'\n",
            'revision = "ccc"\ndown_revision = "bbb"\nbranch_labels = None\n',
            '"""An empty package."""\n',
        ]
        revisions = scripts["check"].read_revisions(files)
        assert revisions.heads == ["ccc"]
        assert revisions.known == {"aaa", "bbb", "ccc"}

    def test_a_merge_follows_several(self, scripts: Scripts) -> None:
        files = [
            'revision = "a"\ndown_revision = None\n',
            'revision = "b"\ndown_revision = "a"\n',
            'revision = "c"\ndown_revision = "a"\n',
            'revision = "d"\ndown_revision = (\n    "b",\n    "c",\n)\n',
        ]
        assert scripts["check"].read_revisions(files).heads == ["d"]
        assert scripts["check"].read_revisions(files[:3]).heads == ["b", "c"]

    def test_mentions_in_functions_do_not_count(self, scripts: Scripts) -> None:
        source = 'revision = "a"\ndown_revision = None\ndef upgrade():\n    revision = "z"\n'
        assert scripts["check"].read_revisions([source]).known == {"a"}


@pytest.mark.parametrize(
    ("airflow", "fab", "finished", "expected"),
    [
        ([], [], False, "Empty"),
        (["new"], ["f1"], True, "Current"),
        (["new"], ["f1"], False, "Behind"),
        (["old"], ["f1"], True, "Behind"),
        (["new"], [], True, "Behind"),
        (["newer"], ["f1"], True, "Unknown"),
        (["new"], ["f2"], True, "Unknown"),
        (["old", "newer"], [], True, "Unknown"),
    ],
)
def test_verdict(scripts: Scripts, airflow: list[str], fab: list[str], finished: bool, expected: str) -> None:
    check = scripts["check"]
    image = {
        "airflow": check.Revisions(["new"], frozenset({"old", "new"})),
        "fab": check.Revisions(["f1"], frozenset({"f1"})),
    }
    assert check.verdict({"airflow": airflow, "fab": fab}, image, finished) == expected


def test_an_image_that_does_not_manage_fab_ignores_its_revisions(scripts: Scripts) -> None:
    check = scripts["check"]
    image = {"airflow": check.Revisions(["new"], frozenset({"new"}))}
    assert check.verdict({"airflow": ["new"], "fab": ["any"]}, image, True) == "Current"
    assert check.heads_of(image) == {"airflow": ["new"], "fab": []}


@pytest.mark.parametrize(
    ("version", "manager", "managed"),
    [
        ("2.10.5", "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager", False),
        ("2.11.2", "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager", False),
        ("3.0.6", "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager", True),
        ("3.1.8", "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager", True),
        ("3.1.8", "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager", False),
        ("3.2.2", "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager", True),
        ("3.3.2", "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager", True),
        ("3.10.0", "", True),
    ],
)
def test_which_releases_migrate_fab_by_itself(
    scripts: Scripts, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, version: str, manager: str, managed: bool
) -> None:
    config = tmp_path / "airflow.cfg"
    config.write_text(f"[core]\nauth_manager = {manager}\n")
    monkeypatch.setenv("AIRFLOW_CONFIG", str(config))
    monkeypatch.delenv("AIRFLOW__CORE__AUTH_MANAGER", raising=False)
    assert ("fab" in scripts["check"].image_revisions(version)) is managed


@pytest.mark.parametrize("version", ["3.0.6", "3.1.8"])
def test_the_others_are_told_to_migrate_fab_whoever_logs_people_in(
    scripts: Scripts, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, version: str
) -> None:
    simple = "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager"
    config = tmp_path / "airflow.cfg"
    config.write_text(render(merge(release_of(version).defaults, {"core": {"auth_manager": simple}})))
    monkeypatch.setenv("AIRFLOW_CONFIG", str(config))
    assert "fab" in scripts["check"].image_revisions(version)


@pytest.mark.parametrize(
    ("expect", "airflow", "fab", "matches"),
    [
        ("Empty", [], [], True),
        ("Empty", ["a"], [], False),
        ({"airflow": ["a"], "fab": ["f"]}, ["a"], ["f"], True),
        ({"airflow": ["a"]}, ["a"], [], True),
        ({"airflow": ["a"]}, ["a"], ["f"], False),
        ({"airflow": ["b", "a"]}, ["a", "b"], [], True),
        ({"airflow": ["a"]}, [], [], False),
    ],
)
def test_a_migration_knows_what_it_was_decided_on(
    scripts: Scripts, expect: object, airflow: list[str], fab: list[str], matches: bool
) -> None:
    assert scripts["migrate"].matches(json.dumps(expect), {"airflow": airflow, "fab": fab}) is matches


class TestAdministrator:
    """The mounted files."""

    def test_is_read_with_defaults(self, scripts: Scripts, tmp_path: Path) -> None:
        (tmp_path / "username").write_text("admin\n")
        (tmp_path / "password").write_text(" pass word \r\n")
        admin = scripts["users"].read_admin(str(tmp_path))
        assert (admin.username, admin.password, admin.email) == ("admin", " pass word ", "admin@example.com")

    def test_may_be_an_address(self, scripts: Scripts, tmp_path: Path) -> None:
        for name, text in {"username": "a@b.org", "password": "x", "firstname": "Ada", "lastname": "Lovelace"}.items():
            (tmp_path / name).write_text(text)
        admin = scripts["users"].read_admin(str(tmp_path))
        assert (admin.email, admin.first_name, admin.last_name) == ("a@b.org", "Ada", "Lovelace")

    @pytest.mark.parametrize("missing", ["username", "password"])
    def test_must_be_whole(self, scripts: Scripts, tmp_path: Path, missing: str) -> None:
        for name in {"username", "password"} - {missing}:
            (tmp_path / name).write_text("x")
        (tmp_path / missing).write_text("\n")
        with pytest.raises(scripts["common"].Refusal, match=f"no key {missing}"):
            scripts["users"].read_admin(str(tmp_path))


class TestLastWords:
    """What a failure tells."""

    def test_hide_secrets(self, scripts: Scripts) -> None:
        common = scripts["common"]
        common.hide("p@ss")
        common.hide("")
        assert common.failure(ValueError("cannot use p@ss"))["message"] == "ValueError: cannot use ***"

    def test_leave_statements_and_parameters_out(self, scripts: Scripts) -> None:
        error = RuntimeError("relation is locked\n[SQL: ALTER TABLE x]\n[parameters: {'y': 'z'}]")
        assert scripts["common"].failure(error)["message"] == "RuntimeError: relation is locked"

    def test_are_short_and_whole_characters(self, scripts: Scripts) -> None:
        message = scripts["common"].failure(scripts["common"].Refusal("ü" * 4000))["message"]
        assert message == "ü" * (scripts["common"].MESSAGE_BYTES // 2)


class TestDatabaseURL:
    """From SQLAlchemy's form to the driver's."""

    @pytest.mark.parametrize("scheme", ["postgresql+psycopg2", "postgresql+psycopg", "postgresql", "postgres"])
    def test_only_the_scheme_changes(self, scripts: Scripts, monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
        common = scripts["common"]
        monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", f"{scheme}://u:p%40ss@db:5432/x?sslmode=require")
        assert common._libpq_url() == "postgresql://u:p%40ss@db:5432/x?sslmode=require"
        assert common.redacted("p%40ss and p@ss") == "*** and ***"

    def test_other_databases_are_refused(self, scripts: Scripts, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "mysql://u:secret@db/x")
        with pytest.raises(scripts["common"].Refusal, match="Only PostgreSQL is supported, not mysql"):
            scripts["common"]._libpq_url()


def test_an_image_of_another_version_is_told(scripts: Scripts, monkeypatch: pytest.MonkeyPatch) -> None:
    require = scripts["common"].require_version
    monkeypatch.delenv("EXPECTED_VERSION", raising=False)
    assert require("3.3.2") is None
    monkeypatch.setenv("EXPECTED_VERSION", "3.3.2")
    assert require("3.3.2") is None
    assert require("3.3.1")["result"] == "WrongVersion"
