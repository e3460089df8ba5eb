"""The status of an AirflowCluster: a pure function of what is declared, what was done and what was seen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from airflow_operator.domain import labels, names
from airflow_operator.domain.manifest import Live, ObjectKey, dig, key_of
from airflow_operator.reconcile import dag_volumes, dags, rollout
from airflow_operator.reconcile.apply import Applied
from airflow_operator.reconcile.types import Condition, SeenCluster, Step
from airflow_operator.reconcile.validate import ValidatedCluster
from airflow_operator.reconcile.workloads import availability, pods_of

MESSAGE_LIMIT = 1024

AVAILABLE = {
    "api-server": ("ApiServerAvailable", "API server"),
    "scheduler": ("SchedulersAvailable", "scheduler"),
    "dag-processor": ("DagProcessorAvailable", "dag-processor"),
    "triggerer": ("TriggererAvailable", "triggerer"),
    names.STATSD: ("MetricsAvailable", "StatsD exporter"),
}


VALID = (
    Condition("SpecValid", "True", "Valid", "The spec can be carried out."),
    Condition("ReferencesResolved", "True", "Found", "Everything that the spec names is there."),
    Condition("KeysAvailable", "True", "Available", "The cluster's keys are there and well-formed."),
)
"""What has been passed before a status can be made at all, unless a step found otherwise."""


def conditions(cluster: ValidatedCluster, step: Step, applied: Applied, seen: SeenCluster) -> list[Condition]:
    """One condition a concern, then Ready, Progressing and Degraded made of them."""
    told = {item.type for item in step.findings}
    found = [*(item for item in VALID if item.type not in told), *step.findings]
    if not step.stage:
        found += _running(cluster, step, applied, seen)
    found.append(_logs(cluster))
    if volumes := dag_volumes.shared(cluster):
        found.append(volumes)
    if applied.refused:
        first = applied.refused[0]
        found.append(Condition("ObjectsApplied", "False", first.reason, first.message, waiting=first.reason == "Terminating"))
    else:
        found.append(Condition("ObjectsApplied", "True", "Applied", "Every object of this step is as it should be."))
    return found


def _running(cluster: ValidatedCluster, step: Step, applied: Applied, seen: SeenCluster) -> list[Condition]:
    workloads = workloads_of(cluster, applied.live, seen)
    made = []
    looked_at = [(facts.name, facts.reads_dags) for facts in cluster.release.components]
    if cluster.metrics:
        looked_at.append((names.STATSD, False))
    for component, reads_dags in looked_at:
        name, title = AVAILABLE[component]
        live = workloads.get(component)
        held = live is not None and key_of(live) in step.keep
        pods = pods_of(seen.pods, component)
        if reads_dags and live is not None and not held:
            live = _without_git_sync(live, pods)
        made.append(availability(name, title, live, pods, held=held))
    commits = dags.known_commits(cluster.spec, seen.commits, dig(seen.resource, "status", default={}))
    # Without a pod that parses DAGs nobody syncs, and without an API server there is nobody to ask.
    parser = cluster.release.parser.name
    synced = dags.synced(cluster.spec, pods_of(seen.pods, parser), commits) if cluster.settings_of(parser).replicas else None
    asked = seen.health.asked and cluster.spec.api_server.replicas > 0
    return [*made, *([synced] if synced else []), *([_healthy(cluster, seen)] if asked else [])]


def summary(found: Sequence[Condition]) -> list[Condition]:
    """Ready, Progressing and Degraded from the conditions of the single concerns."""
    faults = [item for item in found if item.status == "False" and not item.waiting and item.type not in ADVISORY]
    waits = [item for item in found if item.status != "True" and item.waiting and item.type not in ADVISORY]
    unknown = [item for item in found if item.status == "Unknown" and not item.waiting and item.type not in ADVISORY]
    first = next(iter([*faults, *waits, *unknown]), None)
    if first is None:
        ready = Condition("Ready", "True", "Ready", "Airflow is healthy and in its declared state.")
    else:
        ready = Condition("Ready", "False" if first.status == "False" else "Unknown", first.reason, first.message)
    busy = waits[0] if waits else None
    return [
        ready,
        Condition("Progressing", "True", busy.reason, busy.message)
        if busy
        else Condition("Progressing", "False", "Settled", "Nothing is under way."),
        Condition("Degraded", "True", faults[0].reason, faults[0].message)
        if faults
        else Condition("Degraded", "False", "AsExpected", "Nothing is wrong."),
    ]


ADVISORY = frozenset({"TaskLogsPersistent", "DagVolumesShared"})
"""Conditions that tell of a choice, not of a fault."""


def phase(step: Step | None, found: Sequence[Condition]) -> str:
    """The state in one word."""
    ready, progressing, degraded = (next(item for item in found if item.type == name) for name in ("Ready", "Progressing", "Degraded"))
    if ready.status == "True":
        return "Running"
    if degraded.status == "True":
        return "Degraded"
    if step and step.stage:
        return step.stage
    return "Progressing" if progressing.status == "True" else "Unknown"


def status(cluster: ValidatedCluster, step: Step, applied: Applied, seen: SeenCluster, admin_secret: str) -> dict[str, Any]:
    """The whole status but for the conditions' times, which `stamped` adds."""
    found = conditions(cluster, step, applied, seen)
    every = [*summary(found), *found]
    workloads = workloads_of(cluster, applied.live, seen)
    rows = [_row(facts.name, workloads.get(facts.name), cluster) for facts in cluster.release.components]
    if cluster.metrics:
        rows.append({"name": names.STATSD, "desired": 1, "ready": rollout.ready_of(workloads.get(names.STATSD))})
    scheduler = next(row for row in rows if row["name"] == "scheduler")
    commits = dags.known_commits(cluster.spec, seen.commits, dig(seen.resource, "status", default={}))
    made: dict[str, Any] = {
        "phase": phase(step, every),
        "conditions": every,
        "version": cluster.spec.version,
        "executor": ",".join(cluster.spec.executors),
        "schedulers": f"{scheduler['ready']}/{scheduler['desired']}",
        "components": rows,
        "dags": dags.table(cluster.spec, commits, dig(seen.resource, "status", default={})),
        "url": cluster.spec.external_url or f"http://{names.api_server(cluster.name)}.{cluster.namespace}.svc:8080",
        "scheduler": {
            "replicas": int(dig(workloads.get("scheduler"), "status", "replicas", default=0)),
            "selector": ",".join(f"{key}={value}" for key, value in sorted(labels.selector(cluster.name, "scheduler").items())),
        },
    }
    if login := _login(cluster, admin_secret):
        made["auth"] = login
    return {key: value for key, value in made.items() if value not in ([], None)}


