"""From an object of the API server to a model, or to one sentence that says what is wrong with it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from airflow_operator.api.base import AirflowBase
from airflow_operator.api.cluster import AirflowCluster
from airflow_operator.domain.errors import InvalidSpec

_Resource = TypeVar("_Resource", AirflowBase, AirflowCluster)

_MAX_MESSAGE = 1000


def parse_cluster(live: Mapping[str, Any]) -> AirflowCluster:
    """The AirflowCluster with every default filled in; InvalidSpec names the fields that are wrong. Its status is not read."""
    return _parse(AirflowCluster, live)


def parse_base(live: Mapping[str, Any]) -> AirflowBase:
    """The AirflowBase with every default filled in; InvalidSpec names the fields that are wrong. Its status is not read."""
    return _parse(AirflowBase, live)


def _parse(model: type[_Resource], live: Mapping[str, Any]) -> _Resource:
    document = {key: value for key, value in live.items() if key != "status"}
    try:
        # Strict as the API server is; by way of JSON, in which a list is the only kind of sequence.
        return model.model_validate_json(json.dumps(document, default=str), strict=True)
    except ValidationError as error:
        sentences = [_sentence(details) for details in error.errors(include_url=False)]
        raise InvalidSpec("InvalidSpec", _shortened("; ".join(sentences))) from None


def _sentence(details: ErrorDetails) -> str:
    context = details.get("ctx", {})
    path = yaml_path(details["loc"]) + str(context.get("below", ""))
    return f"{path}: {_words(details, context)}" if path else _words(details, context)


def _words(details: ErrorDetails, context: Mapping[str, Any]) -> str:
    match details["type"]:
        case "missing":
            return "must be set"
        case "extra_forbidden":
            return "there is no such field"
        case "literal_error":
            return f"must be {context['expected']}"
        case "string_pattern_mismatch":
            return f"must match {context['pattern']}"
        case "rule":
            return details["msg"]
    return details["msg"][:1].lower() + details["msg"][1:]


def yaml_path(location: Sequence[str | int]) -> str:
    """A path as people write it: spec.dags[0].git.repo."""
    path = ""
    for step in location:
        path += f"[{step}]" if isinstance(step, int) else f".{step}"
    return path.removeprefix(".")


def _shortened(message: str) -> str:
    return message if len(message) <= _MAX_MESSAGE else message[: _MAX_MESSAGE - 3] + "..."
