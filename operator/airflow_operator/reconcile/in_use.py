"""What pods and their makers still refer to, so that nothing is taken from under them during a change."""

from __future__ import annotations

import re

from airflow_operator.domain import labels
from airflow_operator.domain.manifest import Live, ObjectKey, dig, key_of
from airflow_operator.domain.volumes import config_maps_of
from airflow_operator.reconcile import evidence
from airflow_operator.reconcile.types import SeenCluster

WORKLOADS = ("Deployment", "StatefulSet")


def objects_in_use(seen: SeenCluster) -> set[ObjectKey]:
    """ConfigMaps and ServiceAccounts that a pod, or a workload that makes pods, still refers to."""
    used = set()
    for _, spec in _running(seen):
        used |= {("ConfigMap", name) for volume in dig(spec, "volumes", default=[]) for name in config_maps_of(volume)}
        used.add(("ServiceAccount", dig(spec, "serviceAccountName")))
    found = {
        (child["kind"], child["metadata"]["name"]): child for child in seen.children if child["kind"] in ("ConfigMap", "ServiceAccount")
    }
    # The pod template of tasks is text, and names others.
    texts = [text for key in used & set(found) for text in dig(found[key], "data", default={}).values()]
    return {key_of(child) for key, child in found.items() if key in used or any(_is_named(*key, text) for text in texts)}


def _is_named(kind: str, name: str, text: str) -> bool:
    """A ConfigMap's name is like no other; an account may be called like a Service, whose address stands in airflow.cfg."""
    if kind == "ServiceAccount":
        return re.search(rf"serviceAccountName: ['\"]?{re.escape(name)}['\"]?$", text, re.MULTILINE) is not None
    return name in text


def accounts_in_use(seen: SeenCluster) -> dict[str, set[str]]:
    """Component -> ServiceAccounts that its pods run with, those too that are replaced only later."""
    found: dict[str, set[str]] = {}
    for component, spec in _running(seen):
        if account := dig(spec, "serviceAccountName"):
            found.setdefault(component, set()).add(account)
    return found


def _running(seen: SeenCluster) -> list[tuple[str, Live]]:
    """(component, spec) of every pod and of what makes pods; those that ended use nothing any more."""
    makers = [child for child in seen.children if child["kind"] in WORKLOADS or (child["kind"] == "Job" and not evidence.ended(child))]
    pods = [pod for pod in seen.pods if dig(pod, "status", "phase") not in ("Succeeded", "Failed")]
    specs = [
        *((maker, dig(maker, "spec", "template", "spec", default={})) for maker in makers),
        *((pod, pod.get("spec", {})) for pod in pods),
    ]
    return [(dig(item, "metadata", "labels", labels.COMPONENT, default=""), spec) for item, spec in specs]
