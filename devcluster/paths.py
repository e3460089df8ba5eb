"""Where the test cluster keeps things: a cache that survives `down`, and a state directory that does not."""

import os
from pathlib import Path

TOOLS = Path(__file__).resolve().parent / "tools"
"""Committed Go module files, one directory for each tool group."""


def cache() -> Path:
    """Directory of built binaries and of Go's build cache, outside the checkout ($DEVCLUSTER_CACHE)."""
    default = Path.home() / ".cache" / "airflow-operator"
    return Path(os.environ.get("DEVCLUSTER_CACHE") or default).expanduser().absolute()


def state() -> Path:
    """Directory of the native cluster: certificates, data, logs, process ids ($DEVCLUSTER_STATE)."""
    return Path(os.environ.get("DEVCLUSTER_STATE") or "/var/lib/airflow-operator-devcluster").expanduser().absolute()
