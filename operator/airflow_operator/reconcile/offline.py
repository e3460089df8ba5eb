"""Every manifest of a resource without a cluster: for `render`, for reviews and for golden tests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from airflow_operator.api import AirflowBaseSpec, parse_base, parse_cluster
from airflow_operator.domain import names
from airflow_operator.domain.manifest import Live, Manifest, dig
from airflow_operator.reconcile import keys, plan, references
from airflow_operator.reconcile.base_access import BaseAccess, server_of
from airflow_operator.reconcile.build import jobs, postgres
from airflow_operator.reconcile.build.probe import probe
from airflow_operator.reconcile.build.provision import database_job
from airflow_operator.reconcile.keys import Keys
from airflow_operator.reconcile.references import Reference
from airflow_operator.reconcile.types import Platform
from airflow_operator.reconcile.validate import ValidatedCluster, release_as_run

UID = "00000000-0000-0000-0000-000000000000"
PLATFORM = Platform(
    "ghcr.io/airflow-operator/airflow-operator:0.1.0", "http://airflow-operator.airflow-operator.svc:8090", "airflow-operator"
)

STAND_IN = Keys(
    {
        keys.FERNET: "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        keys.API_SECRET: "0" * 64,
        # A private key that is a key in form only: 32 bytes of zero.
        keys.JWT_PRIVATE: f"-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEI{'A' * 43}\n-----END PRIVATE KEY-----\n",
        keys.CHECKSUM: "0" * 64,
        keys.DATABASE_PASSWORD: "generated-in-the-cluster",
        keys.KEY_ID: UID,
    }
)
"""In the place of the keys that the operator generates in the cluster."""


def render(documents: Iterable[Any], platform: Platform = PLATFORM) -> list[Manifest]:
    """The manifests of every AirflowBase and AirflowCluster among the documents; InvalidSpec where one of them is wrong."""
    found = [document for document in documents if isinstance(document, dict)]
    bases = {parse_base(document).metadata.name: document for document in found if document.get("kind") == "AirflowBase"}
    data = [item for item in found if item.get("kind") in ("Secret", "ConfigMap") and dig(item, "metadata", "name")]
    given = {(item["kind"], item["metadata"]["name"]): _keys_of(item) for item in data}
    made: list[Manifest] = []
    for base in bases.values():
        made += _of_base(base, platform)
    for document in found:
        if document.get("kind") == "AirflowCluster":
            made += _of_cluster(document, bases, given, platform)
    return made


def _of_base(document: Live, platform: Platform) -> list[Manifest]:
    meta = document["metadata"]
    spec = parse_base(document).spec
    whole = {**document, "metadata": {"namespace": "default", "uid": UID, **meta}}
    if spec.database.external:
        return [probe(whole, spec, spec.database.external, [], platform.operator_image)]
    return postgres.postgres(meta["name"], whole["metadata"]["namespace"], UID, spec, default_image=platform.postgres_image)


def _ca_of(spec: AirflowBaseSpec) -> str:
    return "The base's certificates" if spec.database.external and spec.database.external.tls.ca else ""


def _of_cluster(
    document: dict[str, Any], bases: dict[str, dict[str, Any]], given: Mapping[tuple[str, str], Live], platform: Platform
) -> list[Manifest]:
    cluster = replace(cluster_of(document, bases, given), platform=platform)
    wanted = [*plan.prerequisites(cluster, STAND_IN), database_job(cluster, STAND_IN)]
    wanted += [jobs.check(cluster, "1/1"), jobs.migrate(cluster, "1/1", UID, '"Empty"')]
    admin = cluster.spec.auth.fab.admin if cluster.spec.auth.fab else None
    if admin and admin.enabled:
        wanted.append(jobs.users(cluster, "1/1", admin.secret_ref.name if admin.secret_ref else names.admin(cluster.name), ""))
    return [*wanted, *plan.components(cluster, STAND_IN)]


def cluster_of(
    document: dict[str, Any], bases: dict[str, dict[str, Any]], given: Mapping[tuple[str, str], Live] = MappingProxyType({})
) -> ValidatedCluster:
    """A cluster as it is built where its base and everything that it refers to exist; `given` are Secrets and ConfigMaps beside it."""
    spec = parse_cluster(document).spec
    meta = document["metadata"]
    namespace = meta.get("namespace", "default")
    name, place = spec.base_ref.name, spec.base_ref.namespace or namespace
    base_spec = parse_base(bases[name]).spec if name in bases else AirflowBaseSpec.model_validate({"database": {"postgres": {}}})
    access = BaseAccess(name, place, True, "", **server_of(base_spec, name, place, UID), spec=base_spec, ca=_ca_of(base_spec))
    found = {(item.kind, item.name): given.get((item.kind, item.name)) or _stand_in(item) for item in references.of_spec(spec)}
    return ValidatedCluster(meta["name"], namespace, UID, UID, spec, release_as_run(spec), access, PLATFORM, found)


def _keys_of(document: Live) -> Live:
    """A Secret or ConfigMap of the documents, by the names of its keys: a render shows no value."""
    found = {**document.get("data", {}), **document.get("stringData", {})}
    return {"apiVersion": "v1", "kind": document["kind"], "metadata": document["metadata"], "data": dict.fromkeys(found, "")}


def _stand_in(item: Reference) -> Live:
    data = dict.fromkeys(("username", "password", "ssh-privatekey", "known_hosts"), "")
    return {"apiVersion": "v1", "kind": item.kind, "metadata": {"name": item.name}, "data": data}
