"""Facts of Airflow releases that the builders need: commands, ports, probes, order of roll-out.

Sources: the release's own command line, `config_templates/config.yml` and `api_fastapi/.../monitor.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

AIRFLOW_UID = 50000
"""User of the official image; its group is 0."""

AIRFLOW_HOME = "/opt/airflow"
HEARTBEAT_SCRIPT = f"{AIRFLOW_HOME}/operator/heartbeat.py"


def _http(path: str, port: int, **timing: int) -> dict[str, Any]:
    return {"httpGet": {"path": path, "port": port}, **timing}


def _heartbeat(job_type: str, *flags: str, **timing: int) -> dict[str, Any]:
    """A probe that reads the component's own heartbeat from the database: 0.1 s of CPU, where the Airflow CLI takes 2 to 4."""
    return {"exec": {"command": ["python", HEARTBEAT_SCRIPT, job_type, *flags]}, **timing}


@dataclass(frozen=True)
class Component:
    """How one component of a release is run and watched."""

    name: str
    command: str
    """The `airflow` sub-command."""
    probes: Mapping[str, Mapping[str, Any]]
    ports: Mapping[str, int] = field(default_factory=dict)
    reads_dags: bool = False
    signs_tokens: bool = False
    """Holds the private key of task and login tokens (Airflow 3: api-server and scheduler only)."""
    checks_tokens: bool = False
    """Reads the JWKS file (Airflow 3: api-server only)."""
    serves_logs: bool = False
    """Needs `[api] secret_key`: it signs the session cookie and the requests to log servers."""
    health_key: str = ""
    """Its key in the body of the health endpoint."""
    grace: int = 30
    """Seconds that a pod is given to end."""


@dataclass(frozen=True)
class Release:
    """One minor release of Airflow."""

    minor: str
    api_server: Component
    scheduler: Component
    dag_processor: Component
    triggerer: Component
    health_path: str
    auth_manager_fab: str
    dag_bundle_class: str

    @property
    def components(self) -> tuple[Component, ...]:
        """In the order of a rolling change: servers before the clients that speak to them."""
        return (self.api_server, self.scheduler, self.dag_processor, self.triggerer)


_HEALTH_3 = "/api/v2/monitor/health"

# Timings that held on two busy cores; a first start without warm caches takes up to a minute there.
_AIRFLOW_3 = Release(
    minor="3",
    api_server=Component(
        name="api-server",
        command="api-server",
        ports=MappingProxyType({"api-server": 8080}),
        probes=MappingProxyType(
            {
                # The endpoint answers 200 even when other components are unhealthy: it tells of this process only.
                "startupProbe": _http(_HEALTH_3, 8080, periodSeconds=1, timeoutSeconds=20, failureThreshold=180),
                "livenessProbe": _http(_HEALTH_3, 8080, periodSeconds=10, timeoutSeconds=20, failureThreshold=12),
                "readinessProbe": _http(_HEALTH_3, 8080, periodSeconds=5, timeoutSeconds=20, failureThreshold=6),
            }
        ),
        signs_tokens=True,
        checks_tokens=True,
        serves_logs=True,
        health_key="metadatabase",
    ),
    scheduler=Component(
        name="scheduler",
        command="scheduler",
        ports=MappingProxyType({"health": 8974}),
        probes=MappingProxyType(
            {
                # The health server is a process of its own that looks up this scheduler's heartbeat: a hung one is found.
                "startupProbe": _http("/health", 8974, periodSeconds=2, timeoutSeconds=5, failureThreshold=90),
                "livenessProbe": _http("/health", 8974, periodSeconds=20, timeoutSeconds=10, failureThreshold=5),
            }
        ),
        signs_tokens=True,
        health_key="scheduler",
        # Below 30 s a killed scheduler's job row looks alive for minutes and its tasks wait for adoption.
        grace=60,
    ),
    dag_processor=Component(
        name="dag-processor",
        command="dag-processor",
        probes=MappingProxyType(
            {
                "startupProbe": _heartbeat("DagProcessorJob", "--starting", periodSeconds=2, timeoutSeconds=5, failureThreshold=90),
                "livenessProbe": _heartbeat("DagProcessorJob", periodSeconds=30, timeoutSeconds=10, failureThreshold=5),
            }
        ),
        reads_dags=True,
        health_key="dag_processor",
        grace=60,
    ),
    triggerer=Component(
        name="triggerer",
        command="triggerer",
        ports=MappingProxyType({"triggerer-logs": 8794}),
        probes=MappingProxyType(
            {
                "startupProbe": _heartbeat("TriggererJob", "--starting", periodSeconds=2, timeoutSeconds=5, failureThreshold=90),
                "livenessProbe": _heartbeat("TriggererJob", periodSeconds=30, timeoutSeconds=10, failureThreshold=5),
            }
        ),
        reads_dags=True,
        serves_logs=True,
        health_key="triggerer",
        grace=60,
    ),
    health_path=_HEALTH_3,
    auth_manager_fab="airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager",
    dag_bundle_class="airflow.dag_processing.bundles.local.LocalDagBundle",
)

RELEASES: Mapping[str, Release] = MappingProxyType({"3.3.2": _AIRFLOW_3})
"""Every version that a test has run."""


def release_of(version: str) -> Release:
    """The facts of a version; KeyError for one that no test has run."""
    return RELEASES[version]
