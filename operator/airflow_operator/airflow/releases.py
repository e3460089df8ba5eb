"""Every version of Airflow that a test has run, with its facts."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from airflow_operator.airflow.facts import Release
from airflow_operator.airflow.v2 import AIRFLOW_2_10, AIRFLOW_2_11
from airflow_operator.airflow.v3 import AIRFLOW_3_0, AIRFLOW_3_1, AIRFLOW_3_2, AIRFLOW_3_3

RELEASES: Mapping[str, Release] = MappingProxyType(
    {
        "2.10.5": AIRFLOW_2_10,
        "2.11.2": AIRFLOW_2_11,
        "3.0.6": AIRFLOW_3_0,
        "3.1.8": AIRFLOW_3_1,
        "3.2.2": AIRFLOW_3_2,
        "3.3.2": AIRFLOW_3_3,
    }
)
"""The newest patch of each minor release; `spec.version` accepts these and no other."""


def release_of(version: str) -> Release:
    """The facts of a version; KeyError for one that no test has run."""
    return RELEASES[version]
