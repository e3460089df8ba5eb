"""Pods of a deployment: what all of them share, and what each component sets for itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from airflow_operator.api.cel import Cel, at_most_one
from airflow_operator.api.common import (
    AnnotationValue,
    Atomic,
    DrainTimeout,
    LabelValue,
    ListMap,
    Model,
    ObjectName,
    Opaque,
    OpaqueEntry,
    Resources,
)
from airflow_operator.api.environment import EnvFrom, EnvList

OWN_KEYS = ("airflow-operator.dev/", "app.kubernetes.io/")
"""Beginnings of the labels and annotations that are the operator's."""

KEEP_OURS = Cel(
    rule="self.all(key, !key.startsWith('airflow-operator.dev/') && !key.startsWith('app.kubernetes.io/'))",
    message="keys below airflow-operator.dev/ and app.kubernetes.io/ are set by the operator: use other keys",
    check=lambda value: not any(key.startswith(OWN_KEYS) for key in value),
    reason="FieldValueForbidden",
)
_NODE_SELECTOR = Annotated[Mapping[str, LabelValue], Field(max_length=32)]
_OPAQUE_OBJECT = Annotated[Mapping[str, Any], Opaque()]
_OPAQUE_LIST = Annotated[tuple[_OPAQUE_OBJECT, ...], Field(max_length=32), Atomic()]
_NAMED_LIST = Annotated[tuple[Annotated[Mapping[str, Any], OpaqueEntry()], ...], Field(max_length=32), ListMap()]
_MOUNTS = Annotated[
    tuple[Annotated[Mapping[str, Any], OpaqueEntry("mountPath", longest=1024)], ...], Field(max_length=64), ListMap("mountPath")
]


class PodDefaults(Model):
    """Settings of pods."""

    labels: Annotated[Mapping[str, LabelValue], Field(max_length=64), KEEP_OURS] = Field(
        default_factory=dict, description="Labels added to the pods."
    )
    annotations: Annotated[Mapping[str, AnnotationValue], Field(max_length=64), KEEP_OURS] = Field(
        default_factory=dict, description="Annotations added to the pods."
    )
    node_selector: _NODE_SELECTOR = Field(default_factory=dict, description="Labels that a node must have.")
    tolerations: _OPAQUE_LIST | None = Field(default=None, description="Taints that the pods accept, as in the spec of a Pod.")
    affinity: _OPAQUE_OBJECT | None = Field(default=None, description="Affinity and anti-affinity, as in the spec of a Pod.")
    topology_spread_constraints: _OPAQUE_LIST | None = Field(
        default=None, description="How the pods spread over nodes and zones, as in the spec of a Pod."
    )
    priority_class_name: ObjectName | None = Field(default=None, description="PriorityClass of the pods.")
    pod_security_context: _OPAQUE_OBJECT | None = Field(
        default=None,
        description="Security context of the pods, as in the spec of a Pod, laid over the restricted one of the operator field by field. "
        "For a platform that chooses the user: {$retainKeys: [runAsNonRoot, seccompProfile]}.",
    )
    security_context: _OPAQUE_OBJECT | None = Field(
        default=None,
        description="Security context of the main container, laid over the restricted one of the operator field by field.",
    )
    resources: Resources = Field(
        default_factory=Resources, description="Requests and limits of the main container; what is absent has a default for each component."
    )


class TemplateMetadata(Model):
    """What an overlay may change of a pod's metadata."""

    labels: _OPAQUE_OBJECT | None = Field(default=None, description="Labels; those of the operator cannot change.")
    annotations: _OPAQUE_OBJECT | None = Field(default=None, description="Annotations; those of the operator cannot change.")


class PodTemplate(Model):
    """An overlay on a pod."""

    metadata: TemplateMetadata | None = Field(default=None, description="Labels and annotations of the pod.")
    spec: _OPAQUE_OBJECT | None = Field(default=None, description="Spec of the pod, as far as it differs.")


