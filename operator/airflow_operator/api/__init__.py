"""The custom resources as pydantic models: the single source of crds/, of the API reference and of defaults."""

from __future__ import annotations

from airflow_operator.api.base import AirflowBase, AirflowBaseSpec
from airflow_operator.api.cluster import AirflowCluster, AirflowClusterSpec
from airflow_operator.api.parse import parse_base, parse_cluster
from airflow_operator.api.status import AirflowBaseStatus, AirflowClusterStatus

__all__ = [
    "AirflowBase",
    "AirflowBaseSpec",
    "AirflowBaseStatus",
    "AirflowCluster",
    "AirflowClusterSpec",
    "AirflowClusterStatus",
    "parse_base",
    "parse_cluster",
]
