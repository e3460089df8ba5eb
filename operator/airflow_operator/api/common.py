"""Shapes that both resources use."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, model_validator
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from airflow_operator.api.cel import Cel, cel_string, matches, refusal, with_rules
from airflow_operator.domain.durations import seconds
from airflow_operator.domain.quantities import QUANTITY, quantity


class Model(BaseModel):
    """Base of every shape in a spec: immutable, unknown fields refused, YAML names in camelCase and attributes in snake_case."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)

    rules: ClassVar[tuple[Cel, ...]] = ()
    """Rules about several fields of the object together."""

    def has(self, name: str) -> bool:
        """Whether the field with this YAML name has a value."""
        field = next(key for key, info in type(self).model_fields.items() if (info.alias or key) == name)
        return getattr(self, field) is not None

    @model_validator(mode="after")
    def _keep_rules(self) -> Self:
        for rule in self.rules:
            rule.verify(self)
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Add the rules of the object to its schema."""
        made = handler(schema)
        handler.resolve_ref_schema(made).update(with_rules(handler.resolve_ref_schema(made), cls.rules))
        return made


@dataclass(frozen=True)
class ListMap:
    """Annotation of a list of objects that a field identifies: entries merge by it, and no two have the same."""

    key: str = "name"

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Refuse two entries with the same key, as the API server does."""
        return core_schema.no_info_after_validator_function(self._unique, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Say how the list merges."""
        return {**handler(schema), "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [self.key]}

    def _unique(self, entries: Any) -> Any:
        keys = [entry[self.key] if isinstance(entry, Mapping) else getattr(entry, self.key) for entry in entries]
        for position, key in enumerate(keys):
            if key in keys[:position]:
                raise refusal(f"{self.key} {key} stands twice", f"[{position}]")
        return entries


@dataclass(frozen=True)
class Atomic:
    """Annotation of a list that is replaced as a whole."""

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Say how the list merges."""
        return {**handler(schema), "x-kubernetes-list-type": "atomic"}


@dataclass(frozen=True)
class Opaque:
    """Annotation of an object that the schema does not look into."""

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Keep whatever is inside."""
        return {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


@dataclass(frozen=True)
class OpaqueEntry:
    """Annotation of an object in a list, known to the schema only by the field that identifies it."""

    key: str = "name"
    longest: int = 63

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Refuse an entry without its key."""
        return core_schema.no_info_after_validator_function(self._identified, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """The key, and whatever else is inside."""
        key = {"type": "string", "description": "What identifies the entry.", "minLength": 1, "maxLength": self.longest}
        return {"type": "object", "properties": {self.key: key}, "required": [self.key], "x-kubernetes-preserve-unknown-fields": True}

    def _identified(self, entry: Any) -> Any:
        value = entry.get(self.key)
        if not isinstance(value, str) or not 1 <= len(value) <= self.longest:
            raise refusal(f"must be set, to a text of at most {self.longest} characters", f".{self.key}")
        return entry


@dataclass(frozen=True)
class IntOrString:
    """Annotation of a string that may be written as an integer."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Turn an integer into its string."""
        return core_schema.no_info_before_validator_function(_integer_as_string, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Allow both types."""
        made = {key: value for key, value in handler(schema).items() if key != "type"}
        return {**made, "x-kubernetes-int-or-string": True}


def _integer_as_string(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


_DURATION = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"


def _between(least: str, most: str) -> Cel:
    return Cel(
        rule=f"self.matches({cel_string(_DURATION)}) && duration(self) >= duration('{least}') && duration(self) <= duration('{most}')",
        message=f"must be a duration from {least} to {most}, such as 30s or 5m",
        check=lambda value: re.fullmatch(_DURATION, value) is not None and seconds(least) <= seconds(value) <= seconds(most),
    )


PERIOD = _between("1s", "24h")
Duration = Annotated[str, Field(max_length=32), PERIOD]
DrainTimeout = Annotated[str, Field(max_length=32), _between("30s", "168h")]


def _is_positive_quantity(text: str) -> bool:
    return re.fullmatch(QUANTITY, text) is not None and quantity(text) > 0


SizeString = Annotated[
    str,
    Field(max_length=32),
    Cel(
        rule="isQuantity(self) && quantity(self).isGreaterThan(quantity('0'))",
        message="must be a size such as 10Gi",
        check=_is_positive_quantity,
    ),
]
VOLUME_RULES = (
    Cel(
        rule="!has(self.size) || !has(oldSelf.size) || quantity(self.size).compareTo(quantity(oldSelf.size)) >= 0",
        message="a volume cannot shrink: keep or raise the size",
        field_path=".size",
    ),
    Cel(
        rule="!has(self.size) || !has(oldSelf.size) || (has(self.storageClassName) == has(oldSelf.storageClassName) && "
        "(!has(self.storageClassName) || self.storageClassName == oldSelf.storageClassName))",
        message="the StorageClass of an existing volume cannot change",
    ),
)
"""Rules of an object that asks for a volume with size and storageClassName."""

Quantity = Annotated[str, Field(max_length=32, pattern=QUANTITY), IntOrString()]
Quantities = Annotated[Mapping[Annotated[str, Field(max_length=253)], Quantity], Field(max_length=16)]

_SUBDOMAIN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
ObjectName = Annotated[str, Field(min_length=1, max_length=253, pattern=_SUBDOMAIN)]
DataKey = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")]
LabelValue = Annotated[str, Field(max_length=63)]
AnnotationValue = Annotated[str, Field(max_length=8192)]

DeletionPolicy = Literal["Retain", "Delete"]
PullPolicy = Literal["Always", "IfNotPresent", "Never"]


class ObjectReference(Model):
    """Name of an object in the same namespace."""

    name: ObjectName = Field(description="Name of the object.")


class KeyReference(Model):
    """One key of a Secret or ConfigMap in the same namespace."""

    name: ObjectName = Field(description="Name of the object.")
    key: DataKey = Field(description="Key within its data.")
    optional: bool | None = Field(
        default=None, description="true: start without it when the object or the key is missing; absent or false: wait for it."
    )


class Resources(Model):
    """What a container may use and is sure to get."""

    requests: Quantities = Field(default_factory=dict, description="Reserved for the container, such as cpu: 500m and memory: 1Gi.")
    limits: Quantities = Field(default_factory=dict, description="The most that the container may use.")


ImageRepository = Annotated[str, Field(min_length=1, max_length=512)]
ImageTag = Annotated[str, Field(max_length=128, pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$")]


class Image(Model):
    """A container image."""

    repository: ImageRepository | None = Field(default=None, description="Name of the image without tag, such as docker.io/apache/airflow.")
    tag: ImageTag | None = Field(default=None, description="Tag of the image.")
    digest: Annotated[str, Field(max_length=71), matches("^sha256:[0-9a-f]{64}$", "must be sha256: and 64 hexadecimal digits")] | None = (
        Field(default=None, description="Digest of the image, sha256:...; when set, the tag is not used.")
    )
    pull_policy: PullPolicy = Field(default="IfNotPresent", description="When the image is pulled.")
    pull_secrets: Annotated[tuple[ObjectReference, ...], Field(max_length=16), ListMap()] = Field(
        default=(), description="Secrets of type kubernetes.io/dockerconfigjson for the registry, in the namespace of the pods."
    )


NAME = Cel(
    rule="self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$') && self.metadata.name.size() <= 63",
    message="metadata.name must have at most 63 characters, lower-case letters, digits and -, and start with a letter",
    check=lambda it: re.fullmatch("[a-z]([-a-z0-9]*[a-z0-9])?", it.metadata.name) is not None and len(it.metadata.name) <= 63,
)
"""Rule of both resources: their names become labels and names of Services."""


class Metadata(BaseModel):
    """The part of an object's metadata that matters here."""

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True)

    name: str
    namespace: str = ""
    uid: str = ""
    generation: int = 0
    deletion_timestamp: str | None = None
