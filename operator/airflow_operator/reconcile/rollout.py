"""The order of a change: one component after the other, each once the one before runs the new template."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from airflow_operator.domain import labels
from airflow_operator.domain.manifest import Live, Manifest, ObjectKey, dig, key_of
from airflow_operator.domain.volumes import config_maps_of


def in_order(desired: Sequence[Manifest], live: Mapping[ObjectKey, Live]) -> tuple[list[Manifest], list[ObjectKey]]:
    """What may be applied now, and what is held back until the components before it have rolled out.

    What does not exist yet is made at once: order is for changes. A change of replicas alone is never held back.
    """
    now: list[Manifest] = []
    held: list[ObjectKey] = []
    busy = False
    for manifest in desired:
        key = key_of(manifest)
        current = live.get(key)
        if current is not None and busy and not same_template(manifest, current):
            held.append(key)
            continue
        now.append(manifest)
        busy = busy or (current is not None and not rolled_out(manifest, current))
    return now, held


def proving_dags_first(desired: Sequence[Manifest], live: Mapping[ObjectKey, Live]) -> list[Manifest]:
    """The workloads, with the dag-processor before the schedulers where Airflow and its configuration stay the same.

    What changes then is where DAGs come from. The schedulers hand that on to every new task pod, so it is tried by the dag-processor
    first: while a wrong ref or password keeps it from starting, tasks go on as before. A new source is another configuration, and needs
    the other order: a task of it would start before its pod knows it.
    """
    made = list(desired)
    places = {str(dig(item, "metadata", "labels", labels.COMPONENT)): place for place, item in enumerate(made)}
    if not {"scheduler", "dag-processor"} <= set(places) or places["dag-processor"] < places["scheduler"]:
        return made
    scheduler = made[places["scheduler"]]
    current = live.get(key_of(scheduler))
    if current is not None and _airflow_of(scheduler) == _airflow_of(current):
        made.insert(places["scheduler"], made.pop(places["dag-processor"]))
    return made


def _airflow_of(workload: Live) -> tuple[str, str]:
    """Image and configuration of a workload's Airflow."""
    spec = dig(workload, "spec", "template", "spec", default={})
    image = next((item["image"] for item in spec.get("containers", []) if item["name"] == "scheduler"), "")
    mapped = next((name for volume in spec.get("volumes", []) if volume["name"] == "config" for name in config_maps_of(volume)), "")
    return image, mapped


def same_template(desired: Manifest, live: Live) -> bool:
    """Whether a workload was last given the pod template that is desired now."""
    return template_of(desired) == template_of(live)


def template_of(manifest: Live) -> str:
    """The digest of the template that a workload was given."""
    return str(dig(manifest, "metadata", "annotations", labels.TEMPLATE, default=""))


def rolled_out(desired: Manifest, live: Live) -> bool:
    """Whether a workload runs the desired template with all its pods, and no old pod is left."""
    return same_template(desired, live) and settled(live)


def settled(live: Live) -> bool:
    """Whether a Deployment's or StatefulSet's controller has seen its spec and finished with it."""
    status = dig(live, "status", default={})
    if status.get("observedGeneration", 0) < live["metadata"].get("generation", 0):
        return False
    replicas = dig(live, "spec", "replicas", default=1)
    updated = status.get("updatedReplicas", 0)
    if live["kind"] == "StatefulSet" and status.get("currentRevision") == status.get("updateRevision"):
        # The controller leaves updatedReplicas at 0 when there was nothing to update.
        updated = status.get("replicas", 0)
    return bool(updated == status.get("replicas", 0) == replicas and ready_of(live) >= replicas)


def ready_of(live: Live | None) -> int:
    """Pods of a workload that are ready and stay so."""
    status = dig(live, "status", default={})
    return int(status.get("availableReplicas", 0))
