"""The pod template of KubernetesExecutor's task pods."""

from __future__ import annotations

from typing import Any

import yaml

from airflow_operator.api.pods import TaskTemplate
from airflow_operator.domain import labels, names
from airflow_operator.domain.manifest import Manifest
from airflow_operator.reconcile.build import airflow_env, config, custom, dags, meta, pods, rbac, storage
from airflow_operator.reconcile.validate import ValidatedCluster

COMPONENT = "task"
# libyaml's, where PyYAML has it: this text is made at each look, and Python's own takes most of the look.
_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
GRACE = 600
"""Seconds for a task that is told to end, to run its on_kill."""


def template(cluster: ValidatedCluster, chosen: TaskTemplate | None = None) -> Manifest:
    """A Pod as KubernetesExecutor completes it: container `base` without args, the user's overlay as the last word.

    That of all tasks, or of those that choose one of `taskPods.templates`.
    """
    defaults, own = cluster.spec.pods, cluster.spec.task_pods
    # Without the managed-by label: the operator need not be told of every task.
    marks = {key: value for key, value in labels.of_cluster(cluster.name, COMPONENT).items() if key != labels.MANAGED_BY}
    spec: dict[str, Any] = {
        "serviceAccountName": rbac.account_name(cluster, COMPONENT),
        "automountServiceAccountToken": rbac.needs_token(cluster, COMPONENT),
        "enableServiceLinks": False,
        "restartPolicy": "Never",
        "securityContext": pods.airflow_security(),
        "terminationGracePeriodSeconds": GRACE,
        "containers": [_base(cluster)],
        "volumes": [
            *airflow_env.volumes(cluster),
            *airflow_env.task_volumes(cluster),
            *dags.volumes(cluster),
            storage.logs_volume(cluster),
        ],
        **pods.pull_secrets(cluster.spec.image, cluster.spec.git_sync.image),
        **pods.scheduling(defaults, own),
    }
    if fetching := dags.init_containers(cluster, patient=True):
        spec["initContainers"] = fetching
    notes = pods.merged_maps(defaults.annotations, own.annotations)
    made = pods.pod(spec, {**pods.merged_maps(defaults.labels, own.labels), **marks}, notes)
    made = custom.customized(made, "base", custom.layers(cluster, "taskPods", own))
    if chosen:
        made = custom.overlaid(made, "base", chosen.pod_template, field_of(chosen))
    made["metadata"]["name"] = "placeholder-name"
    # Tasks go with their deployment: nobody else would ever remove their pods.
    made["metadata"]["ownerReferences"] = [{key: cluster.owner[key] for key in ("apiVersion", "kind", "name", "uid")}]
    return {"apiVersion": "v1", "kind": "Pod", **made}


@meta.once
def template_config_map(cluster: ValidatedCluster) -> Manifest:
    """The templates as the scheduler reads them, each a file."""
    files = {config.POD_TEMPLATE_FILE: template(cluster)}
    files |= {f"{each.name}.yaml": template(cluster, each) for each in cluster.spec.task_pods.templates}
    return meta.config_map(cluster, "pod-template", {name: yaml.dump(made, Dumper=_DUMPER, sort_keys=True) for name, made in files.items()})


def field_of(chosen: TaskTemplate) -> str:
    """How messages call an entry of `taskPods.templates`."""
    return f"spec.taskPods.templates[{chosen.name}].podTemplate"


def trial(cluster: ValidatedCluster, chosen: TaskTemplate | None = None) -> Manifest:
    """A Job with the template of task pods, for a dry run: the template itself is text to the API server.

    A Job, since the operator has no right to make pods.
    """
    pod = template(cluster, chosen)
    meta = {key: value for key, value in pod["metadata"].items() if key not in ("name", "ownerReferences")}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": names.child(cluster.name, f"{COMPONENT}-trial"), "namespace": cluster.namespace},
        "spec": {"template": {"metadata": meta, "spec": pod["spec"]}},
    }


def _base(cluster: ValidatedCluster) -> dict[str, Any]:
    return {
        "name": "base",
        "image": cluster.image,
        "imagePullPolicy": cluster.spec.image.pull_policy,
        "env": airflow_env.of_task(cluster),
        **airflow_env.env_from(cluster, cluster.spec.task_pods.env_from),
        "resources": pods.resources("task", cluster.spec.pods.resources, cluster.spec.task_pods.resources),
        "securityContext": pods.container_security(),
        "volumeMounts": [*airflow_env.mounts(cluster), *airflow_env.task_mounts(cluster), *dags.mounts(cluster), storage.logs_mount()],
    }
