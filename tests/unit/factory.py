"""Small live objects and pictures of a cluster, as the API server would show them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow_operator.api import parse_cluster
from airflow_operator.domain import labels, names
from airflow_operator.domain.kinds import API_VERSION
from airflow_operator.domain.manifest import Live, Manifest
from airflow_operator.reconcile import keys
from airflow_operator.reconcile.offline import PLATFORM
from airflow_operator.reconcile.references import of_accounts, of_parts
from airflow_operator.reconcile.types import Health, SeenCluster
from airflow_operator.reconcile.validate import ValidatedCluster, validate

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
NAMESPACE = "team"
NAME = "demo"
BASE = "platform"
KEYS = keys.Keys(keys.generate())
IMAGE = "docker.io/apache/airflow:3.3.2"


def at(seconds: float) -> str:
    """A time so many seconds from now, as the API writes it."""
    return (NOW + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def spec(**fields: Any) -> dict[str, Any]:
    """A spec with these fields beside the two that must be set."""
    return {"baseRef": {"name": BASE}, "version": "3.3.2", "executors": ["KubernetesExecutor"], **fields}


def resource(**fields: Any) -> dict[str, Any]:
    """An AirflowCluster as it is read, without status."""
    meta = {"name": NAME, "namespace": NAMESPACE, "uid": "cluster-uid", "generation": 3}
    return {"apiVersion": API_VERSION, "kind": "AirflowCluster", "metadata": meta, "spec": spec(**fields)}


def base(*, ready: str = "True", generation: int = 1, observed: int = 1, **meta: Any) -> dict[str, Any]:
    """An AirflowBase whose server is ready unless said otherwise."""
    condition = {"type": "Ready", "status": ready, "observedGeneration": observed, "message": "The server starts."}
    return {
        "apiVersion": API_VERSION,
        "kind": "AirflowBase",
        "metadata": {"name": BASE, "namespace": NAMESPACE, "uid": "base-uid", "generation": generation, **meta},
        "spec": {"database": {"postgres": {}}},
        "status": {"conditions": [condition]},
    }


CLAIM = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": names.postgres_claim(BASE), "namespace": NAMESPACE, "uid": "claim-uid"},
}


def seen(
    *,
    children: Iterable[Live] = (),
    pods: Iterable[Live] = (),
    provisioning: Iterable[Live] = (),
    references: Mapping[tuple[str, str], Live | None] | None = None,
    base_live: Live | str | None = "ready",
    status: Mapping[str, Any] | None = None,
    health: Health | None = None,
    commits: Mapping[str, str] | None = None,
    fields: Mapping[str, Any] | None = None,
    first: bool = False,
) -> SeenCluster:
    """One picture; `fields` are those of the spec."""
    live = resource(**(fields or {}))
    return SeenCluster(
        resource={**live, "status": status} if status else live,
        namespace_uid="namespace-uid",
        base=base() if base_live == "ready" else base_live,
        children=tuple(children),
        pods=tuple(pods),
        provisioning=tuple(provisioning),
        base_claims=(CLAIM,),
        references=references or {},
        health=health or Health(),
        commits=commits or {},
        now=NOW,
        first=first,
    )


def cluster(**fields: Any) -> ValidatedCluster:
    """A cluster with this spec, on a base that is ready; the ServiceAccounts are there, and what parts of pods name."""
    references = fields.pop("references", None) or {}
    parsed = parse_cluster(resource(**fields)).spec
    named = {
        (item.kind, item.name): {"kind": item.kind, "metadata": {"name": item.name}} for item in (*of_accounts(parsed), *of_parts(parsed))
    }
    return validate(seen(references={**named, **references}, fields=fields), PLATFORM)


def secret(name: str, **data: str) -> dict[str, Any]:
    """A Secret."""
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": NAMESPACE}, "data": keys.encode(data)}


def job_pod(job: Live, *, message: str = "", waiting: Mapping[str, str] | None = None, created: float = 0, **status: Any) -> dict[str, Any]:
    """The pod of a Job: ended with a termination message, or waiting."""
    marks = {"batch.kubernetes.io/job-name": job["metadata"]["name"], "batch.kubernetes.io/controller-uid": job["metadata"]["uid"]}
    state = {"waiting": dict(waiting)} if waiting else {"terminated": {"message": message, "exitCode": 0}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"{job['metadata']['name']}-x",
            "namespace": job["metadata"]["namespace"],
            "labels": {**job["metadata"]["labels"], **marks},
            "creationTimestamp": at(created),
        },
        "status": {"containerStatuses": [{"name": "it", "state": state}], **status},
    }


def started(manifest: Manifest, uid: str = "", *, age: float = 5) -> dict[str, Any]:
    """A Job that was made and has not ended."""
    live = deepcopy(manifest)
    live["metadata"] = {**live["metadata"], "uid": uid or f"uid-of-{live['metadata']['name']}", "creationTimestamp": at(-age)}
    return live


def ended(
    manifest: Manifest, result: Mapping[str, Any] | None, uid: str = "", *, ago: float = 5, failed: bool = False
) -> list[dict[str, Any]]:
    """A Job that has ended, and its pod with the result; without one the pod is gone."""
    live = started(manifest, uid)
    condition = {"type": "Failed" if failed else "Complete", "status": "True", "lastTransitionTime": at(-ago), "message": "It failed."}
    live["status"] = {"conditions": [condition]}
    return [live] if result is None else [live, job_pod(live, message=json.dumps(result), created=-ago)]


def live(manifest: Manifest, *, ready: int | None = None, **status: Any) -> dict[str, Any]:
    """A workload as the API server shows it after it was applied: settled unless said otherwise."""
    found = deepcopy(manifest)
    found["metadata"] = {**found["metadata"], "uid": f"uid-of-{found['metadata']['name']}", "generation": 1}
    if found["kind"] in ("Deployment", "StatefulSet"):
        count = found["spec"]["replicas"]
        up = count if ready is None else ready
        found["status"] = {
            "observedGeneration": 1,
            "replicas": count,
            "updatedReplicas": count,
            "readyReplicas": up,
            "availableReplicas": up,
            **({"unavailableReplicas": count - up} if up < count else {}),
            **status,
        }
    return found


def pod(
    component: str, name: str = "", *containers: Mapping[str, Any], init: Iterable[Mapping[str, Any]] = (), **meta: Any
) -> dict[str, Any]:
    """A pod of a component with the statuses of its containers."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name or f"{NAME}-{component}-0",
            "namespace": NAMESPACE,
            "labels": labels.of_cluster(NAME, component),
            **meta,
        },
        "status": {"containerStatuses": [dict(item) for item in containers], "initContainerStatuses": [dict(item) for item in init]},
    }