def _login(cluster: ValidatedCluster, admin_secret: str) -> dict[str, Any]:
    if cluster.spec.auth.simple and not cluster.spec.auth.simple.all_admins:
        return {"usersSecretRef": {"name": names.users(cluster.name)}}
    return {"adminSecretRef": {"name": admin_secret}} if admin_secret else {}


def stamped(made: Mapping[str, Any], last: Live | None, generation: int, now: datetime) -> dict[str, Any]:
    """Conditions as the API has them; the time of a condition moves only when its status does."""
    before = {item["type"]: item for item in dig(last, "conditions", default=[])}
    rows = []
    for item in made["conditions"]:
        old = before.get(item.type, {})
        same = old.get("status") == item.status
        rows.append(
            {
                "type": item.type,
                "status": item.status,
                "reason": item.reason,
                "message": item.message[:MESSAGE_LIMIT],
                "observedGeneration": generation,
                "lastTransitionTime": old["lastTransitionTime"] if same else now.strftime("%Y-%m-%dT%H:%M:%SZ"),
            }
        )
    return {**made, "conditions": rows, "observedGeneration": generation}


def what_runs(seen: SeenCluster) -> list[Condition]:
    """The conditions of the components where the spec cannot be carried out: what runs goes on."""
    live = _by_component(seen.children)
    return [availability(*AVAILABLE[name], live[name], pods_of(seen.pods, name)) for name in AVAILABLE if name in live]


