"""What a cluster's base offers: a database server, whether it answers, and whether the cluster may use it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypedDict

from airflow_operator.api import AirflowBaseSpec, parse_base
from airflow_operator.api.external import External
from airflow_operator.domain import names
from airflow_operator.domain.errors import InvalidSpec, Waiting
from airflow_operator.domain.manifest import Live, dig
from airflow_operator.reconcile import certificates
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
    """What tells a server from another: the UID of its volume, since a new volume is a new, empty server; of others', its address."""
    spec: AirflowBaseSpec
    allowed: bool = True
    """Whether the base allows the cluster's namespace."""
    adopts: bool = False
    """Whether the cluster may have what one of the same name left, of a namespace that was deleted since."""
    ca: str = ""
    """Certificates in PEM that the server's is checked with."""

    @property
    def external(self) -> External | None:
        """The server, where others run it."""
        return self.spec.database.external

    @property
    def makes_databases(self) -> bool:
        """Whether the operator may make databases there, or each cluster brings its own."""
        return self.external is None or self.external.provisioning == "Managed"

    @property
    def endpoint(self) -> str:
        """All of a connection that is not secret, for a digest."""
        return f"{self.host}:{self.port} {self.external.tls.mode}" if self.external else self.host


def base_of(resource: Live) -> tuple[str, str]:
    """Namespace and name of the base that an AirflowCluster names."""
    own: str = resource["metadata"]["namespace"]
    return dig(resource, "spec", "baseRef", "namespace", default=own), dig(resource, "spec", "baseRef", "name", default="")


def offer_of(base: Live | None) -> Mapping[str, Any]:
    """What a base's status tells its clusters: all but how many they are."""
    return {name: value for name, value in dig(base, "status", default={}).items() if name != "clusters"}


def admits(base: Live | None, resource: Live, own_labels: Mapping[str, str]) -> bool:
    """Whether the operator may look around in a base's namespace for a cluster: in its own, or in one whose base allows its namespace."""
    namespace, own = base_of(resource)[0], resource["metadata"]["namespace"]
    if namespace == own:
        return True
    try:
        return base is not None and parse_base(base).spec.allowed_clusters.namespaces.admit(own, own_labels, own=namespace)
    except InvalidSpec:
        return False


def base_access(seen: SeenCluster) -> BaseAccess:
    """The base as it was seen; raises Waiting where there is none."""
    namespace, name = base_of(seen.resource)
    own = seen.resource["metadata"]["namespace"]
    if seen.base_refused:
        raise Waiting("BaseNotReadable", f"The operator may not look at AirflowBase {name} in namespace {namespace}: {seen.base_refused}")
    live = seen.base
    if live is None:
        raise Waiting("BaseNotFound", f"spec.baseRef names AirflowBase {name}, which does not exist in namespace {namespace}.")
    ready: Live = next((c for c in dig(live, "status", "conditions", default=[]) if c["type"] == "Ready"), {})
    current = ready.get("observedGeneration") == live["metadata"].get("generation")
    spec = parse_base(live).spec
    allowed = spec.allowed_clusters.namespaces.admit(own, seen.namespace_labels, own=namespace)
    return BaseAccess(
        name=name,
        namespace=namespace,
        ready=ready.get("status") == "True" and current,
        message=ready.get("message", "") if current else "The operator has not looked at it yet.",
        **server_of(spec, name, namespace, next((claim["metadata"]["uid"] for claim in seen.base_claims), "")),
        spec=spec,
        allowed=allowed,
        adopts=spec.allowed_clusters.adopts(own, seen.namespace_uid),
        ca=_certificates(spec, seen.base_ca) if allowed else "",
    )


class _Server(TypedDict):
    host: str
    port: int
    admin_secret: str
    server: str


def server_of(spec: AirflowBaseSpec, name: str, namespace: str, volume: str) -> _Server:
    """Where a base's server is, and which Secret has its administrator."""
    external, service = spec.database.external, names.postgres(name)
    if external is None:
        return {"host": f"{service}.{namespace}.svc", "port": POSTGRES_PORT, "admin_secret": service, "server": volume}
    admin = external.admin_secret_ref.name if external.admin_secret_ref else ""
    return {"host": external.host, "port": external.port, "admin_secret": admin, "server": f"{external.host}:{external.port}"}


def _certificates(spec: AirflowBaseSpec, live: Live | None) -> str:
    ca = spec.database.external.tls.ca if spec.database.external else None
    try:
        return certificates.read(ca, live) if ca else ""
    except Waiting as error:
        raise Waiting("BaseNotReady", f"The base's {error.message}") from None


def require_allowed(base: BaseAccess, namespace: str) -> None:
    """Raises Waiting where the base does not allow clusters of the namespace."""
    if not base.allowed:
        message = (
            f"AirflowBase {base.name} in namespace {base.namespace} does not allow clusters of namespace {namespace}: "
            "its owner can, in spec.allowedClusters.namespaces. Nothing is changed until then, and what runs goes on."
        )
        raise Waiting("BaseNotAllowed", message)
