"""What a release of Airflow is to the builders: the shape of the facts. The facts themselves are rows in `v2` and `v3`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

AIRFLOW_UID = 50000
"""User of the official image; its group is 0."""

AIRFLOW_HOME = "/opt/airflow"
HEARTBEAT_SCRIPT = f"{AIRFLOW_HOME}/operator/heartbeat.py"

FAB = "airflow.providers.fab.auth_manager"

Option = tuple[str, str]
"""Section and name of an option of airflow.cfg."""

Options = Mapping[str, Mapping[str, str]]
"""Section -> option -> value."""


@dataclass(frozen=True)
class Component:
    """How one component of a release is run and watched."""

    name: str
    command: str
    """The `airflow` sub-command."""
    probes: Mapping[str, Mapping[str, Any]]
    ports: Mapping[str, int] = field(default_factory=dict)
    reads_dags: bool = False
    runs_tasks: bool = False
    """It is a worker: with LocalExecutor the scheduler."""
    signs_tokens: bool = False
    """Holds the private key of task and login tokens (Airflow 3: api-server and scheduler only)."""
    checks_tokens: bool = False
    """Reads the JWKS file (Airflow 3: api-server only)."""
    serves_logs: bool = False
    """Needs the secret key: it signs the session cookie and the requests to log servers."""
    health_key: str = ""
    """Its key in the body of the health endpoint."""
    grace: int = 30
    """Seconds that a pod is given to end."""

    @property
    def field_name(self) -> str:
        """The field of the spec that is about it, such as dagProcessor."""
        head, *rest = self.name.split("-")
        return head + "".join(part.title() for part in rest)


@dataclass(frozen=True)
class Release:
    """One minor release of Airflow."""

    minor: str
    api_server: Component
    scheduler: Component
    dag_processor: Component
    triggerer: Component
    health_path: str
    base_url: Option
    """Where users reach the API server; its path is the one under which it answers."""
    secret_key: Option
    """Signs session cookies and the requests to log servers."""
    refresh: Option
    """Seconds between two searches for new DAG files."""
    defaults: Options
    """The operator's own defaults of airflow.cfg, each with its reason."""
    metrics: Mapping[str, str] = field(default_factory=dict)
    """Options of section [metrics] for a cluster with metrics, each with its reason."""
    auth_manager_fab: str = f"{FAB}.fab_auth_manager.FabAuthManager"
    webserver_config: Option = ("fab", "config_file")
    """Where the login pages read webserver_config.py."""
    proxy_fix: Option = ("fab", "enable_proxy_fix")
    """Whether the login pages believe the headers of a proxy."""
    proxy_flag: str = "--proxy-headers"
    """Makes the API server itself believe them; from whom, FORWARDED_ALLOW_IPS says. Empty where its pages are all that there is."""
    dag_bundle_class: str = ""
    """Class of a DAG bundle that is a directory; empty where Airflow knows one DAGs folder only."""
    resolves_folder: bool = False
    """A DAGs folder that is a link stands for the place that it leads to: once it leads elsewhere, DAGs that are gone are not missed."""
    task_sdk: bool = True
    """Tasks speak to the execution API with a token; without it they open the database, and there are no tokens."""
    token_algorithm: str = ""
    """What tokens are signed with, where the API server has to be told; empty where the JWKS file tells it."""
    scheduler_parses: bool = False
    """The scheduler parses DAG files itself unless a dag-processor is asked for."""
    standalone: bool = True
    """A dag-processor runs."""

    @property
    def components(self) -> tuple[Component, ...]:
        """In the order of a rolling change: servers before the clients that speak to them."""
        processor = (self.dag_processor,) if self.standalone else ()
        return (self.api_server, self.scheduler, *processor, self.triggerer)

    @property
    def parser(self) -> Component:
        """The component that parses DAG files."""
        return self.dag_processor if self.standalone else self.scheduler

    def as_run(self, *, local_tasks: bool, dag_processor: bool) -> Release:
        """The same release as one cluster runs it: whether schedulers run tasks, and whether a dag-processor is asked for."""
        standalone = dag_processor or not self.scheduler_parses
        scheduler = self.scheduler
        if local_tasks:
            ports = MappingProxyType({**scheduler.ports, "worker-logs": WORKER_LOG_PORT})
            scheduler = replace(scheduler, runs_tasks=True, serves_logs=True, ports=ports, grace=TASKS_GRACE)
        return replace(
            self, scheduler=replace(scheduler, reads_dags=scheduler.reads_dags or local_tasks or not standalone), standalone=standalone
        )


TASKS_GRACE = 600
"""Seconds that a scheduler is given to finish the tasks that it runs itself, as the official chart gives its workers."""

WORKER_LOG_PORT = 8793
"""`[logging] worker_log_server_port`: where whatever runs tasks serves their logs."""


def http(path: str, port: int, **timing: int) -> dict[str, Any]:
    """A probe over HTTP."""
    return {"httpGet": {"path": path, "port": port}, **timing}


def heartbeat(job_type: str) -> Mapping[str, Mapping[str, Any]]:
    """Probes that read the component's own heartbeat from the database: 0.1 s of CPU, where the Airflow CLI takes 2 to 4."""

    def probe(*flags: str, **timing: int) -> dict[str, Any]:
        return {"exec": {"command": ["python", HEARTBEAT_SCRIPT, job_type, *flags]}, **timing}

    return MappingProxyType(
        {
            "startupProbe": probe("--starting", periodSeconds=2, timeoutSeconds=5, failureThreshold=90),
            "livenessProbe": probe(periodSeconds=30, timeoutSeconds=10, failureThreshold=5),
        }
    )


def server_probes(path: str) -> Mapping[str, Mapping[str, Any]]:
    """Probes of the API server.

    The endpoint answers 200 even when other components are unhealthy: it tells of this process only. Timings held on two busy cores;
    a first start without warm caches takes up to a minute there.
    """
    return MappingProxyType(
        {
            "startupProbe": http(path, 8080, periodSeconds=1, timeoutSeconds=20, failureThreshold=180),
            "livenessProbe": http(path, 8080, periodSeconds=10, timeoutSeconds=20, failureThreshold=12),
            "readinessProbe": http(path, 8080, periodSeconds=5, timeoutSeconds=20, failureThreshold=6),
        }
    )


SCHEDULER_PROBES: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        # The health server is a process of its own that looks up this scheduler's heartbeat: a hung one is found.
        "startupProbe": http("/health", 8974, periodSeconds=2, timeoutSeconds=5, failureThreshold=90),
        # And is not given the hours that a drain may take: it hears no signal.
        "livenessProbe": http("/health", 8974, periodSeconds=20, timeoutSeconds=10, failureThreshold=5, terminationGracePeriodSeconds=60),
    }
)


DAG_PROCESSOR = Component(
    name="dag-processor",
    command="dag-processor",
    probes=heartbeat("DagProcessorJob"),
    reads_dags=True,
    health_key="dag_processor",
    grace=60,
)
TRIGGERER = Component(
    name="triggerer",
    command="triggerer",
    ports=MappingProxyType({"triggerer-logs": 8794}),
    probes=heartbeat("TriggererJob"),
    reads_dags=True,
    serves_logs=True,
    health_key="triggerer",
    grace=60,
)
"""Both are run and watched alike in Airflow 2 and 3."""
