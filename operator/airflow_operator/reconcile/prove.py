"""Parts of a spec that the schema does not know are tried by dry run before anything is written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from airflow_operator.api import AirflowBaseSpec, AirflowClusterSpec
from airflow_operator.api.pods import PodDefaults
from airflow_operator.domain import labels
from airflow_operator.domain.errors import InvalidSpec
from airflow_operator.domain.kinds import NETWORK_POLICY, kind_of
from airflow_operator.domain.manifest import Live, Manifest, dig, key_of
from airflow_operator.kube.errors import Forbidden, Invalid
from airflow_operator.reconcile.apply import Refused, prove
from airflow_operator.reconcile.blame import field_of
from airflow_operator.reconcile.build import custom, jobs, metrics, task_pods
from airflow_operator.reconcile.references import POD_FIELDS
from airflow_operator.reconcile.validate import ValidatedCluster

if TYPE_CHECKING:
    from airflow_operator.kube.protocol import Kube

OPAQUE = (
    "tolerations",
    "affinity",
    "topology_spread_constraints",
    "pod_security_context",
    "security_context",
    "init_containers",
    "extra_containers",
    "volumes",
    "volume_mounts",
    "pod_template",
    "templates",
)
"""Fields of pod settings that only the API server can judge."""


def is_opaque(settings: PodDefaults) -> bool:
    """Whether the settings hold anything that only the API server can judge."""
    return any(getattr(settings, name, None) for name in OPAQUE)


def opaque_parts(spec: AirflowClusterSpec) -> bool:
    """Whether the spec holds parts of pods that only the API server can judge."""
    layers = [getattr(spec, name) for name in ("pods", *POD_FIELDS)]
    peers = spec.network_policy.api_server_from if spec.network_policy else None
    return bool(spec.git_sync.security_context or peers) or any(is_opaque(layer) for layer in layers if layer)


def blamed(error: Refused, spec: AirflowBaseSpec, wanted: Sequence[Manifest]) -> InvalidSpec:
    """A refusal of one of a base's objects, with the field of the spec that it comes from."""
    template = next((dig(item, "spec", "template") for item in wanted if key_of(item) == error.key), None) or {}
    main = dig(template, "spec", "containers", 0, "name", default="")
    return InvalidSpec("Refused", f"{field_of(error.message, template, main, [('spec.pods', spec.pods)])}: {error.message}")


async def prove_pods(
    kube: Kube, cluster: ValidatedCluster, wanted: Sequence[Manifest], children: Sequence[Live], *, owner: Live, new: bool
) -> None:
    """Try everything that would change; InvalidSpec names the field of the spec and has the API server's words.

    `new`: this spec has not been found good yet. Jobs, which do not stay, are tried only then.
    """
    await _prove_task_pod(kube, cluster, children)
    if new:
        await _prove_job(kube, cluster)
    try:
        await prove(kube, wanted, children, owner=owner)
    except Refused as error:
        refused = next(item for item in wanted if key_of(item) == error.key)
        if kind_of(refused) == NETWORK_POLICY:
            raise InvalidSpec("Refused", f"spec.networkPolicy.apiServerFrom: {error.message}") from None
        template = dig(refused, "spec", "template")
        if template is None:
            raise
        component = dig(refused, "metadata", "labels", labels.COMPONENT)
        field = field_of(error.message, template, component, _layers(cluster, component))
        raise InvalidSpec("Refused", f"{field}: {error.message}") from None


def _layers(cluster: ValidatedCluster, component: str) -> tuple[custom.Layer, ...]:
    """The settings that a component's pods are made of."""
    for facts in cluster.release.components:
        if facts.name == component:
            return custom.layers(cluster, facts.field_name, cluster.settings_of(component))
    if component == metrics.COMPONENT and cluster.metrics:
        return custom.layers(cluster, metrics.FIELD, cluster.metrics)
    return custom.layers(cluster, "jobs", cluster.spec.jobs)


async def _prove_job(kube: Kube, cluster: ValidatedCluster) -> None:
    """Try the settings of the Jobs' pods."""
    trial = jobs.trial(cluster)
    if words := await _refusal(kube, trial):
        field = field_of(words, trial["spec"]["template"], "check", _layers(cluster, "check"))
        raise InvalidSpec("Refused", f"{field}: The API server refused the pods of Jobs: {words}")


async def _prove_task_pod(kube: Kube, cluster: ValidatedCluster, children: Sequence[Live]) -> None:
    """Try the pod templates of tasks, which reach the cluster as text."""
    if not cluster.runs_task_pods or key_of(task_pods.template_config_map(cluster)) in {key_of(child) for child in children}:
        return
    for chosen in (None, *cluster.spec.task_pods.templates):
        trial = task_pods.trial(cluster, chosen)
        if words := await _refusal(kube, trial):
            layers = custom.layers(cluster, "taskPods", cluster.spec.task_pods)
            field = task_pods.field_of(chosen) if chosen else field_of(words, trial["spec"]["template"], "base", layers)
            raise InvalidSpec("Refused", f"{field}: The API server refused the pod of tasks: {words}")


async def _refusal(kube: Kube, trial: Manifest) -> str:
    """What the API server has against an object; empty where it would take it."""
    try:
        await kube.apply(trial, dry_run=True)
    except (Forbidden, Invalid) as error:
        return error.message
    return ""
