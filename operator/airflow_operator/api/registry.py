"""The custom resources of the operator: their names, what `kubectl get` shows, and which models describe them."""

from __future__ import annotations

from dataclasses import dataclass

from airflow_operator.api.base import AirflowBase, AirflowBaseSpec
from airflow_operator.api.cluster import AirflowCluster, AirflowClusterSpec
from airflow_operator.api.common import Model
from airflow_operator.api.status import AirflowBaseStatus, AirflowClusterStatus
from airflow_operator.domain.kinds import AIRFLOW_BASE, AIRFLOW_CLUSTER
from airflow_operator.domain.manifest import Kind


@dataclass(frozen=True)
class Column:
    """One column of `kubectl get`; a priority above 0 is shown with `-o wide` only."""

    name: str
    json_path: str
    type: str = "string"
    description: str = ""
    priority: int = 0


@dataclass(frozen=True)
class Scale:
    """Where the scale subresource finds the replicas that should run, those that run, and their selector."""

    spec_replicas: str
    status_replicas: str
    selector: str


@dataclass(frozen=True)
class CustomResource:
    """One custom resource."""

    kind: Kind
    singular: str
    short_name: str
    model: type[Model]
    spec: type[Model]
    status: type[Model]
    columns: tuple[Column, ...]
    scale: Scale | None = None


CATEGORY = "airflow"

_READY = Column("Ready", '.status.conditions[?(@.type=="Ready")].status', description="Whether the declared state is the running state.")
_PHASE = Column("Phase", ".status.phase", description="The state in one word.")
_AGE = Column("Age", ".metadata.creationTimestamp", type="date")
_MESSAGE = Column("Message", '.status.conditions[?(@.type=="Ready")].message', description="Why it is ready, or why not.", priority=1)

CLUSTERS = CustomResource(
    kind=AIRFLOW_CLUSTER,
    singular="airflowcluster",
    short_name="afc",
    model=AirflowCluster,
    spec=AirflowClusterSpec,
    status=AirflowClusterStatus,
    columns=(
        Column("Version", ".status.version", description="Version of Airflow that runs."),
        Column("Executor", ".status.executor", description="What runs the tasks."),
        Column("Schedulers", ".status.schedulers", description="Ready and desired schedulers."),
        _READY,
        _PHASE,
        _AGE,
        _MESSAGE,
    ),
    scale=Scale(".spec.scheduler.replicas", ".status.scheduler.replicas", ".status.scheduler.selector"),
)

BASES = CustomResource(
    kind=AIRFLOW_BASE,
    singular="airflowbase",
    short_name="afb",
    model=AirflowBase,
    spec=AirflowBaseSpec,
    status=AirflowBaseStatus,
    columns=(
        Column("Database", ".status.database", description="Kind and version of the database server."),
        Column("Clusters", ".status.clusters", type="integer", description="Number of AirflowClusters on the base."),
        _READY,
        _PHASE,
        _AGE,
        _MESSAGE,
    ),
)

RESOURCES = (BASES, CLUSTERS)
