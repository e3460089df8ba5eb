"""The Secrets, ConfigMaps, claims and ServiceAccounts that a spec names, and who consumes them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from airflow_operator.api import AirflowClusterSpec
from airflow_operator.api.certificates import FromData
from airflow_operator.api.dags import DagSource
from airflow_operator.api.keys import BroughtKey
from airflow_operator.api.pods import PodTemplate

CREDENTIALS = ("username", "password")
"""Members of a Secret of the type kubernetes.io/basic-auth."""


@dataclass(frozen=True)
class Reference:
    """One place of the spec that names an object; `key` is empty where all of it is meant."""

    field: str
    kind: str
    name: str
    key: str = ""
    optional: bool = False


COMPONENT_FIELDS = ("api_server", "scheduler", "dag_processor", "triggerer")
POD_FIELDS = (*COMPONENT_FIELDS, "task_pods", "jobs", "metrics")
"""Fields with settings of pods, those of all apart."""


def of_spec(spec: AirflowClusterSpec) -> tuple[Reference, ...]:
    """Every reference of a spec, in its order."""
    found: list[Reference] = []
    for field, owner in with_variables(spec):
        found += [*of_environment(owner.env, f"{field}.env"), *of_env_from(owner.env_from, f"{field}.envFrom")]
    found += [*_of_dags(spec), *_of_auth(spec), *of_every_container(spec), *of_metrics(spec)]
    found += [*of_parts(spec), *of_keys(spec), *of_database(spec), *of_accounts(spec)]
    return tuple(found)


def with_variables(spec: AirflowClusterSpec) -> Iterator[tuple[str, Any]]:
    """Every part of a spec with `env` and `env_from`, after its field."""
    yield "spec", spec
    for attribute in (*COMPONENT_FIELDS, "task_pods"):
        if settings := getattr(spec, attribute):
            yield f"spec.{_camel(attribute)}", settings


def of_accounts(spec: AirflowClusterSpec) -> Iterator[Reference]:
    """ServiceAccounts of the user: without its account no pod is made in the place of the one that goes."""
    for field, owner in (("spec", spec), *((f"spec.{_camel(name)}", getattr(spec, name)) for name in POD_FIELDS)):
        account = getattr(owner, "service_account", None)
        if account and account.name:
            yield Reference(f"{field}.serviceAccount", "ServiceAccount", account.name)
    for field, template in _pod_templates(spec):
        if isinstance(name := (template.spec or {}).get("serviceAccountName"), str):
            yield Reference(field, "ServiceAccount", name)


def _pod_templates(spec: AirflowClusterSpec) -> Iterator[tuple[str, PodTemplate]]:
    for attribute in ("pods", *POD_FIELDS):
        if template := getattr(getattr(spec, attribute), "pod_template", None):
            yield f"spec.{_camel(attribute)}.podTemplate", template
    for entry in spec.task_pods.templates:
        yield f"spec.taskPods.templates[{entry.name}].podTemplate", entry.pod_template


def of_environment(env: Iterable[Any], field: str) -> Iterator[Reference]:
    """References of a list of environment variables."""
    for variable in env:
        source = variable.value_from
        if source is None:
            continue
        for kind, ref in (("Secret", source.secret_key_ref), ("ConfigMap", source.config_map_key_ref)):
            if ref is not None:
                yield Reference(f"{field}[{variable.name}]", kind, ref.name, ref.key, bool(ref.optional))


def of_keys(spec: AirflowClusterSpec) -> Iterator[Reference]:
    """References of the keys that the user brings."""
    for field, brought in _brought(spec):
        yield Reference(f"spec.keys.{field}", "Secret", brought.name, brought.key)


def _brought(spec: AirflowClusterSpec) -> Iterator[tuple[str, BroughtKey]]:
    for attribute in ("fernet", "api_secret", "webserver_secret", "jwt"):
        if brought := getattr(spec.keys, attribute, None):
            yield _camel(attribute), brought


def of_database(spec: AirflowClusterSpec) -> Iterator[Reference]:
    """References of the database that the user brings."""
    if spec.database:
        for key in CREDENTIALS:
            yield Reference("spec.database.credentialsSecretRef", "Secret", spec.database.credentials_secret_ref.name, key)


def _of_dags(spec: AirflowClusterSpec) -> Iterator[Reference]:
    for entry in spec.dags:
        if entry.volume:
            yield Reference(f"spec.dags[{entry.name}].volume", "PersistentVolumeClaim", entry.volume.claim_name)
        if entry.git and entry.git.credentials_secret_ref:
            yield Reference(credentials_field(entry), "Secret", entry.git.credentials_secret_ref.name)
        if entry.git and entry.git.ca:
            yield of_file(entry.git.ca, f"spec.dags[{entry.name}].git.ca")


def credentials_field(entry: DagSource) -> str:
    """How messages call the field with an entry's credentials."""
    return f"spec.dags[{entry.name}].git.credentialsSecretRef"


