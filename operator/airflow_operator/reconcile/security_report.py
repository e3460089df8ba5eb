"""What the pods of rendered manifests hold and may do: for whoever has to approve them."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import yaml

from airflow_operator.domain import labels, permissions
from airflow_operator.domain.manifest import Live, Manifest, dig, key_of
from airflow_operator.domain.permissions import Rule
from airflow_operator.domain.pod_security import Level, containers, level
from airflow_operator.reconcile.build.config import CONFIG_FILE, POD_TEMPLATE_FILE

ROLES: Mapping[str, Sequence[Rule]] = {
    permissions.EXECUTOR_ROLE: permissions.EXECUTOR,
    permissions.LOG_READER_ROLE: permissions.LOG_READER,
    **{permissions.LAUNCHER_ROLES[name]: rules for name, rules in permissions.LAUNCHERS.items()},
}
"""The ClusterRoles that pods can be bound to, with their rules."""

KUBERNETES = "the Kubernetes API"
_URL = re.compile(r"[a-z][a-z0-9+.-]*://[^\s\"'<>\\,]+")
_SCP = re.compile(r"^[^\s/:@]+@([^\s/:@]+):")


@dataclass(frozen=True)
class PodFacts:
    """One kind of pod."""

    title: str
    """What makes the pod."""
    level: Level
    faults: tuple[str, ...]
    """What keeps it from the restricted level."""
    images: tuple[str, ...]
    account: str
    """Its ServiceAccount; empty: the namespace's `default`."""
    brought: bool
    """The account is none of those that are made here: what else it may do is not known."""
    token: bool
    rights: tuple[str, ...]
    secrets: Mapping[str, tuple[str, ...]]
    """Secret -> what of it the pod has, and how."""
    reaches: tuple[str, ...]
    """Addresses that its settings name."""


def pods_of(manifests: Sequence[Manifest]) -> list[PodFacts]:
    """The facts of every pod that the manifests would start, those of tasks included."""
    return [_facts(title, manifest, pod, manifests) for title, manifest, pod in templates(manifests)]


def templates(manifests: Iterable[Manifest]) -> Iterator[tuple[str, Manifest, Live]]:
    """(title, what makes the pod, pod) of every pod that the manifests would start."""
    for manifest in manifests:
        spec = dig(manifest, "spec", default={})
        if template := dig(spec, "jobTemplate", "spec", "template") or spec.get("template"):
            yield str(key_of(manifest)), manifest, template
        elif manifest["kind"] == "ConfigMap" and POD_TEMPLATE_FILE in manifest["data"]:
            whose = f"{manifest['metadata']['namespace']}/{manifest['metadata']['labels'][labels.CLUSTER]}"
            for file, text in manifest["data"].items():
                yield f"Task pods of {whose} ({file})", manifest, yaml.safe_load(text)


def _facts(title: str, maker: Manifest, template: Live, manifests: Sequence[Manifest]) -> PodFacts:
    pod: Mapping[str, Any] = template["spec"]
    namespace = maker["metadata"]["namespace"]
    account = str(pod.get("serviceAccountName") or "")
    made = any(item["kind"] == "ServiceAccount" and item["metadata"]["name"] == account for item in manifests)
    token = pod.get("automountServiceAccountToken") is not False or '"serviceAccountToken":' in _text(pod)
    strictest, faults = level(pod)
    return PodFacts(
        title=title,
        level=strictest,
        faults=faults,
        images=tuple(dict.fromkeys(str(item["image"]) for item in containers(pod))),
        account=account,
        brought=bool(account) and not made,
        token=token,
        rights=tuple(_rights(namespace, account, manifests)),
        secrets=_secrets(pod),
        reaches=tuple(sorted({*_addresses(namespace, pod, manifests), *([KUBERNETES] if token else [])})),
    )


def _rights(namespace: str, account: str, manifests: Iterable[Manifest]) -> list[str]:
    subject = {"kind": "ServiceAccount", "name": account, "namespace": namespace}
    found: dict[str, set[str]] = {}
    for binding in manifests:
        if binding["kind"] == "RoleBinding" and subject in binding["subjects"]:
            for rule in ROLES[binding["roleRef"]["name"]]:
                for resource in rule.resources:
                    found.setdefault(f"{resource}.{rule.group}" if rule.group else resource, set()).update(rule.verbs)
    return [f"{resource}: {', '.join(sorted(verbs))}" for resource, verbs in sorted(found.items())]


def _secrets(pod: Live) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for item in pod.get("imagePullSecrets") or ():
        found.setdefault(item["name"], []).append("to pull images")
    for item in containers(pod):
        for variable in item.get("env") or ():
            if ref := dig(variable, "valueFrom", "secretKeyRef"):
                found.setdefault(ref["name"], []).append(f"{ref['key']} as a variable")
        for source in item.get("envFrom") or ():
            if ref := source.get("secretRef"):
                found.setdefault(ref["name"], []).append("every key as a variable")
    for volume in pod.get("volumes") or ():
        for name, key in _within(volume):
            found.setdefault(name, []).append(f"{key} as a file" if key else "as files")
    return {name: tuple(dict.fromkeys(found[name])) for name in sorted(found)}


def _within(part: Any) -> Iterator[tuple[str, str]]:
    """(Secret, key) of what a volume, or a part of one, names; the key is empty where all of it is meant."""
    if isinstance(part, list):
        for item in part:
            yield from _within(item)
    elif isinstance(part, Mapping):
        for field, value in part.items():
            name = dig(value, "secretName") or (dig(value, "name") if field.lower().endswith(("secret", "secretref")) else None)
            if name:
                keys = [str(item["key"]) for item in value.get("items") or ()]
                yield from ((str(name), key) for key in keys or [""])
            yield from _within(value)


def _addresses(namespace: str, pod: Live, manifests: Iterable[Manifest]) -> Iterator[str]:
    """What the settings of a pod name: its variables, its airflow.cfg and login settings, and the Secrets that are made for it."""
    variables = [variable for item in containers(pod) for variable in item.get("env") or ()]
    plain = {variable["name"]: str(variable.get("value", "")) for variable in variables}
    if host := plain.get("PGHOST"):
        yield f"postgresql://{host}:{plain.get('PGPORT', '5432')}"
    texts = list(plain.values())
    used = _text(pod)
    for manifest in manifests:
        meta = manifest["metadata"]
        if meta.get("namespace") != namespace or f'"{meta["name"]}"' not in used:
            continue
        if manifest["kind"] == "Secret":
            texts += [base64.b64decode(value).decode(errors="replace") for value in manifest.get("data", {}).values()]
        if manifest["kind"] == "ConfigMap":
            texts += [_settings(file, text) for file, text in manifest["data"].items() if not file.endswith(".py")]
    for text in texts:
        yield from hosts(text)


def _settings(file: str, text: str) -> str:
    if file != CONFIG_FILE:
        return text
    # Its own address is not one that it reaches.
    text = re.sub(r"(?m)^base_url = .*$", "", text)
    return re.sub(r"(?m)^statsd_host = (\S+)$", r"statsd://\1", text)


def hosts(text: str) -> Iterator[str]:
    """The addresses in a text, without user, password and path."""
    if found := _SCP.match(text):
        yield f"ssh://{found[1]}"
    for url in _URL.findall(text):
        parts = urlsplit(url)
        place = parts.netloc.rpartition("@")[2]
        if place:
            # What follows a + is the driver's.
            yield f"{parts.scheme.partition('+')[0]}://{place}"


def _text(part: Any) -> str:
    """A part of a manifest as text in which every name stands between quotes."""
    return json.dumps(part)
