"""The scripts that run in the Airflow image, as text for the ConfigMap that carries them there."""

from __future__ import annotations

from functools import cache
from importlib import resources


@cache
def airflow_file(name: str) -> str:
    """A file that Airflow's own processes read."""
    return (resources.files("airflow_operator.jobs") / "files" / name).read_text(encoding="utf-8")


@cache
def airflow_scripts() -> dict[str, str]:
    """Each script by its file name; they import each other, so they are mounted together, in one directory."""
    folder = resources.files("airflow_operator.jobs") / "scripts"
    return {file.name: file.read_text(encoding="utf-8") for file in sorted(folder.iterdir(), key=str) if file.name.endswith(".py")}