class PodSettings(PodDefaults):
    """Settings of the pods of a deployment."""

    init_containers: _NAMED_LIST | None = Field(
        default=None,
        description="Containers that run before Airflow, after git-sync, as in the spec of a Pod; with restartPolicy Always they go on "
        "beside it. What one leaves out of its securityContext is filled in at Pod Security's restricted level.",
    )
    volumes: _NAMED_LIST | None = Field(default=None, description="More volumes, as in the spec of a Pod.")
    volume_mounts: _MOUNTS | None = Field(default=None, description="More mounts of the main container, as in a container of a Pod.")
    pod_template: PodTemplate | None = Field(
        default=None,
        description="The last word: laid over the finished pod as kubectl patch does. Lists of containers, volumes, variables and mounts "
        "merge by their names, other lists are replaced, null removes, $patch and $retainKeys are honoured.",
    )


class ServiceAccount(Model):
    """The identity of pods in Kubernetes and, by annotations, in a cloud."""

    name: ObjectName | None = Field(
        default=None, description="An existing ServiceAccount in the same namespace, instead of a generated one."
    )
    annotations: Annotated[Mapping[str, AnnotationValue], Field(max_length=64), KEEP_OURS] | None = Field(
        default=None, description="Annotations of the generated ServiceAccount, such as eks.amazonaws.com/role-arn."
    )

    rules = (at_most_one("name", "annotations"),)


Permission = Literal["Pods", "Jobs", "SparkApplications", "ArgoWorkflows"]
Permissions = Annotated[tuple[Permission, ...], Field(max_length=4), Atomic()]


class OwnPods(PodSettings):
    """Settings of one kind of pod of a deployment."""

    service_account: ServiceAccount | None = Field(
        default=None, description="ServiceAccount of these pods; it replaces spec.serviceAccount."
    )


class Component(OwnPods):
    """One part of Airflow and its pods. What is set here wins over spec.pods: maps merge, lists replace."""

    replicas: Annotated[int, Field(ge=0)] = Field(
        default=1, description="Number of pods; 0 stops the component.", json_schema_extra={"format": "int32"}
    )
    env: EnvList = Field(default=(), description="Environment variables of this component; they win over spec.env.")
    env_from: Annotated[tuple[EnvFrom, ...], Field(max_length=32), Atomic()] = Field(
        default=(),
        description="Secrets and ConfigMaps whose keys become environment variables of this component; they win over spec.envFrom.",
    )
    extra_containers: _NAMED_LIST | None = Field(
        default=None,
        description="Containers beside Airflow, as in the spec of a Pod. "
        "What one leaves out of its securityContext is filled in at Pod Security's restricted level.",
    )


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

    permissions: Permissions = Field(
        default=(),
        description="What deferred tasks may do in the namespace: start and watch Pods, Jobs, SparkApplications or ArgoWorkflows. "
        "Absent: nothing, and the pods hold no token.",
    )


class TaskTemplate(Model):
    """Another pod for tasks that ask for it."""

    name: Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")] = Field(
        description="Its file is /opt/airflow/pod-template/NAME.yaml: a task names it as pod_template_file in its executor_config."
    )
    pod_template: PodTemplate = Field(
        default_factory=PodTemplate, description="Laid over the pod that other tasks have, taskPods.podTemplate included."
    )


class TaskPods(OwnPods):
    """Pods in which KubernetesExecutor runs tasks, one for each. What is set here wins over spec.pods: maps merge, lists replace.

    The container that runs the task is called base.
    """

    templates: Annotated[tuple[TaskTemplate, ...], Field(max_length=32), ListMap()] = Field(
        default=(), description="Other pods, for tasks that choose one by executor_config."
    )
    permissions: Permissions = Field(
        default=(),
        description="What tasks may do in the namespace: start and watch Pods, Jobs, SparkApplications or ArgoWorkflows. "
        "Absent: nothing, and the pods hold no token.",
    )
    env: EnvList = Field(default=(), description="Environment variables of tasks; they win over spec.env.")
    env_from: Annotated[tuple[EnvFrom, ...], Field(max_length=32), Atomic()] = Field(
        default=(), description="Secrets and ConfigMaps whose keys become environment variables of tasks; they win over spec.envFrom."
    )


class Jobs(OwnPods):
    """The Jobs that prepare the database and the users. What is set here wins over spec.pods: maps merge, lists replace."""
