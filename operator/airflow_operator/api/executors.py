"""What runs the tasks."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from airflow_operator.api.cel import Cel
from airflow_operator.api.common import Atomic

KUBERNETES = "KubernetesExecutor"
LOCAL = "LocalExecutor"

_KNOWN = Cel(
    rule=f"self.all(name, name in ['{KUBERNETES}', '{LOCAL}'])",
    message=f"use {KUBERNETES}, {LOCAL} or both: CeleryExecutor and others do not work in this version of the operator",
    check=lambda names: all(name in (KUBERNETES, LOCAL) for name in names),
)
_ONCE = Cel(
    rule="self.all(name, self.exists_one(other, other == name))",
    message="name each executor once",
    check=lambda names: len(set(names)) == len(names),
)
_SOME = Cel(rule="size(self) > 0", message=f"name at least one executor, or leave the field out for [{LOCAL}]", check=bool)

Executors = Annotated[tuple[Annotated[str, Field(max_length=64)], ...], Field(max_length=8), Atomic(), _SOME, _KNOWN, _ONCE]
"""Names of executors; the first is the one of tasks that choose none."""
