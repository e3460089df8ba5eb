"""Environment variables, and where their values come from."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from airflow_operator.api.cel import at_most_one, exactly_one
from airflow_operator.api.common import KeyReference, ListMap, Model, ObjectReference
from airflow_operator.api.config_rules import variable_rules


class FieldReference(Model):
    """A field of the pod itself."""

    field_path: Annotated[str, Field(min_length=1, max_length=256)] = Field(
        description="Path of the field, such as metadata.name or status.podIP."
    )
    api_version: Annotated[str, Field(max_length=64)] | None = Field(default=None, description="Version of the path; absent means v1.")


class EnvSource(Model):
    """Where the value of an environment variable comes from: exactly one."""

    secret_key_ref: KeyReference | None = Field(default=None, description="A key of a Secret. A change restarts what uses it.")
    config_map_key_ref: KeyReference | None = Field(default=None, description="A key of a ConfigMap. A change restarts what uses it.")
    field_ref: FieldReference | None = Field(default=None, description="A field of the pod.")

    rules = (exactly_one("secretKeyRef", "configMapKeyRef", "fieldRef"),)


class EnvVar(Model):
    """One environment variable."""

    name: Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[-._a-zA-Z][-._a-zA-Z0-9]*$")] = Field(
        description="Name of the variable."
    )
    value: Annotated[str, Field(max_length=32768)] | None = Field(default=None, description="Its value. Keep secrets out: use valueFrom.")
    value_from: EnvSource | None = Field(default=None, description="Where its value comes from instead.")

    rules = (at_most_one("value", "valueFrom"), *variable_rules())


class WholeReference(ObjectReference):
    """All keys of a Secret or ConfigMap in the same namespace."""

    optional: bool | None = Field(
        default=None, description="true: start without it when the object is missing; absent or false: wait for it."
    )


class EnvFrom(Model):
    """All keys of a Secret or ConfigMap as environment variables."""

    prefix: Annotated[str, Field(max_length=128)] | None = Field(default=None, description="Put before every key.")
    secret_ref: WholeReference | None = Field(default=None, description="A Secret. A change restarts what uses it.")
    config_map_ref: WholeReference | None = Field(default=None, description="A ConfigMap. A change restarts what uses it.")

    rules = (exactly_one("secretRef", "configMapRef"),)


EnvList = Annotated[tuple[EnvVar, ...], Field(max_length=128), ListMap()]
