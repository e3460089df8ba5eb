"""The leaves of both specs, and specs that hold a certain one: made from the schema, and where that does not tell enough from tables.

A new field needs nothing here where its values can be guessed from the schema. Otherwise one line in one of the tables:
`VALUES` (two values of it), `BESIDE` (what must stand beside it in its object), or `AROUND` (what must stand elsewhere in the spec).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

from airflow_operator.api.registry import BASES, CLUSTERS
from airflow_operator.crdgen.structural import INT_OR_STRING, PRESERVE, Schema, structural_schema
from airflow_operator.domain.errors import InvalidSpec
from airflow_operator.reconcile.offline import render
from tests.unit.strategies import resource

SPECS = {"AirflowBase": structural_schema(BASES.spec), "AirflowCluster": structural_schema(CLUSTERS.spec)}

START: Mapping[str, Any] = {
    "AirflowBase": {"database": {"postgres": {}}},
    "AirflowCluster": {"baseRef": {"name": "b"}, "version": "3.3.2", "dags": [{"git": {"repo": "https://git.example/a.git"}}]},
}
"""What a leaf is added to."""

VALUES: Mapping[str, tuple[Any, ...]] = {
    "AirflowCluster.auth.manager.className": ("a.b.C", "a.b.D"),
    "AirflowCluster.executors": (["KubernetesExecutor"], ["LocalExecutor", "KubernetesExecutor"]),
    "AirflowCluster.gateway.hostnames": (["a.example"], ["b.example"]),
    "AirflowCluster.ingress.host": ("a.example", "b.example"),
    "AirflowCluster.logs.remote.url": ("s3://a", "gs://b"),
    "AirflowCluster.logs.retention": ("1h", "720h"),
    "AirflowCluster.networkPolicy.apiServerFrom": ([{"ipBlock": {"cidr": "10.0.0.0/8"}}], [{"ipBlock": {"cidr": "10.0.0.0/9"}}]),
    "AirflowCluster.config": ({"core": {"parallelism": 1}}, {"core": {"parallelism": 2}}),
}
"""Values of a leaf where the schema does not tell any."""

BESIDE: Mapping[str, Mapping[str, Any]] = {
    "logs.retention": {"volume": {"size": "1Gi"}},
    "logs.remote.connectionId": {"url": "s3://a"},
    "remote.connectionSecretRef.name": {"key": "a"},
    "remote.connectionSecretRef.key": {"name": "a"},
    "logs.volume.storageClassName": {"size": "1Gi"},
    "envFrom[].prefix": {"configMapRef": {"name": "a"}},
    "fieldRef.apiVersion": {"fieldPath": "metadata.name"},
    "volumeMounts": {"volumes": [{"name": "a", "emptyDir": {}}]},
    "matchExpressions[].key": {"operator": "Exists"},
    "matchExpressions[].values": {"operator": "In"},
    "git.knownHosts": {"repo": "ssh://git@git.example/a.git", "credentialsSecretRef": {"name": "a"}},
}
"""What has to stand in the same object for a leaf to be valid or to matter, by the end of its path."""

AROUND: Mapping[str, Mapping[str, Any]] = {
    "AirflowBase.allowedClusters.namespaces.selector": {"allowedClusters": {"namespaces": {"from": "Selector"}}},
    "AirflowCluster.auth.fab.oidc": {"auth": {"fab": {"oidc": {"issuerURL": "https://a.example", "clientSecretRef": {"name": "a"}}}}},
    "AirflowCluster.ingress": {"externalURL": "https://a.example"},
    "AirflowCluster.gateway": {"externalURL": "https://a.example"},
    "AirflowCluster.logs.remote.connectionSecretRef": {"logs": {"remote": {"url": "s3://a", "connectionId": "a"}}},
    "AirflowCluster.dags[].volume": {"dags": [{"volume": {"claimName": "a"}}]},
    "AirflowCluster.dags[].image": {"dags": [{"image": {"path": "/c"}}]},
    "AirflowBase.database.external": {"database": {"postgres": None, "external": {"host": "a", "adminSecretRef": {"name": "a"}}}},
    "AirflowBase.database.external.tls.ca": {"database": {"external": {"tls": {"mode": "verify-full"}}}},
    "AirflowCluster.keys.webserverSecret": {"version": "2.11.2"},
    "AirflowCluster.taskPods": {"executors": ["KubernetesExecutor"]},
}
"""What has to stand in the spec, by the start of a path."""


def leaves(path: str, schema: Schema) -> Iterator[tuple[str, Schema]]:
    """Every leaf: a scalar, a map, a list of scalars, and what the schema does not look into; `[]` is an entry of a list."""
    if "properties" in schema and not schema.get(PRESERVE):
        for name, field in schema["properties"].items():
            yield from leaves(f"{path}.{name}", field)
    elif "properties" in schema.get("items", {}) and not schema["items"].get(PRESERVE):
        yield from leaves(f"{path}[]", schema["items"])
    else:
        yield path, schema


LEAVES = {path: schema for kind, spec in SPECS.items() for path, schema in leaves(kind, spec) if len(schema.get("enum", (0, 0))) > 1}

TEXTS = (
    "a",
    "b",
    "1Gi",
    "2Gi",
    "30s",
    "1m",
    "https://a.example/a",
    "https://b.example/b",
    f"sha256:{'a' * 64}",
    f"sha256:{'b' * 64}",
    "/a",
    "/b",
    "metadata.name",
)


def candidates(schema: Schema) -> Iterator[Any]:
    """Values that a leaf may have, the likely ones first."""
    if "enum" in schema:
        yield from schema["enum"]
    elif schema.get(INT_OR_STRING):
        yield from ("1", "2", "1Gi", "2Gi")
    elif schema.get("type") == "boolean":
        yield from (True, False)
    elif schema.get("type") in ("integer", "number"):
        low = schema.get("minimum", 0)
        yield from (low, low + 1, low + 2, schema.get("maximum", 10))
    elif schema.get("type") == "array":
        yield from ([value] for value in candidates(schema["items"]))
    elif "additionalProperties" in schema:
        yield from ({"a": value} for value in candidates(schema["additionalProperties"]))
    elif schema.get("type") == "object":
        key = next(iter(schema.get("properties", {})), "a")
        yield from ({key: "/a"}, {key: "/b"}) if key == "mountPath" else ({key: "a"}, {key: "b"})
    else:
        yield from TEXTS


def completed(schema: Schema) -> Any:
    """The least that is valid by the schema."""
    if "properties" in schema and not schema.get(PRESERVE):
        return {name: completed(schema["properties"][name]) for name in schema.get("required", ())}
    return next(candidates(schema))


ABSENT = object()


def with_leaf(kind: str, path: str, value: Any, onto: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A spec with the leaf, `onto` another (None: the shortest); whatever is required beside it on the way is added."""
    made: dict[str, Any] = deepcopy(dict(START[kind] if onto is None else onto))
    for start, around in AROUND.items():
        if path.startswith(start):
            merge(made, deepcopy(around))
    here, schema = made, SPECS[kind]
    *parents, last = path.split(".")[1:]
    for step in parents:
        name, in_list = step.removesuffix("[]"), step.endswith("[]")
        schema = schema["properties"][name]
        if in_list:
            schema = schema["items"]
            # None stands for a field that is taken out.
            here[name] = here.get(name) or [completed(schema)]
            here = here[name][0]
        else:
            if here.get(name) is None:
                here[name] = completed(schema)
            here = here[name]
    for end, beside in BESIDE.items():
        if path.endswith(f".{end}"):
            here |= deepcopy(dict(beside))
    if value is ABSENT:
        here.pop(last, None)
    else:
        here[last] = value
    return made


def merge(into: dict[str, Any], more: Mapping[str, Any]) -> None:
    for key, value in more.items():
        if isinstance(value, Mapping) and isinstance(into.get(key), dict):
            merge(into[key], value)
        else:
            into[key] = value


def rendered(kind: str, spec: dict[str, Any]) -> str | None:
    """All manifests as text; None where the spec is refused."""
    specs = {**START, kind: spec}
    try:
        return json.dumps(render([resource(each, "b", "team", specs[each]) for each in specs]))
    except InvalidSpec:
        return None
