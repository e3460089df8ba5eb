"""A canary in every Secret that the schema lets a resource name. The places come from the schema itself: a new one cannot be forgotten."""

from __future__ import annotations

import base64
import subprocess
from collections.abc import Iterator, Mapping
from typing import Any

from airflow_operator.api.registry import RESOURCES
from airflow_operator.crdgen.emit import definition
from airflow_operator.domain.manifest import Manifest
from tests.integration.scenario import API_VERSION, base, cluster

CANARY = "canary-of-"

_REFERENCE = {"name", "key", "optional"}
"""Fields of whatever names a Secret or ConfigMap in the schema."""


def places() -> set[str]:
    """`KIND.spec...` of every field of the schema that names a Secret."""
    found: set[str] = set()
    for resource in RESOURCES:
        (version,) = definition(resource)["spec"]["versions"]
        schema = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
        found.update(_in_schema(schema, f"{resource.kind.kind}.spec"))
    return found


def _in_schema(schema: Mapping[str, Any], path: str) -> Iterator[str]:
    fields = schema.get("properties", {})
    speaks_of_config_map = "configmap" in path.rpartition(".")[2].lower()
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        # A part of a pod, into which the schema does not look.
        return
    if "name" in fields and set(fields) <= _REFERENCE and not speaks_of_config_map:
        yield path
        return
    for name, field in fields.items():
        if name == "secretName":
            yield f"{path}.secretName"
        yield from _in_schema(field, f"{path}.{name}")
    for inner, mark in (("items", "[]"), ("additionalProperties", ".*")):
        if isinstance(schema.get(inner), Mapping):
            yield from _in_schema(schema[inner], path + mark)


def named(manifest: Manifest) -> Iterator[tuple[str, str, str]]:
    """(place, name, key) of every Secret that a resource names; the key is empty where all of it is meant."""
    for place in places():
        kind, _, path = place.partition(".")
        if kind == manifest["kind"]:
            for found in _at(manifest, path.split(".")):
                yield place, *((found, "") if isinstance(found, str) else (found["name"], found.get("key", "")))


def _at(part: Any, path: list[str]) -> Iterator[Any]:
    if not path:
        yield part
        return
    name, rest = path[0], path[1:]
    value = part.get(name.removesuffix("[]")) if isinstance(part, Mapping) else None
    for entry in value if name.endswith("[]") and value else [] if value is None else [value]:
        yield from _at(entry, rest)


def values(*names: str) -> dict[str, str]:
    return {name: f"{CANARY}{name}" for name in names}


def certificate() -> str:
    """A certificate, with its key beside it as some keep them: the one may be told, the other not."""
    made = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=ca -keyout -"
    return subprocess.run(made.split(), check=True, capture_output=True, text=True, timeout=60).stdout


def fernet() -> str:
    return base64.urlsafe_b64encode(f"{CANARY}the-fernet-key-with-32bytes!!!!"[:32].encode()).decode()


def environment(prefix: str) -> dict[str, Any]:
    """A variable from a Secret, and a Secret of variables."""
    single = {"name": f"{prefix.upper()}_SINGLE", "valueFrom": {"secretKeyRef": {"name": f"{prefix}-single", "key": "value"}}}
    return {"env": [single], "envFrom": [{"secretRef": {"name": f"{prefix}-variables"}}]}


def git(**spec: Any) -> dict[str, Any]:
    return {"repo": "https://git.example/dags.git", "credentialsSecretRef": {"name": "git"}, **spec}


def pulled(name: str) -> dict[str, Any]:
    return {"pullSecrets": [{"name": name}]}


def file(name: str, key: str) -> dict[str, Any]:
    return {"secretKeyRef": {"name": name, "key": key}}


def external(name: str, **spec: Any) -> Manifest:
    server = {"host": "db.example", "tls": {"mode": "verify-full", "ca": file("authority", "ca.crt")}, **spec}
    made: dict[str, Any] = {
        "database": {"external": server},
        "jobs": {"image": {"repository": "operator", "tag": "1", **pulled("pull-jobs")}},
    }
    return {"apiVersion": API_VERSION, "kind": "AirflowBase", "metadata": {"name": name}, "spec": made}


OIDC = {"issuerURL": "https://login.example", "clientSecretRef": {"name": "oidc"}}
REMOTE = {"url": "s3://logs/x", "connectionId": "logs", "connectionSecretRef": {"name": "remote", "key": "uri"}}
COMPONENTS = ("apiServer", "scheduler", "dagProcessor", "triggerer")

BASES: tuple[Manifest, ...] = (
    base("platform", database={"postgres": {"image": pulled("pull-postgres")}}),
    external("managed", adminSecretRef={"name": "database-admin"}),
    external("others", provisioning="None"),
)

CLUSTERS: tuple[Manifest, ...] = (
    cluster(
        "everything",
        "managed",
        **environment("all"),
        **{name: environment(name.lower()) for name in (*COMPONENTS, "taskPods")},
        image=pulled("pull-airflow"),
        gitSync={"image": pulled("pull-git-sync")},
        keys={"fernet": {"name": "own-keys"}, "apiSecret": {"name": "own-keys"}, "jwt": {"name": "own-keys"}},
        dags=[{"git": git(ca=file("git-ca", "ca.crt"))}, {"name": "bundle", "git": git(delivery="Bundle")}],
        auth={"fab": {"admin": {"secretRef": {"name": "admin"}}, "oidc": OIDC}},
        logs={"remote": REMOTE},
        metrics={"image": pulled("pull-statsd"), "mappingsRef": file("mappings", "mappings.yaml")},
        trustedCA=file("trusted", "ca.crt"),
        localSettingsRef=file("local-settings", "settings.py"),
        externalURL="https://airflow.example.com",
        ingress={"tls": {"secretName": "certificate"}},
        pods={"volumes": [{"name": "extra", "secret": {"secretName": "volume"}}]},
    ),
    cluster("second", "others", database={"name": "x", "credentialsSecretRef": {"name": "own-database"}},
            auth={"fab": {"webserverConfigRef": file("webserver", "webserver_config.py")}}),
    cluster("older", "platform", version="2.11.2", keys={"webserverSecret": {"name": "own-keys"}}),
)  # fmt: skip
"""Resources that name a Secret in every place."""

SECRETS: dict[str, dict[str, str]] = {
    "git": values("username", "password"),
    "admin": values("username", "password"),
    "oidc": values("client-id", "client-secret"),
    "database-admin": values("username", "password"),
    "own-database": values("username", "password"),
    "own-keys": {"fernet-key": fernet(), **values("api-secret-key", "jwt-secret", "webserver-secret-key")},
    "volume": values("in-a-volume"),
}
"""Secrets with more than the keys that are named, or of a certain form; the others have a canary under the key that is named."""


def secrets() -> dict[str, dict[str, str]]:
    """Data of every Secret that the resources name, by its name."""
    made = {name: dict(data) for name, data in SECRETS.items()}
    for manifest in (*BASES, *CLUSTERS):
        for _, name, key in named(manifest):
            if name in SECRETS:
                continue
            data = made.setdefault(name, {} if key else values(f"{name.upper().replace('-', '_')}_X"))
            if key:
                data[key] = certificate() if key == "ca.crt" else f"{CANARY}{name}"
    return made
