"""Where the logs of tasks are kept."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field

from airflow_operator.api.cel import Cel, at_most_one, cel_string, exactly_one, matches, needs
from airflow_operator.api.certificates import DataReference
from airflow_operator.api.common import VOLUME_RULES, Model, ObjectName, SizeString
from airflow_operator.domain.durations import seconds

_DURATION = r"^([0-9]+(\.[0-9]+)?(s|m|h))+$"

Retention = Annotated[
    str,
    Field(max_length=32),
    Cel(
        rule=f"self.matches({cel_string(_DURATION)}) && duration(self) >= duration('1h') && duration(self) <= duration('87600h')",
        message="must be a duration from 1h to 87600h (ten years); days are hours: 720h are thirty days",
        check=lambda value: re.fullmatch(_DURATION, value) is not None and 3600 <= seconds(value) <= 87600 * 3600,
    ),
]

SCHEMES = ("s3", "gs", "wasb", "oss", "hdfs", "cloudwatch", "stackdriver")
"""What Airflow's own logging settings know; the image must hold the provider of the one that is used."""


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


class RemoteLogs(Model):
    """A store outside of the cluster. A task's log is sent there when the task ends."""

    url: Annotated[
        str,
        Field(max_length=1024),
        matches(
            rf"^({'|'.join(SCHEMES)})://[^\s@]*$", f"must begin with {', '.join(f'{scheme}://' for scheme in SCHEMES)} and hold no password"
        ),
    ] = Field(description="Where the logs go, such as s3://bucket/folder. The image must hold Airflow's provider for it.")
    connection_id: (
        Annotated[str, Field(max_length=128), matches("^[A-Za-z0-9_]+$", "must be letters, digits and _, such as aws_logs")] | None
    ) = Field(
        default=None,
        description="Airflow connection for it. Absent: the identity of the pods, such as that of a cloud's service account.",
    )
    connection_secret_ref: DataReference | None = Field(
        default=None,
        description="Key of a Secret with that connection as a URI or as JSON; every Airflow container gets it. "
        "Absent: the connection is one that Airflow knows already. A change restarts the components.",
    )

    rules = (needs("connectionSecretRef", "connectionId"),)


class Logs(Model):
    """Where the logs of tasks are kept: exactly one."""

    volume: LogVolume | None = Field(default=None, description="A shared volume.")
    remote: RemoteLogs | None = Field(default=None, description="A store outside of the cluster.")
    retention: Retention | None = Field(
        default=None,
        description="How long logs stay on the volume, such as 720h; a CronJob removes older ones once a day. Absent: for ever.",
    )

    rules = (
        exactly_one("volume", "remote"),
        Cel(
            rule="!has(self.retention) || has(self.volume)",
            message="retention cleans a volume: for remote logs set a lifecycle rule in their store",
            check=lambda it: it.retention is None or it.volume is not None,
            field_path=".retention",
        ),
    )
