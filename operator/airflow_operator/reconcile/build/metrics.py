"""Airflow's metrics: the StatsD exporter that they are sent to and that Prometheus asks, and the settings of airflow.cfg."""

from __future__ import annotations

from functools import cache
from typing import Any

import yaml

from airflow_operator.airflow import statsd
from airflow_operator.airflow.config import Config
from airflow_operator.api.metrics import Metrics
from airflow_operator.domain import labels, names
from airflow_operator.domain.hashing import digest
from airflow_operator.domain.manifest import Manifest
from airflow_operator.reconcile import references
from airflow_operator.reconcile.build import custom, files, meta, pods, rbac
from airflow_operator.reconcile.keys import Keys
from airflow_operator.reconcile.validate import ValidatedCluster

COMPONENT = names.STATSD
FIELD = "metrics"
UID = 65534
"""User of the exporter's image."""

STATSD_PORT = 9125
METRICS_PORT = 9102
METRICS_PATH = "/metrics"
MAPPINGS_DIR = "/etc/statsd"
MAPPINGS_FILE = "mappings.yaml"


def defaults(cluster: ValidatedCluster) -> Config:
    """Options that `config` may say otherwise."""
    return {"metrics": dict(cluster.release.metrics)} if cluster.metrics and cluster.release.metrics else {}


def owned(cluster: ValidatedCluster) -> Config:
    """Options that follow from spec.metrics."""
    if cluster.metrics is None:
        return {}
    host = f"{names.statsd(cluster.name)}.{cluster.namespace}.svc"
    return {"metrics": {"statsd_on": "True", "statsd_host": host, "statsd_port": str(STATSD_PORT), "statsd_prefix": statsd.PREFIX}}


def objects(cluster: ValidatedCluster, keys: Keys) -> list[Manifest]:
    """The exporter, its Service and its mapping; nothing where the spec asks for none."""
    settings = cluster.metrics
    if settings is None:
        return []
    mapping = [] if settings.mappings_ref else [_mappings(cluster)]
    return [*mapping, _service(cluster), _deployment(cluster, settings, keys)]


def _mappings(cluster: ValidatedCluster) -> Manifest:
    return meta.config_map(cluster, COMPONENT, {MAPPINGS_FILE: _mapping_text()})


@cache
def _mapping_text() -> str:
    # A regular expression stays on its line.
    return yaml.safe_dump(statsd.mapping(), sort_keys=False, width=1000)


def _service(cluster: ValidatedCluster) -> Manifest:
    ports = [
        {"name": "statsd", "port": STATSD_PORT, "targetPort": "statsd", "protocol": "UDP"},
        {"name": "metrics", "port": METRICS_PORT, "targetPort": "metrics", "protocol": "TCP"},
    ]
    spec = {"type": "ClusterIP", "selector": labels.selector(cluster.name, COMPONENT), "ports": ports}
    made = meta.child(cluster, "v1", "Service", COMPONENT, spec=spec)
    # What Prometheus' usual scrape configuration of Services looks for.
    made["metadata"]["annotations"] = {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": str(METRICS_PORT),
        "prometheus.io/path": METRICS_PATH,
    }
    return made


def _deployment(cluster: ValidatedCluster, settings: Metrics, keys: Keys) -> Manifest:
    template = custom.customized(_template(cluster, settings, keys), COMPONENT, custom.layers(cluster, FIELD, settings))
    spec = {
        # Each would hold a part of the counters, and another value of every gauge.
        "replicas": 1,
        "selector": {"matchLabels": labels.selector(cluster.name, COMPONENT)},
        # A mapping that the exporter refuses must not have cost the one that works.
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
        "template": template,
    }
    made = meta.child(cluster, "apps/v1", "Deployment", COMPONENT, spec=spec)
    made["metadata"]["annotations"] = {labels.TEMPLATE: digest(template)}
    return made


def _template(cluster: ValidatedCluster, settings: Metrics, keys: Keys) -> Manifest:
    common = cluster.spec.pods
    spec: dict[str, Any] = {
        "serviceAccountName": rbac.account_name(cluster, COMPONENT),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": pods.security(UID, UID, large_volumes=False),
        "containers": [_container(cluster, settings)],
        "volumes": [_volume(cluster, settings)],
        **pods.pull_secrets(settings.image),
        **pods.scheduling(common, settings),
    }
    marks = {**pods.merged_maps(common.labels, settings.labels), **labels.of_cluster(cluster.name, COMPONENT)}
    notes = pods.merged_maps(common.annotations, settings.annotations)
    if settings.mappings_ref:
        notes[labels.CHECKSUM] = keys.checksum([cluster.referenced_data(references.of_metrics(cluster.spec))])
    return pods.pod(spec, marks, notes)


def _container(cluster: ValidatedCluster, settings: Metrics) -> dict[str, Any]:
    def probe(path: str, **timing: int) -> dict[str, Any]:
        return {"httpGet": {"path": path, "port": METRICS_PORT}, **timing}

    return {
        "name": COMPONENT,
        "image": pods.image(settings.image, cluster.platform.statsd_exporter_image),
        "imagePullPolicy": settings.image.pull_policy,
        "args": [
            f"--statsd.mapping-config={MAPPINGS_DIR}/{MAPPINGS_FILE}",
            f"--statsd.listen-udp=:{STATSD_PORT}",
            # Airflow sends by UDP alone.
            "--statsd.listen-tcp=",
            f"--web.listen-address=:{METRICS_PORT}",
        ],
        "ports": [
            {"name": "statsd", "containerPort": STATSD_PORT, "protocol": "UDP"},
            {"name": "metrics", "containerPort": METRICS_PORT, "protocol": "TCP"},
        ],
        "readinessProbe": probe("/-/ready", periodSeconds=5, timeoutSeconds=5, failureThreshold=3),
        "livenessProbe": probe("/-/healthy", periodSeconds=20, timeoutSeconds=10, failureThreshold=5),
        "resources": pods.resources(COMPONENT, settings.resources),
        "securityContext": {**pods.container_security(), "readOnlyRootFilesystem": True},
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [{"name": "mappings", "mountPath": MAPPINGS_DIR, "readOnly": True}],
    }


def _volume(cluster: ValidatedCluster, settings: Metrics) -> dict[str, Any]:
    if settings.mappings_ref:
        return files.volume("mappings", settings.mappings_ref, MAPPINGS_FILE)
    return pods.config_map_volume("mappings", meta.name_of(_mappings(cluster)))
