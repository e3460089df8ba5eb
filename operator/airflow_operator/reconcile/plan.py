"""What may be done now, what is held back and why: a pure function of what was seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from airflow_operator.domain import labels
from airflow_operator.domain.kinds import ALL_CHILD_KINDS
from airflow_operator.domain.manifest import Live, Manifest, ObjectKey, dig, key_of
from airflow_operator.reconcile import evidence, gateway, rollout, schema
from airflow_operator.reconcile.build import (
    airflow_env,
    auth,
    config,
    git_bundle,
    git_files,
    ingress,
    jobs,
    logs,
    metrics,
    network_policy,
    rbac,
    secrets,
    services,
    storage,
    task_pods,
)
from airflow_operator.reconcile.build.components import COMPONENTS
from airflow_operator.reconcile.build.provision import database_job
from airflow_operator.reconcile.database import Database, base_ready, blocked, decide, keys_lost, steady
from airflow_operator.reconcile.evidence import Evidence
from airflow_operator.reconcile.in_use import WORKLOADS, accounts_in_use, objects_in_use
from airflow_operator.reconcile.keys import JWT_SECRET, Keys
from airflow_operator.reconcile.schema import Schema
from airflow_operator.reconcile.types import Condition, LookAgain, SeenCluster, Step
from airflow_operator.reconcile.validate import ValidatedCluster

_RANK = {(kind.api_version, kind.kind): rank for rank, kind in enumerate(ALL_CHILD_KINDS)}


@dataclass(frozen=True)
class Admin:
    """The administrator's Secret, as far as it is known; `version` is a digest of its content under the cluster's key."""

    secret: str
    version: str


def plan(cluster: ValidatedCluster, keys: Keys, admin: Admin | None, seen: SeenCluster) -> Step:
    """The next step: database, then schema, then components; what runs is left alone until its turn comes."""
    live = {key_of(child): child for child in seen.children}
    found = evidence.of_database(seen, beside_base=cluster.base.makes_databases)
    base = base_ready(cluster)
    database = decide(cluster, keys, found, seen)
    own = evidence.read(seen.children, seen.pods)
    if database.provisioned is None:
        job = [database_job(cluster, keys)] if database.wanted else []
        # A migration may be under way while the database is looked at anew.
        kept = [item.key for item in own]
        findings = (base, database.finding, *keys_lost(cluster, database.finding, seen))
        return _step(cluster, keys, seen, job, findings, stage="Provisioning", keep=kept, database=database)
    state = schema.decide(own, database.provisioned, cluster.image, seen.now)
    current = state.state == "Current"
    migrated = Condition(
        "MigrationsApplied", "True" if current else "False", state.reason, state.message, waiting=not current and state.state != "Hold"
    )
    findings = (base, database.finding, steady(migrated, seen.resource))
    if state.state != "Current":
        return _before_components(cluster, keys, seen, database, state, findings)
    user_jobs, user_finding, user_keep, user_discard = _users(cluster, database.provisioned.identity, admin, own, seen)
    every = in_turn(cluster, keys, live)
    now, held = rollout.in_order(every, live)
    return _step(
        cluster,
        keys,
        seen,
        [*user_jobs, *now],
        (*findings, *user_finding),
        keep=[*state.keep, *user_keep, *held],
        discard=user_discard,
        database=database,
        later=[item for item in every if key_of(item) in held],
        look_again=2.0 if held else None,
    )


def components(cluster: ValidatedCluster, keys: Keys) -> list[Manifest]:
    """The workloads, in the usual order of a rolling change."""
    return [COMPONENTS[facts.name](cluster, keys) for facts in cluster.release.components]


def in_turn(cluster: ValidatedCluster, keys: Keys, live: Mapping[ObjectKey, Live]) -> list[Manifest]:
    """The workloads, in the order of this change."""
    return rollout.proving_dags_first(components(cluster, keys), live)


def prerequisites(cluster: ValidatedCluster, keys: Keys, accounts: rbac.InUse | None = None) -> list[Manifest]:
    """All that the workloads and Jobs refer to, and what runs beside them; `accounts` are those that pods run with at present."""
    release, claim = cluster.release, storage.logs_claim(cluster)
    hosts, connections = git_files.known_hosts(cluster), git_bundle.connections(cluster)
    return [
        *rbac.service_accounts(cluster),
        *rbac.role_bindings(cluster, accounts),
        secrets.connection(cluster, keys),
        *([connections] if connections else []),
        config.airflow_cfg(cluster),
        *([config.jwks(cluster, keys)] if release.api_server.checks_tokens and not cluster.brings(JWT_SECRET) else []),
        *([ca] if (ca := airflow_env.database_ca(cluster)) else []),
        config.probes(cluster),
        *([config.drain(cluster)] if release.scheduler.runs_tasks else []),
        jobs.scripts(cluster),
        *([task_pods.template_config_map(cluster)] if cluster.runs_task_pods else []),
        *([hosts] if hosts else []),
        *([claim] if claim else []),
        services.api_server(cluster),
        services.triggerer(cluster),
        *ingress.objects(cluster),
        *network_policy.objects(cluster),
        *auth.objects(cluster, keys),
        *logs.objects(cluster),
        *metrics.objects(cluster, keys),
    ]


def _before_components(
    cluster: ValidatedCluster, keys: Keys, seen: SeenCluster, database: Database, state: Schema, findings: tuple[Condition, ...]
) -> Step:
    """The schema is not the image's: look, or stop all that opens the database and migrate."""
    made: list[Manifest] = []
    discard = list(state.discard)
    users = [job for job in evidence.read(seen.children, seen.pods) if job.component == "users"]
    keep = [*state.keep, *(job.key for job in users)]
    provisioned = database.provisioned
    assert provisioned is not None
    workloads = _workloads_of_airflow(seen)
    if state.state == "Check" and not state.discard:
        made = [jobs.check(cluster, provisioned.identity)]
    if state.state == "Migrate":
        if state.expect != '"Empty"' and (workloads or _component_pods(seen)):
            # The evidence stays until everything that opens the database has stopped.
            keep, discard = [*keep, *discard], _to_stop(workloads, seen) + _keys_of_running(users)
            stop = Condition("MigrationsApplied", "False", "Stopping", "Airflow is being stopped for the migration.", waiting=True)
            return _step(cluster, keys, seen, [], (*findings[:-1], stop), stage="Migrating", keep=keep, discard=discard, database=database)
        made = [jobs.migrate(cluster, provisioned.identity, state.asked_by, state.expect, state.supersedes)]
    looking = state.state == "Check" or state.reason == "Checking"
    stage = "" if state.state == "Hold" else "Checking" if looking else "Migrating"
    return _step(cluster, keys, seen, made, findings, stage=stage, keep=keep, discard=discard, database=database, look_again=state.retry_in)


