"""Parts of a spec that the schema does not know are tried by dry run before anything is written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from airflow_operator.api import AirflowClusterSpec
from airflow_operator.domain.errors import InvalidSpec
from airflow_operator.domain.manifest import Live, key_of
from airflow_operator.kube.errors import Invalid
from airflow_operator.reconcile.build import task_pods
from airflow_operator.reconcile.references import COMPONENT_FIELDS
from airflow_operator.reconcile.validate import ValidatedCluster

if TYPE_CHECKING:
    from airflow_operator.kube.protocol import Kube


def opaque_parts(spec: AirflowClusterSpec) -> bool:
    """Whether the spec holds parts of pods that only the API server can judge."""
    layers = [spec.pods, *(getattr(spec, name) for name in COMPONENT_FIELDS)]
    return bool(spec.task_pods.pod_template) or any(layer.affinity or layer.tolerations for layer in layers if layer)


async def prove_task_pod(kube: Kube, cluster: ValidatedCluster, children: Sequence[Live]) -> None:
    """Try the pod template of tasks, which reaches the cluster as text; InvalidSpec in the API server's words."""
    if not cluster.runs_task_pods or key_of(task_pods.template_config_map(cluster)) in {key_of(child) for child in children}:
        return
    try:
        await kube.apply(task_pods.trial(cluster), dry_run=True)
    except Invalid as error:
        message = f"spec.taskPods.podTemplate or spec.pods: the API server refuses the task pod: {error.message}"
        raise InvalidSpec("Refused", message) from None
