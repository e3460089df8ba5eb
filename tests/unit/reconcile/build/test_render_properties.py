"""What holds for the manifests of every valid spec."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from airflow_operator.domain import names
from airflow_operator.domain.manifest import key_of
from airflow_operator.domain.pod_security import containers, violations
from airflow_operator.reconcile.offline import render
from tests.golden.rendering import pod_templates
from tests.golden.schemas import NEWEST, faults
from tests.unit.strategies import CLUSTER_NAME, CLUSTER_SPEC, NAMESPACE, deployments, resource

LABEL = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
thorough = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def twice(values: Iterator[Any] | list[Any]) -> list[Any]:
    return [value for value, count in Counter(values).items() if count > 1]


def duplicates(spec: dict[str, Any]) -> list[str]:
    """Names that stand twice where Kubernetes allows them once."""
    every = containers(spec)
    found = [f"container {name}" for name in twice([item["name"] for item in every])]
    found += [f"volume {name}" for name in twice([item["name"] for item in spec.get("volumes", [])])]
    found += [f"port {name}" for name in twice([port["name"] for item in every for port in item.get("ports", [])])]
    found += [f"port {number}" for number in twice([port["containerPort"] for item in every for port in item.get("ports", [])])]
    for item in every:
        found += [f"{item['name']}: env {name}" for name in twice([variable["name"] for variable in item.get("env", [])])]
        found += [f"{item['name']}: mount {path}" for path in twice([mount["mountPath"] for mount in item.get("volumeMounts", [])])]
    return found


def lost_mounts(spec: dict[str, Any], claims: set[str]) -> list[str]:
    """Mounts of volumes that the pod does not have."""
    volumes = {item["name"] for item in spec.get("volumes", [])} | claims
    return [mount["name"] for item in containers(spec) for mount in item.get("volumeMounts", []) if mount["name"] not in volumes]


def references(spec: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """(kind, name) of all that a pod needs to start."""
    if "serviceAccountName" in spec:
        yield "ServiceAccount", spec["serviceAccountName"]
    for volume in spec.get("volumes", []):
        for source in [volume, *volume.get("projected", {}).get("sources", [])]:
            yield from _of_source(source)
    variables = [variable for item in containers(spec) for variable in item.get("env", [])]
    for field, kind in (("secretKeyRef", "Secret"), ("configMapKeyRef", "ConfigMap")):
        for variable in variables:
            if found := variable.get("valueFrom", {}).get(field):
                yield kind, found["name"]


def _of_source(source: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if "configMap" in source:
        yield "ConfigMap", source["configMap"]["name"]
    if "secret" in source:
        yield "Secret", source["secret"].get("secretName") or source["secret"]["name"]
    if "persistentVolumeClaim" in source:
        yield "PersistentVolumeClaim", source["persistentVolumeClaim"]["claimName"]


def named_by(spec: Any) -> set[str]:
    """Every name that a spec mentions."""
    if isinstance(spec, dict):
        own = {spec["name"]} if isinstance(spec.get("name"), str) else set()
        own |= {spec["claimName"]} if "claimName" in spec else set()
        return own.union(*(named_by(value) for value in spec.values())) if spec else own
    return set().union(*(named_by(item) for item in spec)) if isinstance(spec, list) else set()


def generated_by_operator(cluster: dict[str, Any], base: dict[str, Any]) -> set[tuple[str, str]]:
    """What is created once and therefore never rendered."""
    name, namespace, owner = cluster["metadata"]["name"], cluster["metadata"]["namespace"], base["metadata"]["name"]
    made = {names.keys(name), names.keys_copy(namespace, name), names.admin(name), names.postgres(owner)}
    return {("Secret", made_name) for made_name in made}


@thorough
@given(deployments())
def test_every_pod_is_sound(documents):
    manifests = render(documents)
    assert twice([key_of(manifest) for manifest in manifests]) == []
    base, cluster = documents
    known = {(manifest["kind"], manifest["metadata"]["name"]) for manifest in manifests} | generated_by_operator(cluster, base)
    named = named_by(cluster["spec"])
    templates = {f"{m['kind']} {m['metadata']['name']}": m.get("spec", {}).get("volumeClaimTemplates", []) for m in manifests}
    for title, pod in pod_templates(manifests).items():
        spec = pod["spec"]
        assert (title, duplicates(spec)) == (title, [])
        assert (title, lost_mounts(spec, {claim["metadata"]["name"] for claim in templates.get(title, [])})) == (title, [])
        # What the base names is beside the base alone.
        there = named_by(base["spec"]) if "-provision-" in title or "-probe-" in title else named
        assert (title, [need for need in references(spec) if need not in known and need[1] not in there]) == (title, [])
        # What the user adds to task pods is the user's own.
        ours = {**spec, "containers": [item for item in spec["containers"] if item["name"] != "helper"]}
        assert (title, violations(ours)) == (title, [])
        assert all({"cpu", "memory"} <= set(item["resources"]["requests"]) for item in containers(ours)), title


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(deployments())
def test_kubernetes_takes_what_is_rendered(documents):
    assert [fault for manifest in render(documents) for fault in faults(manifest, NEWEST)] == []


@thorough
@given(deployments())
def test_names_fit_and_selectors_find_their_own_pods_alone(documents):
    manifests = render(documents)
    pods = {title: pod["metadata"]["labels"] for title, pod in pod_templates(manifests).items()}
    for manifest in manifests:
        name = manifest["metadata"]["name"]
        assert LABEL.fullmatch(name), name
        assert len(name) <= names.LIMIT, name
        assert all(len(value) <= 63 for value in manifest["metadata"]["labels"].values())
        if manifest["kind"] in ("Deployment", "StatefulSet"):
            selector = manifest["spec"]["selector"]["matchLabels"]
            assert {title for title, labels in pods.items() if selector.items() <= labels.items()} == {f"{manifest['kind']} {name}"}


@thorough
@given(deployments())
def test_rendering_is_deterministic_and_changes_nothing(documents):
    before = deepcopy(documents)
    first, second = render(documents), render(deepcopy(documents))
    assert first == second
    assert documents == before
    assert json.dumps(first) == json.dumps(second)


@thorough
@given(CLUSTER_SPEC, CLUSTER_NAME, CLUSTER_NAME, NAMESPACE)
def test_two_clusters_share_nothing(spec, one, other, namespace):
    assume(one != other)
    made = [render([resource("AirflowCluster", name, namespace, spec)]) for name in (one, other)]
    keys = [{key_of(manifest) for manifest in manifests} for manifests in made]
    assert keys[0] & keys[1] == set()


@given(
    st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?", fullmatch=True),
    st.sampled_from(["keys", "api-server", "pod-template-0123456789"]),
)
def test_child_names_are_dns_labels_whatever_the_owner_is_called(owner, suffix):
    name = names.child(owner, suffix)
    assert LABEL.fullmatch(name)
    assert len(name.encode()) <= names.LIMIT
    assert name.endswith(f"-{suffix}")
    assert name == names.child(owner, suffix)