def _workloads_of_airflow(seen: SeenCluster) -> list[Live]:
    """What has to stand still for a migration: the StatsD exporter opens no database."""
    workloads = [child for child in seen.children if child["kind"] in WORKLOADS]
    return [child for child in workloads if dig(child, "metadata", "labels", labels.COMPONENT) != metrics.COMPONENT]


def _to_stop(workloads: Sequence[Live], seen: SeenCluster) -> list[ObjectKey]:
    """Schedulers first: one that runs tasks waits for them, and they need the API server to their end."""
    schedulers = [child for child in workloads if dig(child, "metadata", "labels", labels.COMPONENT) == "scheduler"]
    ending = any(dig(pod, "metadata", "labels", labels.COMPONENT) == "scheduler" for pod in seen.pods)
    return [key_of(child) for child in (schedulers if ending or schedulers else workloads)]


def _keys_of_running(found: Sequence[Evidence]) -> list[ObjectKey]:
    return [job.key for job in found if job.state == "Running"]


def _component_pods(seen: SeenCluster) -> list[Live]:
    ours = {"api-server", "scheduler", "dag-processor", "triggerer"}
    return [pod for pod in seen.pods if dig(pod, "metadata", "labels", labels.COMPONENT) in ours]


def _users(
    cluster: ValidatedCluster, identity: str, admin: Admin | None, own: Sequence[Evidence], seen: SeenCluster
) -> tuple[list[Manifest], tuple[Condition, ...], list[ObjectKey], list[ObjectKey]]:
    """The administrator's Job beside the components: what to make, what to say, what to keep and what to discard."""
    if admin is None:
        return [], (), [], []
    wanted = jobs.users(cluster, identity, admin.secret, admin.version)
    job = next((item for item in own if item.key == key_of(wanted)), None)
    making = Condition("AdminUserReady", "False", "Creating", "The administrator is being made.", waiting=True)
    if job is None:
        return [wanted], (making,), [], []
    if job.state == "Lost" or job.hopeless(seen.now):
        return [], (making,), [], [job.key]
    if job.state == "Running":
        return [], (blocked(making, job, "The administrator cannot be made"),), [job.key], []
    if job.verdict in ("Created", "Updated", "Unchanged"):
        ready = Condition("AdminUserReady", "True", "Ready", f"Secret {admin.secret} holds the administrator's user name and password.")
        return [], (ready,), [job.key], []
    failed = Condition("AdminUserReady", "False", "Failed", f"The administrator could not be made: {job.last_words}")
    again = [] if job.retry_in(seen.now) else [job.key]
    return [], (failed,), [] if again else [job.key], again


def _step(
    cluster: ValidatedCluster,
    keys: Keys,
    seen: SeenCluster,
    made: Sequence[Manifest],
    findings: tuple[Condition, ...],
    *,
    stage: str = "",
    keep: Sequence[ObjectKey] = (),
    discard: Sequence[ObjectKey] = (),
    database: Database,
    later: Sequence[Manifest] | None = None,
    look_again: float | None = None,
) -> Step:
    wanted = sorted([*prerequisites(cluster, keys, accounts_in_use(seen)), *made], key=lambda item: _RANK[item["apiVersion"], item["kind"]])
    url = key_of(secrets.connection(cluster, keys))
    if database.provisioned is None:
        # Whose database it is has yet to be found out, and the URL holds its password.
        wanted = [item for item in wanted if key_of(item) != url]
    building = {key_of(item) for item in wanted}
    workloads = [child for child in seen.children if child["kind"] in WORKLOADS]
    left = {key_of(child) for child in workloads} if stage or not made else set()
    kept = {*keep, *database.keep, *left, *objects_in_use(seen), url} - building
    delays = [delay for delay in (look_again, database.retry_in, _next_retry(findings)) if delay is not None]
    return Step(
        objects=tuple(wanted),
        keep=frozenset(kept - set(discard)),
        discard=tuple(dict.fromkeys([*database.discard, *discard])),
        findings=(*findings, *gateway.findings(cluster, seen.children)),
        later=tuple(components(cluster, keys) if later is None else later),
        stage=stage,
        look_again=LookAgain(min(delays) + 0.5 if delays else None),
    )


def _next_retry(findings: tuple[Condition, ...]) -> float | None:
    """A fault is looked at again without being woken."""
    return 20.0 if any(item.status == "False" and not item.waiting for item in findings) else None
