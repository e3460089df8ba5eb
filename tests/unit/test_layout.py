"""How the house is built: rules that no linter knows."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from fnmatch import fnmatch
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "operator" / "airflow_operator"
MODULES = sorted(PACKAGE.rglob("*.py"))
LONGEST_FILE = 400
LONGEST_FUNCTION = 40
LONGEST_BUILDER = 60


def relative(path):
    return str(path.relative_to(ROOT))


def test_the_source_root_does_not_hide_pythons_operator_module():
    assert not (ROOT / "operator" / "__init__.py").exists()
    run = subprocess.run([sys.executable, "-c", "import operator; operator.add"], cwd=ROOT, capture_output=True, check=False)
    assert run.returncode == 0, run.stderr


def test_the_command_line_works_as_a_module():
    run = subprocess.run([sys.executable, "-m", "airflow_operator", "version"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == version("airflow-operator")


def test_nothing_is_left_to_be_done():
    mark = re.compile(r"\b(TO" r"DO|FIX" r"ME|X" r"XX|HA" r"CK)\b")
    assert [relative(path) for path in MODULES if mark.search(path.read_text(encoding="utf-8"))] == []


def test_no_file_holds_two_rooms():
    lengths = {relative(path): len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES}
    assert {path: length for path, length in lengths.items() if length > LONGEST_FILE} == {}


def functions(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def test_functions_are_short():
    too_long = {
        f"{relative(path)}:{node.name}": length
        for path in MODULES
        for node in functions(path)
        if (length := (node.end_lineno or node.lineno) - node.lineno + 1)
        > (LONGEST_BUILDER if path.parent.name in ("build", "cli") else LONGEST_FUNCTION)
    }
    assert too_long == {}


def test_every_module_says_what_it_is():
    assert [relative(item) for item in MODULES if not ast.get_docstring(ast.parse(item.read_text(encoding="utf-8")))] == []


def test_texts_for_users_name_no_place_of_the_build_machine():
    texts = [*MODULES, *sorted((ROOT / "manifests").rglob("*.yaml")), *sorted((ROOT / "docs").rglob("*.md")), ROOT / "README.md"]
    place = re.compile(r"(?<![\w.])/(root|work|home|tmp)/")
    assert [relative(path) for path in texts if path.exists() and place.search(path.read_text(encoding="utf-8"))] == []


def test_no_test_is_passed_over(request):
    hidden = request.config.getini("norecursedirs")
    folders = {part for path in (ROOT / "tests").rglob("test_*.py") for part in path.relative_to(ROOT).parts[:-1]}
    assert [folder for folder in folders if any(fnmatch(folder, pattern) for pattern in hidden)] == []
