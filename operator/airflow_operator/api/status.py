"""What the operator reports in `status`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from airflow_operator.api.common import ListMap, Model, ObjectReference

_Count = Annotated[int, Field(ge=0, json_schema_extra={"format": "int32"})]
_Generation = Annotated[int, Field(json_schema_extra={"format": "int64"})]


class Condition(Model):
    """One aspect of the state, told as the Kubernetes conventions ask."""

    type: Annotated[str, Field(max_length=316)] = Field(description="The aspect, such as Ready or DagsSynced.")
    status: Literal["True", "False", "Unknown"] = Field(description="Whether it holds.")
    observed_generation: _Generation | None = Field(default=None, description="Generation of the spec that this is about.")
    last_transition_time: Annotated[str, Field(json_schema_extra={"format": "date-time"})] = Field(
        description="When the status last went from one value to another."
    )
    reason: Annotated[str, Field(max_length=1024)] = Field(description="Why, in one word for machines.")
    message: Annotated[str, Field(max_length=32768)] = Field(default="", description="Why, in a sentence for people.")


class ComponentStatus(Model):
    """One component."""

    name: Annotated[str, Field(max_length=63)] = Field(description="Name of the component, such as scheduler.")
    desired: _Count = Field(description="Pods that should run.")
    ready: _Count = Field(description="Pods that run the declared state and are ready.")


class DagStatus(Model):
    """One source of DAGs."""

    name: Annotated[str, Field(max_length=63)] = Field(description="Name of the entry of spec.dags.")
    repo: Annotated[str, Field(max_length=1024)] | None = Field(
        default=None, description="Repository that the commit is of; without one, that is followed."
    )
    ref: Annotated[str, Field(max_length=255)] | None = Field(default=None, description="Branch, tag or commit of it.")
    commit: Annotated[str, Field(max_length=64)] | None = Field(default=None, description="Commit that was synced last.")


class AuthStatus(Model):
    """Logging in."""

    admin_secret_ref: ObjectReference | None = Field(default=None, description="Secret with username and password of the administrator.")
    users_secret_ref: ObjectReference | None = Field(
        default=None, description="Secret with the passwords of auth.simple, each under the name of its user."
    )


class SchedulerScale(Model):
    """What the scale subresource shows."""

    replicas: _Count = Field(description="Scheduler pods that exist.")
    selector: Annotated[str, Field(max_length=1024)] = Field(description="Label selector of the scheduler pods.")


class _Status(Model):
    observed_generation: _Generation | None = Field(default=None, description="Generation of the spec that this status is about.")
    phase: Annotated[str, Field(max_length=63)] | None = Field(default=None, description="The state in one word for people.")
    conditions: Annotated[tuple[Condition, ...], Field(max_length=32), ListMap("type")] = Field(
        default_factory=tuple, description="The aspects of the state, each with a reason and a sentence."
    )


class AirflowClusterStatus(_Status):
    """What the deployment is."""

    version: Annotated[str, Field(max_length=63)] | None = Field(default=None, description="Version of Airflow that runs.")
    executor: Annotated[str, Field(max_length=256)] | None = Field(
        default=None, description="Executors that run tasks, the default one first."
    )
    schedulers: Annotated[str, Field(max_length=32)] | None = Field(default=None, description="Ready and desired schedulers, such as 2/3.")
    components: Annotated[tuple[ComponentStatus, ...], Field(max_length=64), ListMap()] = Field(
        default_factory=tuple, description="The components, each with its desired and ready pods."
    )
    dags: Annotated[tuple[DagStatus, ...], Field(max_length=64), ListMap()] = Field(
        default_factory=tuple, description="The sources of DAGs, each with its synced commit."
    )
    url: Annotated[str, Field(max_length=1024)] | None = Field(default=None, description="Where the user interface answers.")
    auth: AuthStatus | None = Field(default=None, description="Logging in.")
    scheduler: SchedulerScale | None = Field(default=None, description="What kubectl scale and autoscalers read.")
    observed_digest: Annotated[str, Field(max_length=64)] | None = Field(
        default=None,
        description="Digest of what a look saw that left nothing to do: an operator that starts again sees by it what did not change.",
    )


class PostgresStatus(Model):
    """The PostgreSQL server of the base."""

    service_name: Annotated[str, Field(max_length=63)] = Field(description="Service of the server, in the namespace of the base.")
    port: _Count = Field(description="Port of the server.")
    version: Annotated[str, Field(max_length=32)] | None = Field(default=None, description="Major version of the server.")
    secret_ref: ObjectReference | None = Field(default=None, description="Secret with the password of the superuser.")


class ExternalStatus(Model):
    """The database server that others run."""

    host: Annotated[str, Field(max_length=253)] = Field(description="Name or address of the server.")
    port: _Count = Field(description="Its port.")
    version: Annotated[str, Field(max_length=32)] | None = Field(default=None, description="Its version, where it can be asked for.")


class AirflowBaseStatus(_Status):
    """What the base is."""

    database: Annotated[str, Field(max_length=63)] | None = Field(default=None, description="Kind and version of the database server.")
    postgres: PostgresStatus | None = Field(default=None, description="The PostgreSQL server.")
    external: ExternalStatus | None = Field(default=None, description="The server that others run.")
    clusters: _Count | None = Field(default=None, description="Number of AirflowClusters on this base.")
