"""What leads from outside to the API server."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from airflow_operator.airflow.config import Config
from airflow_operator.airflow.facts import Component
from airflow_operator.api.access import Gateway, Ingress
from airflow_operator.domain import names
from airflow_operator.domain.kinds import HTTP_ROUTE
from airflow_operator.domain.manifest import Manifest
from airflow_operator.reconcile import address
from airflow_operator.reconcile.build import meta
from airflow_operator.reconcile.validate import ValidatedCluster


def settings(cluster: ValidatedCluster) -> Config:
    """Defaults of airflow.cfg where a proxy stands before Airflow."""
    section, option = cluster.release.proxy_fix
    return {section: {option: "True"}} if cluster.spec.external_url else {}


def owned(cluster: ValidatedCluster) -> Config:
    """The option by which Airflow knows its own address."""
    section, option = cluster.release.base_url
    return {section: {option: cluster.spec.external_url}} if cluster.spec.external_url else {}


def proxied(cluster: ValidatedCluster) -> Component:
    """The API server as it is started where a proxy stands before it: else the links of a login over TLS begin with http."""
    facts, flag = cluster.release.api_server, cluster.release.proxy_flag
    return replace(facts, command=f"{facts.command} {flag}") if cluster.spec.external_url and flag else facts


def objects(cluster: ValidatedCluster) -> list[Manifest]:
    """All that leads to the API server."""
    made = [_ingress(cluster, cluster.spec.ingress)] if cluster.spec.ingress else []
    if cluster.spec.gateway and HTTP_ROUTE not in cluster.absent:
        made.append(_route(cluster, cluster.spec.gateway))
    return made


def _port(cluster: ValidatedCluster) -> int:
    return next(iter(cluster.release.api_server.ports.values()))


def _route(cluster: ValidatedCluster, settings: Gateway) -> Manifest:
    """The HTTPRoute. It says what the API server would add, so that nothing differs afterwards."""
    parents = [
        {
            "group": "gateway.networking.k8s.io",
            "kind": "Gateway",
            "name": ref.name,
            **({"namespace": ref.namespace} if ref.namespace else {}),
            **({"sectionName": ref.section_name} if ref.section_name else {}),
        }
        for ref in settings.parent_refs
    ]
    backend = {"group": "", "kind": "Service", "name": names.api_server(cluster.name), "port": _port(cluster), "weight": 1}
    match = {"path": {"type": "PathPrefix", "value": cluster.base_path or "/"}}
    spec = {
        "parentRefs": parents,
        "hostnames": list(settings.hostnames or (address.host(cluster.spec),)),
        "rules": [{"matches": [match], "backendRefs": [backend]}],
    }
    return meta.child(cluster, HTTP_ROUTE.api_version, HTTP_ROUTE.kind, cluster.release.api_server.name, spec=spec)


def _ingress(cluster: ValidatedCluster, settings: Ingress) -> Manifest:
    host = settings.host or address.host(cluster.spec)
    service = {"name": names.api_server(cluster.name), "port": {"number": _port(cluster)}}
    path = {"path": settings.path or cluster.base_path or "/", "pathType": "Prefix", "backend": {"service": service}}
    spec: dict[str, Any] = {"rules": [{"host": host, "http": {"paths": [path]}}]}
    if settings.class_name:
        spec["ingressClassName"] = settings.class_name
    if settings.tls:
        secret = {"secretName": settings.tls.secret_name} if settings.tls.secret_name else {}
        spec["tls"] = [{"hosts": [host], **secret}]
    made = meta.child(cluster, "networking.k8s.io/v1", "Ingress", cluster.release.api_server.name, spec=spec)
    if settings.annotations:
        made["metadata"]["annotations"] = dict(settings.annotations)
    return made