def counts(seen: SeenCluster) -> dict[str, Any]:
    """The counters of the status, of what runs; empty where nothing does."""
    live = _by_component(seen.children)
    rows = [
        {"name": name, "desired": int(dig(live[name], "spec", "replicas", default=1)), "ready": rollout.ready_of(live[name])}
        for name in AVAILABLE
        if name in live
    ]
    return {"components": rows} if rows else {}


def workloads_of(cluster: ValidatedCluster, applied: Mapping[ObjectKey, Live], seen: SeenCluster) -> dict[str, Live]:
    """The live workloads by component, as they are after what was just applied."""
    return _by_component({**{key_of(child): child for child in seen.children}, **applied}.values())


def _by_component(children: Iterable[Live]) -> dict[str, Live]:
    workloads = [child for child in children if child["kind"] in ("Deployment", "StatefulSet")]
    return {str(dig(item, "metadata", "labels", labels.COMPONENT)): item for item in workloads}


def _row(name: str, live: Live | None, cluster: ValidatedCluster) -> dict[str, Any]:
    return {"name": name, "desired": cluster.settings_of(name).replicas, "ready": rollout.ready_of(live)}


def _without_git_sync(live: Live, pods: Sequence[Live]) -> Live:
    """A sidecar in its back-off makes a pod unready that serves the last good DAGs: DagsSynced tells of that, not this."""
    serving = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"] and _serves(pod)]
    status = dict(dig(live, "status", default={}))
    # Of all its pods: whether any of them is an old one is asked elsewhere.
    status["availableReplicas"] = max(status.get("availableReplicas", 0), min(len(serving), status.get("replicas", 0)))
    return {**live, "status": status}


def _serves(pod: Live) -> bool:
    """Whether Airflow runs in it, and git-sync does or fails: one that only begins is waited for."""
    containers = dig(pod, "status", "containerStatuses", default=[])
    down = [item["name"] for item in containers if not item.get("ready")]
    return bool(containers) and (not down or (all(name.startswith("git-sync") for name in down) and bool(dags.complaint(pod))))


def _logs(cluster: ValidatedCluster) -> Condition:
    if cluster.spec.logs and cluster.spec.logs.remote:
        return Condition("TaskLogsPersistent", "True", "Remote", f"Task logs are kept at {cluster.spec.logs.remote.url}.")
    if cluster.spec.logs:
        return Condition("TaskLogsPersistent", "True", "Volume", "Task logs are kept on a volume.")
    message = "The log of a task is gone with its pod: set spec.logs to keep it."
    return Condition("TaskLogsPersistent", "False", "NotConfigured", message)


def _healthy(cluster: ValidatedCluster, seen: SeenCluster) -> Condition:
    """What Airflow says of itself; a component that is scaled to zero is not asked for."""
    health = seen.health
    if health.reachable is None:
        return Condition("Healthy", "Unknown", "NotAsked", "Airflow's health endpoint has not answered yet.", waiting=True)
    if not health.reachable:
        return Condition("Healthy", "Unknown", "Unreachable", "Airflow's health endpoint does not answer.")
    sick = []
    for facts in cluster.release.components:
        wanted = cluster.settings_of(facts.name).replicas
        said = health.components.get(facts.health_key, "missing")
        if wanted and said != "healthy":
            sick.append(f"{facts.health_key} is {said}")
    if sick:
        # During a start components become healthy one by one; after it, one that is not is a fault.
        starting = dig(seen.resource, "status", "phase") not in ("Running", "Degraded")
        return Condition("Healthy", "False", "Unhealthy", f"Airflow says: {', '.join(sick)}.", waiting=starting)
    return Condition("Healthy", "True", "Healthy", "Airflow says that it is healthy.")
