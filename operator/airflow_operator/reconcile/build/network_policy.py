"""NetworkPolicies: what may reach the pods of a cluster. Policies add up, so a user's own may let in more."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from airflow_operator.airflow.facts import WORKER_LOG_PORT
from airflow_operator.domain import labels
from airflow_operator.domain.manifest import Manifest
from airflow_operator.reconcile.build import meta, metrics
from airflow_operator.reconcile.validate import ValidatedCluster


def objects(cluster: ValidatedCluster) -> list[Manifest]:
    """One policy that lets nothing in, and one for each door; nothing where the spec asks for none."""
    settings = cluster.spec.network_policy
    if settings is None or not settings.enabled:
        return []
    everything = {labels.CLUSTER: cluster.name}
    logs_for = [{"podSelector": {"matchLabels": labels.selector(cluster.name, cluster.release.api_server.name)}}]
    made = [_policy(cluster, "default", everything, []), _of_api_server(cluster, settings.api_server_from)]
    for facts in cluster.release.components:
        ports = [port for name, port in facts.ports.items() if name.endswith("-logs") or port == WORKER_LOG_PORT]
        if ports:
            made.append(_policy(cluster, facts.name, labels.selector(cluster.name, facts.name), [_door(ports, logs_for)]))
    return [*made, _of_metrics(cluster)] if cluster.metrics else made


def _of_metrics(cluster: ValidatedCluster) -> Manifest:
    """Airflow's own pods send metrics, those of tasks included; whoever asks for them is Prometheus, wherever it runs."""
    own = [{"podSelector": {"matchLabels": {labels.CLUSTER: cluster.name}}}]
    doors = [_door([metrics.STATSD_PORT], own, "UDP"), _door([metrics.METRICS_PORT], None)]
    return _policy(cluster, metrics.COMPONENT, labels.selector(cluster.name, metrics.COMPONENT), doors)


def _of_api_server(cluster: ValidatedCluster, allowed: Iterable[Any] | None) -> Manifest:
    """Users, Airflow's own pods (tasks speak to it) and the operator."""
    facts = cluster.release.api_server
    own = {"podSelector": {"matchLabels": {labels.CLUSTER: cluster.name}}}
    peers = None if allowed is None else [own, _operator(cluster.platform.namespace), *(dict(peer) for peer in allowed)]
    return _policy(cluster, facts.name, labels.selector(cluster.name, facts.name), [_door(facts.ports.values(), peers)])


def _operator(namespace: str) -> dict[str, Any]:
    """The operator's own pods, which ask for Airflow's health. Anybody can give pods their labels, in a namespace of their own."""
    place = {"matchLabels": {"kubernetes.io/metadata.name": namespace}} if namespace else {}
    return {"namespaceSelector": place, "podSelector": {"matchLabels": {labels.NAME: "airflow-operator"}}}


def _door(ports: Iterable[int], peers: list[Any] | None, protocol: str = "TCP") -> dict[str, Any]:
    """A rule of ingress; without peers everybody may come."""
    made: dict[str, Any] = {"ports": [{"port": port, "protocol": protocol} for port in ports]}
    return made if peers is None else {**made, "from": peers}


def _policy(cluster: ValidatedCluster, name: str, pods: dict[str, str], ingress: list[dict[str, Any]]) -> Manifest:
    spec = {"podSelector": {"matchLabels": pods}, "policyTypes": ["Ingress"], **({"ingress": ingress} if ingress else {})}
    return meta.child(cluster, "networking.k8s.io/v1", "NetworkPolicy", name, spec=spec)
