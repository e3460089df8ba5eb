"""Which operator this is: another one may make something else of what it sees."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from airflow_operator.domain.hashing import digest
from airflow_operator.settings import Settings


def program(settings: Settings) -> str:
    """Digest of the operator's own code, and of the settings that a reconciliation depends on."""
    root = Path(str(files("airflow_operator")))
    code = {str(path.relative_to(root)): digest(path.read_text()) for path in root.rglob("*") if path.is_file() and path.suffix != ".pyc"}
    return digest([code, repr(settings.platform), settings.health_probe, settings.opt_in])
