"""`python -m tests.bench.operator KUBECONFIG PORT WRITES_PER_SECOND`: the operator as it is measured.

Databases count as made and migrated, so that there are no Jobs to wait for, and no StatefulSet counts as lacking its pods, which nobody
makes: the operator would look every few seconds for what refuses them. PORT is that of /readyz; WRITES_PER_SECOND is its own limit,
0 for none.
"""

from __future__ import annotations

import sys
from typing import Any

from airflow_operator.domain.manifest import ObjectKey
from airflow_operator.process import Process, serve
from airflow_operator.reconcile import plan, refused_pods, schema, secrets
from airflow_operator.reconcile.database import Database
from airflow_operator.reconcile.evidence import Evidence
from airflow_operator.reconcile.schema import Provisioned, Schema
from airflow_operator.reconcile.types import Condition
from airflow_operator.settings import Settings

_JOB = Evidence(ObjectKey("batch/v1", "Job", "", ""), "bench", "provision", {}, "Done", {"result": "Provisioned"}, None)
_DATABASE = Database(Condition("DatabaseReady", "True", "Provisioned", "It counts as made."), Provisioned(_JOB, "bench/1", empty=False))
_SCHEMA = Schema("Current", "Migrated", "It counts as migrated.")


def count_as_migrated() -> None:
    """From now on the plan asks for no Job, and waits for no pod to be made."""

    def answer(value: Any) -> Any:
        return lambda *_, **__: value

    for module, name, value in (
        (plan, "decide", _DATABASE),
        (plan, "_users", ([], (), [], [])),
        (schema, "decide", _SCHEMA),
        (secrets, "_provisioned", True),
        (refused_pods, "lacking", []),
    ):
        assert hasattr(module, name), f"{module.__name__} has no {name} any more"
        setattr(module, name, answer(value))


def main() -> None:
    """Run until SIGTERM."""
    kubeconfig, port, limit = sys.argv[1:]
    count_as_migrated()
    settings = Settings(writes_per_second=int(limit), health_probe=False, health_port=int(port), webhook_port=0, log_level="warning")
    serve(Process(settings, kubeconfig))


if __name__ == "__main__":
    main()
