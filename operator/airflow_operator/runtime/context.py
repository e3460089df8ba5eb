"""What a reconciliation is given besides the name of its resource."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from airflow_operator.kube.protocol import Kube
from airflow_operator.runtime.events import Events
from airflow_operator.runtime.gitsync import GitSyncNews
from airflow_operator.runtime.health_turns import HealthTurns
from airflow_operator.runtime.inventory import Inventory
from airflow_operator.runtime.wakeups import References
from airflow_operator.settings import Settings


def utc_now() -> datetime:
    """The time of day, in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Context:
    """The outer world of a reconciliation; every part can be replaced in a test."""

    kube: Kube
    settings: Settings
    health: HealthTurns
    news: GitSyncNews
    references: References
    events: Events
    inventory: Inventory = field(default_factory=Inventory)
    program: str = ""
    """Digest of the operator's code and of the settings that a reconciliation depends on."""
    now: Callable[[], datetime] = utc_now
