"""What passes between the steps of a reconciliation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from airflow_operator.domain import images
from airflow_operator.domain.manifest import Kind, Live, Manifest, ObjectKey


@dataclass(frozen=True)
class LookAgain:
    """When to reconcile next without being woken: after this many seconds; None leaves it to the resync."""

    after: float | None = None


REPLICA_FAILURE = "ReplicaFailure"
"""Type of the condition of a Deployment whose pods are refused."""

RETRY_REFUSED = 10.0
"""Seconds until what the API server refused is tried again: nothing tells when a quota or a policy changes."""


def soonest(*wanted: LookAgain) -> LookAgain:
    """The earliest of several wishes."""
    return LookAgain(min((wish.after for wish in wanted if wish.after is not None), default=None))


@dataclass(frozen=True)
class Platform:
    """What the operator's own settings contribute to what it builds."""

    operator_image: str
    webhook_url: str = ""
    """Base URL of this operator's git-sync webhook as pods reach it; empty where there is none."""
    namespace: str = ""
    """The operator's own namespace; empty where it is not known."""
    airflow_image: str = images.AIRFLOW
    git_sync_image: str = images.GIT_SYNC
    postgres_image: str = images.POSTGRES
    statsd_exporter_image: str = images.STATSD_EXPORTER
    """Images that are used where a resource names none."""


@dataclass(frozen=True)
class Health:
    """What Airflow's health endpoint says."""

    reachable: bool | None = None
    """None: not known yet."""
    asked: bool = True
    """False where the operator is told not to ask: Ready then rests on the pods alone."""
    components: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Condition:
    """A condition before it has times: those are added when it is compared with the last status."""

    type: str
    status: Literal["True", "False", "Unknown"]
    reason: str
    message: str
    waiting: bool = False
    """Not true yet, but on its way by itself: progress, no fault."""


@dataclass(frozen=True)
class SeenCluster:
    """One picture of an AirflowCluster and of all that it depends on."""

    resource: Live
    namespace_uid: str
    base: Live | None
    children: tuple[Live, ...]
    """Everything that carries the cluster's label in its own namespace."""
    pods: tuple[Live, ...]
    provisioning: tuple[Live, ...]
    """What the operator keeps for the cluster in the namespace of its base: Jobs, their pods, the copy of the keys."""
    base_claims: tuple[Live, ...]
    """PersistentVolumeClaims of the base's database: a new claim is a new, empty server."""
    references: Mapping[tuple[str, str], Live | None]
    """(kind, name) -> Secret or ConfigMap that the spec names; None where it does not exist."""
    health: Health
    commits: Mapping[str, str]
    """DAG entry -> commit that git-sync last reported to this process."""
    now: datetime
    absent: frozenset[Kind] = frozenset()
    """Optional kinds that this Kubernetes cluster does not know."""
    namespace_going: bool = False
    """The namespace is being deleted, and everything in it goes with it."""
    namespace_labels: Mapping[str, str] = field(default_factory=dict)
    base_refused: str = ""
    """The API server's words where the operator may not read the namespace of the base."""
    base_ca: Live | None = None
    """The Secret or ConfigMap with the certificates that the base's server is checked with."""
    base_namespace_going: bool = False
    """The namespace of the base is being deleted: nothing can be made there any more."""
    first: bool = False
    """Nothing was ever made for it: this is the first look that any operator takes."""
    around: str = ""
    """Digest of all of this that is no child: see `around.Around.version`."""


@dataclass(frozen=True)
class Step:
    """What may be done now, what is left alone, and why."""

    objects: tuple[Manifest, ...]
    keep: frozenset[ObjectKey] = frozenset()
    """Live children that are neither applied nor pruned: held back, evidence of a Job, still in use."""
    discard: tuple[ObjectKey, ...] = ()
    """Evidence and workloads that must be gone before anything else is written."""
    findings: tuple[Condition, ...] = ()
    """One condition a concern, as far as the plan knows."""
    later: tuple[Manifest, ...] = ()
    """What is applied after this step: its faults are looked for before anything is stopped or changed for it."""
    stage: str = ""
    """The phase that a person reads while something is still being waited for; empty when nothing is."""
    look_again: LookAgain = LookAgain()
