"""From what was seen to a cluster that can be built: typed, defaulted, resolved. Or a sentence why not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from airflow_operator.airflow.facts import Release
from airflow_operator.airflow.releases import release_of
from airflow_operator.api import AirflowClusterSpec, parse_cluster
from airflow_operator.api.config_rules import OWNED_WITH_METRICS, refused_variable
from airflow_operator.api.executors import KUBERNETES, LOCAL
from airflow_operator.api.metrics import Metrics
from airflow_operator.api.pods import Component, DagProcessor
from airflow_operator.domain import images, names
from airflow_operator.domain.errors import InvalidSpec, Waiting
from airflow_operator.domain.kinds import API_VERSION
from airflow_operator.domain.manifest import Kind, Live, dig
from airflow_operator.reconcile import address, brought, dag_volumes, git_credentials, references
from airflow_operator.reconcile.base_access import BaseAccess, base_access, require_allowed
from airflow_operator.reconcile.references import Reference
from airflow_operator.reconcile.types import Platform, SeenCluster


@dataclass(frozen=True)
class ValidatedCluster:
    """One AirflowCluster as the builders need it; nothing in it can be wrong any more as far as one look can tell."""

    name: str
    namespace: str
    uid: str
    namespace_uid: str
    spec: AirflowClusterSpec
    release: Release
    """The release's facts as this cluster runs it."""
    base: BaseAccess
    platform: Platform
    references: Mapping[tuple[str, str], Live]
    absent: frozenset[Kind] = frozenset()
    """Optional kinds that this Kubernetes cluster does not know."""

    @cached_property
    def built(self) -> dict[str, Any]:
        """What `meta.once` keeps."""
        return {}

    @cached_property
    def image(self) -> str:
        """The Airflow image as the container runtime takes it; a digest wins over a tag."""
        image = self.spec.image
        return images.joined(image.repository or self.platform.airflow_image, image.tag or self.spec.version, image.digest or "")

    @cached_property
    def base_path(self) -> str:
        """The path under which the API server answers: that of spec.externalURL."""
        return address.base_path(self.spec)

    @cached_property
    def database(self) -> str:
        """Name of the cluster's database; where the operator makes it, of its role too."""
        return self.spec.database.name if self.spec.database else names.database(self.namespace, self.name)

    def key_source(self, member: str) -> tuple[str, str]:
        """Secret and key of one of Airflow's keys: the user's own where the spec names it."""
        own = brought.brought_keys(self.spec).get(member)
        return (own.name, own.key) if own else (names.keys(self.name), member)

    def brings(self, member: str) -> bool:
        """Whether the user brings this key."""
        return member in brought.brought_keys(self.spec)

    @cached_property
    def runs_task_pods(self) -> bool:
        """Whether tasks run in pods of their own."""
        return KUBERNETES in self.spec.executors

    @property
    def metrics(self) -> Metrics | None:
        """What the spec says of metrics; None where it asks for none."""
        return self.spec.metrics if self.spec.metrics and self.spec.metrics.enabled else None

    @property
    def owner(self) -> dict[str, Any]:
        """The owner reference of children that go with the cluster."""
        return {
            "apiVersion": API_VERSION,
            "kind": "AirflowCluster",
            "name": self.name,
            "uid": self.uid,
            "controller": True,
            "blockOwnerDeletion": True,
        }

    def settings_of(self, component: str) -> Component:
        """What the spec says of a component, by its name such as dag-processor."""
        settings: Component | None = getattr(self.spec, component.replace("-", "_"))
        return settings or DagProcessor()

    def referenced_data(self, wanted: Iterable[Reference]) -> list[list[Any]]:
        """The data behind references, for a checksum of what a consumer was started with."""
        found = []
        for reference in wanted:
            data = dig(self.references.get((reference.kind, reference.name)), "data", default={})
            found.append([reference.kind, reference.name, data.get(reference.key) if reference.key else data])
        return found


def release_as_run(spec: AirflowClusterSpec) -> Release:
    """The facts of the declared version, as a cluster with this spec runs it."""
    return release_of(spec.version).as_run(local_tasks=LOCAL in spec.executors, dag_processor=spec.dag_processor is not None)


