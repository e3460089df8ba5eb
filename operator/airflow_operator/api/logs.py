"""Where the logs of tasks are kept."""

from __future__ import annotations

from pydantic import Field

from airflow_operator.api.cel import at_most_one, exactly_one
from airflow_operator.api.common import VOLUME_RULES, Model, ObjectName, SizeString


class LogVolume(Model):
    """A volume that every component and every task writes its logs to, so that they outlive the pods."""

    size: SizeString | None = Field(
        default=None, description="Size of a new volume. It may grow where the StorageClass allows it, never shrink."
    )
    storage_class_name: ObjectName | None = Field(
        default=None, description="StorageClass of a new volume; it must support ReadWriteMany. Absent means the default class."
    )
    claim_name: ObjectName | None = Field(default=None, description="An existing PersistentVolumeClaim with ReadWriteMany instead.")

    rules = (
        exactly_one("size", "claimName"),
        at_most_one("storageClassName", "claimName"),
        *VOLUME_RULES,
    )


class Logs(Model):
    """Where the logs of tasks are kept: exactly one."""

    volume: LogVolume | None = Field(default=None, description="A shared volume.")

    rules = (exactly_one("volume"),)
