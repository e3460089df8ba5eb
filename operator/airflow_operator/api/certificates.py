"""Files that a user brings in a Secret or ConfigMap, certificates of authorities above all."""

from __future__ import annotations

from pydantic import Field

from airflow_operator.api.cel import exactly_one
from airflow_operator.api.common import DataKey, Model, ObjectName


class DataReference(Model):
    """One key of a Secret or ConfigMap in the same namespace; what needs it waits until it is there."""

    name: ObjectName = Field(description="Name of the object.")
    key: DataKey = Field(description="Key within its data.")


class FromData(Model):
    """A file from exactly one place."""

    secret_key_ref: DataReference | None = Field(default=None, description="A key of a Secret.")
    config_map_key_ref: DataReference | None = Field(default=None, description="A key of a ConfigMap.")

    rules = (exactly_one("secretKeyRef", "configMapKeyRef"),)


class CertificateAuthority(FromData):
    """Certificates in PEM form of those who may sign a server's certificate: from exactly one place."""


class FileReference(FromData):
    """A file from exactly one place."""
