"""The Secrets, ConfigMaps and claims that a spec names, and who consumes them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from airflow_operator.api import AirflowClusterSpec
from airflow_operator.api.dags import DagSource


@dataclass(frozen=True)
class Reference:
    """One place of the spec that names a Secret, ConfigMap or PersistentVolumeClaim; `key` is empty where all of it is meant."""

    field: str
    kind: str
    name: str
    key: str = ""
    optional: bool = False


COMPONENT_FIELDS = ("api_server", "scheduler", "dag_processor", "triggerer")


def of_spec(spec: AirflowClusterSpec) -> tuple[Reference, ...]:
    """Every reference of a spec, in its order."""
    found = [*of_environment(spec.env, "spec.env"), *_of_env_from(spec.env_from, "spec.envFrom")]
    for attribute in COMPONENT_FIELDS:
        settings = getattr(spec, attribute)
        found += of_environment(settings.env, f"spec.{_camel(attribute)}.env") if settings else ()
    found += [*_of_dags(spec), *_of_auth(spec)]
    return tuple(found)


def of_environment(env: Iterable[Any], field: str) -> Iterator[Reference]:
    """References of a list of environment variables."""
    for variable in env:
        source = variable.value_from
        if source is None:
            continue
        for kind, ref in (("Secret", source.secret_key_ref), ("ConfigMap", source.config_map_key_ref)):
            if ref is not None:
                yield Reference(f"{field}[{variable.name}]", kind, ref.name, ref.key, bool(ref.optional))


def _of_dags(spec: AirflowClusterSpec) -> Iterator[Reference]:
    for entry in spec.dags:
        if entry.volume:
            yield Reference(f"spec.dags[{entry.name}].volume", "PersistentVolumeClaim", entry.volume.claim_name)
        if entry.git and entry.git.credentials_secret_ref:
            yield Reference(credentials_field(entry), "Secret", entry.git.credentials_secret_ref.name)
        ca = entry.git.ca if entry.git else None
        for kind, ref in (("Secret", ca.secret_key_ref), ("ConfigMap", ca.config_map_key_ref)) if ca else ():
            if ref is not None:
                yield Reference(f"spec.dags[{entry.name}].git.ca", kind, ref.name, ref.key)


def credentials_field(entry: DagSource) -> str:
    """How messages call the field with an entry's credentials."""
    return f"spec.dags[{entry.name}].git.credentialsSecretRef"


def _of_auth(spec: AirflowClusterSpec) -> Iterator[Reference]:
    admin = spec.auth.fab.admin if spec.auth.fab else None
    if admin and admin.enabled and admin.secret_ref:
        for key in ("username", "password"):
            yield Reference("spec.auth.fab.admin.secretRef", "Secret", admin.secret_ref.name, key)


def _of_env_from(sources: Iterable[Any], field: str) -> Iterator[Reference]:
    for index, source in enumerate(sources):
        for kind, ref in (("Secret", source.secret_ref), ("ConfigMap", source.config_map_ref)):
            if ref is not None:
                yield Reference(f"{field}[{index}]", kind, ref.name, "", bool(ref.optional))


def _camel(attribute: str) -> str:
    head, *rest = attribute.split("_")
    return head + "".join(part.title() for part in rest)
