"""How one process of the operator is told to behave: from its environment, and flags that override it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Annotated, Any, Literal, get_type_hints

from airflow_operator.domain.images import AIRFLOW, GIT_SYNC, POSTGRES, REGISTRY, STATSD_EXPORTER, mirrored, split
from airflow_operator.reconcile.types import Platform

PREFIX = "AIRFLOW_OPERATOR_"
RELEASED_IMAGE = "ghcr.io/airflow-operator/airflow-operator:0.1.0"

SERVICE_LINKS = re.compile(PREFIX + "(SERVICE|PORT)(_.*)?")
"""Variables that Kubernetes makes of a Service named airflow-operator."""

LogFormat = Literal["text", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]


class InvalidSetting(ValueError):
    """A setting cannot be read; the message names it and says what it takes."""


@dataclass(frozen=True)
class Settings:
    """Each field is also a flag of `run`, and an environment variable: AIRFLOW_OPERATOR_ and its name in capitals. Times are seconds."""

    namespaces: Annotated[tuple[str, ...], "The namespaces that are served, separated by commas; empty: all of them."] = ()
    opt_in: Annotated[
        bool,
        "Serve a namespace only once its administrator granted it (see docs/installs.md); until then the condition AccessGranted says how.",
    ] = False
    image_registry: Annotated[
        str,
        "A mirror, such as registry.example.com/mirror: takes the place of the registry's host in the name of every image that the "
        "operator chooses by itself. Images that a resource or another setting names are used as they are named.",
    ] = ""
    image: Annotated[str, "The operator's own image, which Jobs for databases run; empty: that of the operator's pod."] = ""
    git_sync_image: Annotated[str, f"Image of git-sync where a resource names none; empty: {GIT_SYNC}."] = ""
    postgres_image: Annotated[
        str,
        f"Image of PostgreSQL without tag, where a base names none; the tag is the major version. Empty: {POSTGRES}.",
    ] = ""
    statsd_exporter_image: Annotated[str, f"Image of the StatsD exporter where a resource names none; empty: {STATSD_EXPORTER}."] = ""
    git_sync_webhook_url: Annotated[
        str,
        "Base URL of this operator's webhook as pods reach it; empty: git-sync is not asked to call, and commits are not told in status.",
    ] = ""
    own_namespace: Annotated[
        str,
        "The operator's own namespace: NetworkPolicies let its pods in to ask for Airflow's health. "
        "Empty: those of any namespace that are labelled as it is.",
    ] = ""
    health_probe: Annotated[bool, "Whether Airflow's health endpoint is read; without it Ready rests on the pods alone."] = True
    resync: Annotated[float, "Every resource is looked at again after so many seconds, give or take a tenth."] = 600.0
    debounce: Annotated[float, "At least so many seconds lie between two looks at one resource; news in between are gathered."] = 0.1
    concurrency: Annotated[int, "How many resources are reconciled at the same time."] = 20
    requests_at_once: Annotated[int, "How many requests to the API server are under way at the same time; watches do not count."] = 32
    writes_per_second: Annotated[int, "How many writes go to the API server in any second at most; 0: as many as there are."] = 50
    reconcile_timeout: Annotated[float, "How many seconds one reconciliation may take."] = 120.0
    deletion_timeout: Annotated[
        float,
        "After so many seconds a resource whose clean-up fails is let go, and an event says what may be left.",
    ] = 300.0
    leader_election: Annotated[
        bool, "Whether one of several replicas works and the others stand by; needs a Lease in the operator's own namespace."
    ] = False
    lease_duration: Annotated[float, "For how many seconds a leader that is silent keeps the others waiting."] = 15.0
    lease_renew_deadline: Annotated[float, "For how many seconds a leader that cannot renew its Lease works on."] = 10.0
    lease_retry_period: Annotated[float, "How many seconds lie between two looks at the Lease."] = 2.0
    health_port: Annotated[int, "Port of the operator's own /healthz and /readyz."] = 8080
    webhook_port: Annotated[int, "Port where git-sync calls."] = 8090
    log_format: Annotated[LogFormat, "Lines for people (text), or one JSON object a line (json)."] = "text"
    log_level: Annotated[LogLevel, "The least that is logged: debug, info, warning or error."] = "info"

    def __post_init__(self) -> None:
        """Refuse what would make the operator spin or hang, or no name of an image."""
        if not REGISTRY.fullmatch(self.image_registry):
            raise InvalidSetting(
                f"{variable('image_registry')} must be a host, a port and a path at most, such as registry.example.com/mirror."
            )
        if self.postgres_image and split(self.postgres_image)[1:] != ("", ""):
            raise InvalidSetting(
                f"{variable('postgres_image')} takes no tag and no digest: the tag is the major version that a base names."
            )
        for name in ("resync", "reconcile_timeout", "deletion_timeout", "concurrency", "requests_at_once"):
            if getattr(self, name) <= 0:
                raise InvalidSetting(f"{variable(name)} must be above zero.")
        if not 0 < self.lease_retry_period < self.lease_renew_deadline < self.lease_duration:
            raise InvalidSetting(
                f"{variable('lease_retry_period')} must be below {variable('lease_renew_deadline')}, and that below "
                f"{variable('lease_duration')}: two leaders could work at once otherwise."
            )
        for name in ("debounce", "writes_per_second"):
            if getattr(self, name) < 0:
                raise InvalidSetting(f"{variable(name)} must not be negative.")

    @property
    def platform(self) -> Platform:
        """What of these settings goes into the objects that are built."""
        mirror = self.image_registry
        return Platform(
            self.image or mirrored(RELEASED_IMAGE, mirror),
            self.git_sync_webhook_url.rstrip("/"),
            namespace=self.own_namespace,
            airflow_image=mirrored(AIRFLOW, mirror),
            git_sync_image=self.git_sync_image or mirrored(GIT_SYNC, mirror),
            postgres_image=self.postgres_image or mirrored(POSTGRES, mirror),
            statsd_exporter_image=self.statsd_exporter_image or mirrored(STATSD_EXPORTER, mirror),
        )

    def with_changes(self, changes: Mapping[str, Any]) -> Settings:
        """These settings with some replaced; values that are None change nothing."""
        return replace(self, **{name: value for name, value in changes.items() if value is not None})


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return PREFIX + name.upper()


def explained() -> dict[str, str]:
    """What each setting does."""
    return {name: hint.__metadata__[0] for name, hint in get_type_hints(Settings, include_extras=True).items()}


def from_environment(environ: Mapping[str, str]) -> Settings:
    """Settings as the environment gives them; an empty variable counts as absent. Raises InvalidSetting."""
    known = {variable(item.name): item.name for item in fields(Settings)}
    for key in sorted(environ):
        if key.startswith(PREFIX) and key not in known and not SERVICE_LINKS.fullmatch(key):
            raise InvalidSetting(f"{key} is not a setting of the operator.")
    return Settings().with_changes({name: parse(name, environ[key]) for key, name in known.items() if environ.get(key)})


def parse(name: str, text: str) -> Any:
    """The value of one setting from text."""
    reader = _READERS.get(name, str)
    try:
        return reader(text.strip())
    except ValueError as error:
        raise InvalidSetting(f"{variable(name)}={text!r}: {error}") from None


def _namespaces(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))


def _flag(text: str) -> bool:
    if text.lower() in {"true", "false"}:
        return text.lower() == "true"
    raise ValueError("takes true or false.")


def _one_of(*choices: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in choices:
            raise ValueError(f"takes one of {', '.join(choices)}.")
        return text

    return read


def _seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError("takes a number of seconds.") from None


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError("takes a whole number.") from None


_READERS: Mapping[str, Callable[[str], Any]] = {
    "namespaces": _namespaces,
    "opt_in": _flag,
    "health_probe": _flag,
    "resync": _seconds,
    "debounce": _seconds,
    "concurrency": _whole,
    "requests_at_once": _whole,
    "writes_per_second": _whole,
    "reconcile_timeout": _seconds,
    "deletion_timeout": _seconds,
    "leader_election": _flag,
    "lease_duration": _seconds,
    "lease_renew_deadline": _seconds,
    "lease_retry_period": _seconds,
    "health_port": _whole,
    "webhook_port": _whole,
    "log_format": _one_of("text", "json"),
    "log_level": _one_of("debug", "info", "warning", "error"),
}
