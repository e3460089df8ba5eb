"""Single files that a user brings in a Secret or ConfigMap."""

from __future__ import annotations

from typing import Any

from airflow_operator.api.certificates import FromData


def source(file: FromData, path: str) -> dict[str, Any]:
    """One source of a projected volume, with the file at `path`."""
    if file.secret_key_ref:
        return {"secret": {"name": file.secret_key_ref.name, "items": [{"key": file.secret_key_ref.key, "path": path}]}}
    assert file.config_map_key_ref is not None
    return {"configMap": {"name": file.config_map_key_ref.name, "items": [{"key": file.config_map_key_ref.key, "path": path}]}}


def volume(name: str, file: FromData, path: str) -> dict[str, Any]:
    """A volume that holds the one file, at `path`."""
    return {"name": name, "projected": {"sources": [source(file, path)], "defaultMode": 0o440}}
