"""Metadata of children, composed in one place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from airflow_operator.domain import labels, names
from airflow_operator.domain.hashing import digest
from airflow_operator.domain.manifest import Manifest
from airflow_operator.reconcile.validate import ValidatedCluster


def child(cluster: ValidatedCluster, api_version: str, kind: str, component: str, **content: Any) -> Manifest:
    """A child that goes with its cluster: named after it, labelled, owned by it."""
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {
            "name": names.child(cluster.name, component),
            "namespace": cluster.namespace,
            "labels": labels.of_cluster(cluster.name, component),
            "ownerReferences": [cluster.owner],
        },
        **content,
    }


def config_map(cluster: ValidatedCluster, component: str, data: Mapping[str, str]) -> Manifest:
    """An immutable ConfigMap named by its content.

    A mutable one reaches running pods and new task pods at different moments, which was seen to fail tasks.
    """
    made = child(cluster, "v1", "ConfigMap", component, immutable=True, data=dict(data))
    made["metadata"]["name"] = names.child(cluster.name, f"{component}-{digest(dict(data))}")
    return made


def once(build: Callable[[ValidatedCluster], Manifest]) -> Callable[[ValidatedCluster], Manifest]:
    """Build once for each look at a cluster: whoever mounts what is named by its content asks for it anew."""

    @wraps(build)
    def built(cluster: ValidatedCluster) -> Manifest:
        name = f"{build.__module__}.{build.__qualname__}"
        if name not in cluster.built:
            cluster.built[name] = build(cluster)
        made: Manifest = cluster.built[name]
        return made

    return built


def name_of(manifest: Manifest) -> str:
    """The name of a manifest."""
    name: str = manifest["metadata"]["name"]
    return name
