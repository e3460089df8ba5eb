"""Pods of a deployment: what all of them share, and what each component sets for itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from airflow_operator.api.cel import Cel
from airflow_operator.api.common import AnnotationValue, Atomic, DrainTimeout, LabelValue, Model, ObjectName, Opaque, Resources
from airflow_operator.api.environment import EnvList

_OURS = ("airflow-operator.dev/", "app.kubernetes.io/")
_KEEP_OURS = Cel(
    rule="self.all(key, !key.startsWith('airflow-operator.dev/') && !key.startsWith('app.kubernetes.io/'))",
    message="keys below airflow-operator.dev/ and app.kubernetes.io/ are set by the operator: use other keys",
    check=lambda value: not any(key.startswith(_OURS) for key in value),
    reason="FieldValueForbidden",
)
_NODE_SELECTOR = Annotated[Mapping[str, LabelValue], Field(max_length=32)]
_OPAQUE_OBJECT = Annotated[Mapping[str, Any], Opaque()]


class PodDefaults(Model):
    """Settings of pods."""

    labels: Annotated[Mapping[str, LabelValue], Field(max_length=64), _KEEP_OURS] = Field(
        default_factory=dict, description="Labels added to the pods."
    )
    annotations: Annotated[Mapping[str, AnnotationValue], Field(max_length=64), _KEEP_OURS] = Field(
        default_factory=dict, description="Annotations added to the pods."
    )
    node_selector: _NODE_SELECTOR = Field(default_factory=dict, description="Labels that a node must have.")
    tolerations: Annotated[tuple[_OPAQUE_OBJECT, ...], Field(max_length=32), Atomic()] | None = Field(
        default=None, description="Taints that the pods accept, as in the spec of a Pod."
    )
    affinity: _OPAQUE_OBJECT | None = Field(default=None, description="Affinity and anti-affinity, as in the spec of a Pod.")
    priority_class_name: ObjectName | None = Field(default=None, description="PriorityClass of the pods.")
    resources: Resources = Field(
        default_factory=Resources, description="Requests and limits of the main container; what is absent has a default for each component."
    )


class Component(PodDefaults):
    """One part of Airflow and its pods. What is set here wins over spec.pods: maps merge, lists replace."""

    replicas: Annotated[int, Field(ge=0)] = Field(
        default=1, description="Number of pods; 0 stops the component.", json_schema_extra={"format": "int32"}
    )
    env: EnvList = Field(default=(), description="Environment variables of this component; they win over spec.env.")


class Scheduler(Component):
    """The schedulers. `kubectl scale` sets their number."""

    drain_timeout: DrainTimeout | None = Field(
        default=None,
        description="Time that a scheduler is given to end, from 30s to 168h: with LocalExecutor it starts nothing more and waits for the "
        "tasks that it runs; those that last longer are killed. Absent: 10m with LocalExecutor, else 1m.",
    )


class DagProcessor(Component):
    """The dag-processor, which parses DAG files."""


class ApiServer(Component):
    """The API server: user interface, REST API, and the API that tasks speak to."""


class Triggerer(Component):
    """The triggerer, which waits for deferred tasks."""


class TaskPods(Model):
    """Pods in which KubernetesExecutor runs tasks, one for each."""

    pod_template: Annotated[Mapping[str, Any], Opaque()] | None = Field(
        default=None,
        description="A Pod's metadata and spec, laid over the template that the operator makes: lists merge by name as in kubectl patch. "
        "The container that runs the task is called base.",
    )
