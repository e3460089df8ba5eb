"""The scripts as modules, the way they see each other in the Airflow image."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import airflow_operator.jobs

SCRIPTS = Path(airflow_operator.jobs.__file__).parent / "scripts"


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, ModuleType]]:
    """Each script by its name, imported anew."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    names = [path.stem for path in SCRIPTS.glob("*.py")]
    yield {name: importlib.import_module(name) for name in names}
    for name in names:
        del sys.modules[name]
