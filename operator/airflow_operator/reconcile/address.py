"""Where Airflow is reached, as far as the spec says."""

from __future__ import annotations

from urllib.parse import urlsplit

from airflow_operator.api import AirflowClusterSpec


def base_path(spec: AirflowClusterSpec) -> str:
    """The path under which the API server answers, without a slash at its end: that of spec.externalURL."""
    return urlsplit(spec.external_url or "").path.rstrip("/")


def host(spec: AirflowClusterSpec) -> str:
    """The host name of spec.externalURL; empty without one."""
    return urlsplit(spec.external_url or "").hostname or ""
