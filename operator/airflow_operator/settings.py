"""How one process of the operator is told to behave: from its environment, and flags that override it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

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
    """Each field is also an environment variable: AIRFLOW_OPERATOR_ and its name in capitals. Times are seconds."""

    namespaces: tuple[str, ...] = ()
    """The namespaces that are served; empty: all of them."""
    image: str = ""
    """The operator's own image, which provision Jobs run; empty: that of the operator's pod, else the released one."""
    git_sync_webhook_url: str = ""
    """Base URL of this operator's webhook as pods reach it; empty: git-sync is not asked to call."""
    health_probe: bool = True
    """Whether Airflow's health endpoint is read; without it Ready rests on the pods alone."""
    resync: float = 600.0
    """Every resource is looked at again after this time, give or take a tenth."""
    debounce: float = 0.1
    """How long news about one resource is gathered before it is looked at."""
    concurrency: int = 20
    """How many resources are reconciled at the same time."""
    reconcile_timeout: float = 120.0
    """How long one reconciliation may take."""
    deletion_timeout: float = 300.0
    """After this time a resource whose clean-up fails is let go, and an event says so."""
    leader_election: bool = False
    """Whether one of several replicas works and the others stand by; needs a Lease in the operator's own namespace."""
    lease_duration: float = 15.0
    """How long a leader that is silent keeps the others waiting."""
    lease_renew_deadline: float = 10.0
    """How long a leader that cannot renew its Lease works on."""
    lease_retry_period: float = 2.0
    """Between two looks at the Lease."""
    health_port: int = 8080
    webhook_port: int = 8090
    log_format: LogFormat = "text"
    log_level: LogLevel = "info"

    def __post_init__(self) -> None:
        """Refuse what would make the operator spin or hang."""
        for name in ("resync", "reconcile_timeout", "deletion_timeout", "concurrency"):
            if getattr(self, name) <= 0:
                raise InvalidSetting(f"{variable(name)} must be above zero.")
        if not 0 < self.lease_retry_period < self.lease_renew_deadline < self.lease_duration:
            raise InvalidSetting(
                f"{variable('lease_retry_period')} must be below {variable('lease_renew_deadline')}, and that below "
                f"{variable('lease_duration')}: two leaders could work at once otherwise."
            )
        if self.debounce < 0:
            raise InvalidSetting(f"{variable('debounce')} must not be negative.")

    @property
    def platform(self) -> Platform:
        """What of these settings goes into the objects that are built."""
        return Platform(self.image or RELEASED_IMAGE, self.git_sync_webhook_url.rstrip("/"))

    def with_changes(self, changes: Mapping[str, Any]) -> Settings:
        """These settings with some replaced; values that are None change nothing."""
        return replace(self, **{name: value for name, value in changes.items() if value is not None})


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return PREFIX + name.upper()


def from_environment(environ: Mapping[str, str]) -> Settings:
    """Settings as the environment gives them; an empty variable counts as absent. Raises InvalidSetting."""
    known = {variable(field.name): field.name for field in fields(Settings)}
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
    "health_probe": _flag,
    "resync": _seconds,
    "debounce": _seconds,
    "concurrency": _whole,
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
