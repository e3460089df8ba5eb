"""AirflowBase: what the Airflow deployments of a team share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from airflow_operator.api.allowed import AllowedClusters
from airflow_operator.api.cel import Cel, exactly_one
from airflow_operator.api.common import (
    NAME,
    VOLUME_RULES,
    DeletionPolicy,
    Image,
    ImageRepository,
    ImageTag,
    IntOrString,
    Metadata,
    Model,
    ObjectName,
    Resources,
    SizeString,
)
from airflow_operator.api.external import External
from airflow_operator.api.pods import PodDefaults

POSTGRES_VERSIONS = (15, 16, 17, 18)

_OWN_PARAMETERS = ("config_file", "data_directory", "hba_file", "ident_file", "listen_addresses", "port", "unix_socket_directories")
_LISTED = ", ".join(f"'{name}'" for name in _OWN_PARAMETERS)


class Storage(Model):
    """A volume that the operator asks for."""

    size: SizeString = Field(default="10Gi", description="Size of the volume. It may grow where the StorageClass allows it, never shrink.")
    storage_class_name: ObjectName | None = Field(
        default=None, description="StorageClass of the volume; absent means the default class. It cannot change."
    )

    rules = VOLUME_RULES


class PostgresImage(Image):
    """Image of the PostgreSQL server."""

    repository: ImageRepository | None = Field(
        default=None,
        description="Name of the image without tag. It must behave like the official image. "
        "Absent means docker.io/library/postgres, or what the operator is set to.",
    )
    tag: ImageTag | None = Field(default=None, description="Tag of the image; absent means the major version.")


_PARAMETER_NAMES = Cel(
    rule="self.all(key, key.matches('^[a-z_][a-z0-9_.]*$'))",
    message="names of PostgreSQL settings are lower case, such as max_connections",
    check=lambda value: all(name.replace(".", "_").isidentifier() and name.isascii() and name == name.lower() for name in value),
)
_PARAMETER_OWNED = Cel(
    rule=f"!self.exists(key, key in [{_LISTED}])",
    message=f"set by the operator: leave out {', '.join(_OWN_PARAMETERS)}",
    check=lambda value: not any(name in value for name in _OWN_PARAMETERS),
    reason="FieldValueForbidden",
)


class Postgres(Model):
    """A PostgreSQL server that the operator runs: one pod with one volume."""

    version: Literal[15, 16, 17, 18] = Field(
        default=17, description="Major version of PostgreSQL. It cannot change: data files of one major version do not open in another."
    )
    storage: Storage = Field(
        default=Storage(), description="Volume of the data. It is kept when the AirflowBase goes, unless deletionPolicy is Delete."
    )
    resources: Resources = Field(default_factory=Resources, description="Requests and limits of the server.")
    parameters: Annotated[
        Mapping[str, Annotated[str, Field(max_length=1024), IntOrString()]], Field(max_length=64), _PARAMETER_NAMES, _PARAMETER_OWNED
    ] = Field(default_factory=dict, description="Settings of PostgreSQL, such as max_connections: 200. A change restarts the server.")
    image: PostgresImage = Field(default=PostgresImage(), description="Image of the server.")

    rules = (
        Cel(
            rule="self.version == oldSelf.version",
            message="the major version cannot change in place: make another AirflowBase and move the data",
            field_path=".version",
        ),
    )


class Database(Model):
    """The database server that holds one database for each AirflowCluster: exactly one kind."""

    postgres: Postgres | None = Field(default=None, description="PostgreSQL run by the operator; {} is enough.")
    external: External | None = Field(default=None, description="A server that others run.")

    rules = (
        exactly_one("postgres", "external"),
        Cel(
            rule="has(self.postgres) == has(oldSelf.postgres)",
            message="the kind of server cannot change, since the data lives there: make another AirflowBase and move the data",
        ),
    )


class BaseJobs(Model):
    """The Jobs that work on the server with administrator rights. What they run comes from the base alone, never from a cluster."""

    image: Image | None = Field(
        default=None, description="Image of these Jobs, with the operator's package in it; absent means the operator's own image."
    )
    resources: Resources = Field(default_factory=Resources, description="Requests and limits of each Job's container.")


class AirflowBaseSpec(Model):
    """What the deployments share."""

    database: Database = Field(description="Database server of the deployments.")
    allowed_clusters: AllowedClusters = Field(default=AllowedClusters(), description="AirflowClusters that may use this base.")
    pods: PodDefaults = Field(
        default_factory=PodDefaults, description="Settings of the base's pods: the database server and the Jobs beside it."
    )
    jobs: BaseJobs = Field(default_factory=BaseJobs, description="The Jobs that make databases and roles.")
    deletion_policy: DeletionPolicy = Field(
        default="Retain",
        description="What happens to the data and the passwords when the AirflowBase is deleted. "
        "Retain: they stay, and a base of the same name finds them again. Delete: they go.",
    )


class AirflowBase(Model):
    """What the Airflow deployments of a team share: the database server, and who may use it."""

    api_version: Literal["airflow-operator.dev/v1alpha1"] = "airflow-operator.dev/v1alpha1"
    kind: Literal["AirflowBase"] = "AirflowBase"
    metadata: Metadata
    spec: AirflowBaseSpec = Field(description="The desired state.")

    rules = (NAME,)
