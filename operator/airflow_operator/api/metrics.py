"""Airflow's metrics for Prometheus."""

from __future__ import annotations

from pydantic import Field

from airflow_operator.api.certificates import FileReference
from airflow_operator.api.common import Image, ImageRepository, ImageTag, Resources
from airflow_operator.api.pods import OwnPods


class ExporterImage(Image):
    """Image of the StatsD exporter."""

    repository: ImageRepository | None = Field(
        default=None,
        description="Name of the image without tag; Prometheus' statsd_exporter. "
        "Absent means docker.io/prom/statsd-exporter, or what the operator is set to.",
    )
    tag: ImageTag | None = Field(default=None, description="Tag of the image; absent means v0.31.0, or what the operator is set to.")


class Metrics(OwnPods):
    """The StatsD exporter that Airflow sends its metrics to. What is set here wins over spec.pods: maps merge, lists replace.

    The container is called statsd.
    """

    enabled: bool = Field(default=True, description="false: none, as if the field were absent.")
    image: ExporterImage = Field(default=ExporterImage(), description="Image of the StatsD exporter.")
    mappings_ref: FileReference | None = Field(
        default=None,
        description="A mapping file of your own for the exporter, in place of the operator's. A change restarts the exporter.",
    )
    resources: Resources = Field(
        default_factory=Resources, description="Requests and limits of the exporter; those of spec.pods are not meant for it."
    )
