"""Services of a cluster."""

from __future__ import annotations

from airflow_operator.domain import labels
from airflow_operator.domain.manifest import Manifest
from airflow_operator.reconcile.build import meta
from airflow_operator.reconcile.validate import ValidatedCluster


def api_server(cluster: ValidatedCluster) -> Manifest:
    """Where users, task pods and the operator reach the API server."""
    facts = cluster.release.api_server
    ports = [{"name": name, "port": port, "targetPort": name, "protocol": "TCP"} for name, port in facts.ports.items()]
    selector = labels.selector(cluster.name, facts.name)
    return meta.child(cluster, "v1", "Service", facts.name, spec={"type": "ClusterIP", "selector": selector, "ports": ports})


def triggerer(cluster: ValidatedCluster) -> Manifest:
    """Gives the triggerer's pods the host names by which their logs are fetched."""
    facts = cluster.release.triggerer
    ports = [{"name": name, "port": port, "targetPort": name, "protocol": "TCP"} for name, port in facts.ports.items()]
    spec = {"clusterIP": "None", "publishNotReadyAddresses": True, "selector": labels.selector(cluster.name, facts.name), "ports": ports}
    return meta.child(cluster, "v1", "Service", facts.name, spec=spec)