def _of_auth(spec: AirflowClusterSpec) -> Iterator[Reference]:
    admin = spec.auth.fab.admin if spec.auth.fab else None
    if admin and admin.enabled and admin.secret_ref:
        for key in ("username", "password"):
            yield Reference("spec.auth.fab.admin.secretRef", "Secret", admin.secret_ref.name, key)
    yield from of_login(spec)


def of_every_container(spec: AirflowClusterSpec) -> Iterator[Reference]:
    """What every Airflow container is started with, task pods included; its environment is told elsewhere."""
    if spec.trusted_ca:
        yield of_file(spec.trusted_ca, "spec.trustedCA")
    if spec.local_settings_ref:
        yield of_file(spec.local_settings_ref, "spec.localSettingsRef")
    remote = spec.logs.remote if spec.logs else None
    if remote and remote.connection_secret_ref:
        ref = remote.connection_secret_ref
        yield Reference("spec.logs.remote.connectionSecretRef", "Secret", ref.name, ref.key)


def of_metrics(spec: AirflowClusterSpec) -> Iterator[Reference]:
    """What the StatsD exporter is started with."""
    if spec.metrics and spec.metrics.enabled and spec.metrics.mappings_ref:
        yield of_file(spec.metrics.mappings_ref, "spec.metrics.mappingsRef")


def of_login(spec: AirflowClusterSpec) -> Iterator[Reference]:
    """What the API server reads to let users in."""
    fab = spec.auth.fab
    if fab and fab.oidc:
        for key in ("client-id", "client-secret"):
            yield Reference("spec.auth.fab.oidc.clientSecretRef", "Secret", fab.oidc.client_secret_ref.name, key)
    if fab and fab.webserver_config_ref:
        yield of_file(fab.webserver_config_ref, "spec.auth.fab.webserverConfigRef")


def of_file(file: FromData, field: str) -> Reference:
    """The reference of a single file."""
    if file.secret_key_ref:
        return Reference(field, "Secret", file.secret_key_ref.name, file.secret_key_ref.key)
    assert file.config_map_key_ref is not None
    return Reference(field, "ConfigMap", file.config_map_key_ref.name, file.config_map_key_ref.key)


def of_env_from(sources: Iterable[Any], field: str) -> Iterator[Reference]:
    """References of a list of whole Secrets and ConfigMaps."""
    for index, source in enumerate(sources):
        for kind, ref in (("Secret", source.secret_ref), ("ConfigMap", source.config_map_ref)):
            if ref is not None:
                yield Reference(f"{field}[{index}]", kind, ref.name, "", bool(ref.optional))


def of_parts(spec: AirflowClusterSpec) -> Iterator[Reference]:
    """References inside parts of pods that the schema does not look into."""
    for attribute in ("pods", *POD_FIELDS):
        settings = getattr(spec, attribute)
        for part in ("init_containers", "extra_containers", "volumes", "pod_template"):
            value = getattr(settings, part, None)
            for kind, name in _within(value.spec if isinstance(value, PodTemplate) else value):
                yield Reference(f"spec.{_camel(attribute)}.{_camel(part)}", kind, name)
    for entry in spec.task_pods.templates:
        for kind, name in _within(entry.pod_template.spec):
            yield Reference(f"spec.taskPods.templates[{entry.name}].podTemplate", kind, name)


def _within(part: Any) -> Iterator[tuple[str, str]]:
    """(kind, name) of every Secret, ConfigMap and claim that a part of a pod cannot start without."""
    if isinstance(part, Mapping):
        for key, value in part.items():
            kind, named = _KINDS.get(key, ("", ""))
            name = value.get(named, value.get("name")) if kind and isinstance(value, Mapping) else None
            if isinstance(name, str) and not value.get("optional"):
                yield kind, name
            yield from _within(value)
    elif isinstance(part, list | tuple):
        for entry in part:
            yield from _within(entry)


_KINDS = {
    "secretKeyRef": ("Secret", "name"),
    "secretRef": ("Secret", "name"),
    "secret": ("Secret", "secretName"),
    "configMapKeyRef": ("ConfigMap", "name"),
    "configMapRef": ("ConfigMap", "name"),
    "configMap": ("ConfigMap", "name"),
    "persistentVolumeClaim": ("PersistentVolumeClaim", "claimName"),
}
"""Fields of a pod's variables and volumes that name an object: its kind, and the field with its name (projected volumes say `name`)."""


def _camel(attribute: str) -> str:
    head, *rest = attribute.split("_")
    return head + "".join(part.title() for part in rest)