def validate(seen: SeenCluster, platform: Platform) -> ValidatedCluster:
    """Raises InvalidSpec for what only a change of the spec can mend, Waiting for what others have still to provide."""
    cluster = resolve(seen, platform)
    require_allowed(cluster.base, cluster.namespace)
    if "deletionTimestamp" in dig(seen.base, "metadata", default={}):
        raise Waiting("BaseTerminating", f"AirflowBase {cluster.base.name} is being deleted.")
    brought.require_database(cluster.spec, cluster.base)
    for reference in references.of_spec(cluster.spec):
        if not _is_generated(cluster, reference):
            _require(reference, seen.references)
    brought.require_keys(cluster.spec, cluster.references)
    for entry in cluster.spec.dags:
        if entry.git and entry.git.credentials_secret_ref:
            secret = cluster.references["Secret", entry.git.credentials_secret_ref.name]
            git_credentials.require(references.credentials_field(entry), entry.git, secret)
    dag_volumes.require(cluster)
    _refuse_owned_variables(cluster, seen.references)
    _refuse_settings_of_metrics(cluster)
    _refuse_lost_lines(cluster.spec)
    return cluster


def resolve(seen: SeenCluster, platform: Platform) -> ValidatedCluster:
    """The same without asking whether what the spec refers to is there, a base excepted: enough to delete the cluster."""
    spec = parse_cluster(seen.resource).spec
    meta = seen.resource["metadata"]
    base = base_access(seen)
    return ValidatedCluster(
        name=meta["name"],
        namespace=meta["namespace"],
        uid=meta["uid"],
        namespace_uid=seen.namespace_uid,
        spec=spec,
        release=release_as_run(spec),
        base=base,
        platform=platform,
        references={key: live for key, live in seen.references.items() if live is not None},
        absent=seen.absent,
    )


def _is_generated(cluster: ValidatedCluster, reference: Reference) -> bool:
    """Whether the operator makes what is named: who waited for that would wait for ever."""
    parts = (*(facts.name for facts in cluster.release.components), "task", "jobs", names.STATSD)
    made = {
        "ServiceAccount": [names.child(cluster.name, part) for part in parts],
        "Secret": [of(cluster.name) for of in (names.admin, names.connection, names.keys, names.users)],
        "PersistentVolumeClaim": [names.logs(cluster.name)],
    }
    return reference.name in made.get(reference.kind, ())


def _require(reference: Reference, found: Mapping[tuple[str, str], Live | None]) -> None:
    live = found.get((reference.kind, reference.name))
    if reference.optional:
        return
    if live is None:
        reason = f"{reference.kind}NotFound"
        raise Waiting(reason, f"{reference.field} names {reference.kind} {reference.name}, which does not exist in this namespace.")
    if reference.key and reference.key not in {**dig(live, "data", default={}), **dig(live, "binaryData", default={})}:
        message = f"{reference.field} names the key {reference.key} of {reference.kind} {reference.name}, which has no such key."
        raise Waiting("KeyNotFound", message)


def _refuse_lost_lines(spec: AirflowClusterSpec) -> None:
    """A line of airflow.cfg that begins like a comment is one, also in the middle of a value."""
    for section, options in spec.config.items():
        for option, value in options.items():
            if any(line.lstrip().startswith(("#", ";")) for line in str(value).splitlines()[1:]):
                field = f"spec.config.{section}.{option}"
                raise InvalidSpec(
                    "InvalidSpec", f"{field}: a line that begins with # or ; is lost in airflow.cfg: join it to the one before."
                )


def _refuse_settings_of_metrics(cluster: ValidatedCluster) -> None:
    """Where Airflow sends its metrics is ours only while spec.metrics is on."""
    if cluster.metrics is None:
        return
    for section, option in OWNED_WITH_METRICS.spelled_options():
        if option in cluster.spec.config.get(section, {}):
            raise InvalidSpec("OwnedSetting", f"spec.config.{section}.{option} {OWNED_WITH_METRICS.why}.")
    for field, owner in references.with_variables(cluster.spec):
        for variable in owner.env:
            if refusal := OWNED_WITH_METRICS.refusal(variable.name):
                raise InvalidSpec("OwnedSetting", f"{field}.env: {refusal}.")


def _refused(cluster: ValidatedCluster, variable: str) -> str | None:
    """Why this cluster takes no environment variable of this name; None where it does."""
    return refused_variable(variable) or (OWNED_WITH_METRICS.refusal(variable) if cluster.metrics else None)


def _refuse_owned_variables(cluster: ValidatedCluster, found: Mapping[tuple[str, str], Live | None]) -> None:
    """`envFrom` could bring in what `env` refuses: the API server cannot see that, so it is looked at here."""
    for field, owner in references.with_variables(cluster.spec):
        for source in owner.env_from:
            ref = source.secret_ref or source.config_map_ref
            kind = "Secret" if source.secret_ref else "ConfigMap"
            for key in dig(found.get((kind, ref.name)) if ref else None, "data", default={}):
                refusal = _refused(cluster, f"{source.prefix or ''}{key}")
                if refusal and ref:
                    raise InvalidSpec("OwnedSetting", f"{field}.envFrom takes in {kind} {ref.name}, of which {refusal}.")
