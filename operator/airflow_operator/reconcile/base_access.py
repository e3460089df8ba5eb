"""What a cluster's base offers: a database server, and whether it answers."""

from __future__ import annotations

from dataclasses import dataclass

from airflow_operator.api import AirflowBaseSpec, parse_base
from airflow_operator.domain import names
from airflow_operator.domain.errors import Waiting
from airflow_operator.domain.manifest import Live, dig
from airflow_operator.reconcile.types import SeenCluster

POSTGRES_PORT = 5432


@dataclass(frozen=True)
class BaseAccess:
    """The database server that a cluster's base offers."""

    name: str
    namespace: str
    ready: bool
    message: str
    host: str
    port: int
    admin_secret: str
    server: str
    """UID of the server's volume: a new volume is a new, empty server."""
    spec: AirflowBaseSpec


def base_access(name: str, seen: SeenCluster) -> BaseAccess:
    """The base as it was seen; raises Waiting where there is none."""
    live = seen.base
    if live is None:
        namespace = seen.resource["metadata"]["namespace"]
        raise Waiting("BaseNotFound", f"spec.baseRef names AirflowBase {name}, which does not exist in namespace {namespace}.")
    ready: Live = next((c for c in dig(live, "status", "conditions", default=[]) if c["type"] == "Ready"), {})
    current = ready.get("observedGeneration") == live["metadata"].get("generation")
    service = names.postgres(name)
    return BaseAccess(
        name=name,
        namespace=live["metadata"]["namespace"],
        ready=ready.get("status") == "True" and current,
        message=ready.get("message", "") if current else "The operator has not looked at it yet.",
        host=f"{service}.{live['metadata']['namespace']}.svc",
        port=POSTGRES_PORT,
        admin_secret=service,
        server=next((claim["metadata"]["uid"] for claim in seen.base_claims), ""),
        spec=parse_base(live).spec,
    )
