"""The API server and the models take and refuse the same resources, also such as nobody thought of."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings

from airflow_operator.domain.errors import InvalidSpec
from tests.crd.examples import parse
from tests.crd.mutations import nearly_valid
from tests.crd.server import Server
from tests.unit.strategies import Json, deployments


def complaint(document: Json) -> str:
    """What the models say against a resource; empty when they take it."""
    try:
        parse(document)
    except InvalidSpec as refused:
        return refused.message
    return ""


@pytest.mark.integration
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(documents=deployments())
def test_what_is_valid_is_taken_by_both(server: Server, documents: list[Json]) -> None:
    for document in documents:
        assert (complaint(document), server.complaint(document)) == ("", "")


@pytest.mark.integration
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(document=nearly_valid())
def test_what_is_nearly_valid_is_judged_alike(server: Server, document: Json) -> None:
    models, api_server = complaint(document), server.complaint(document)
    assert bool(models) == bool(api_server), f"models: {models or 'taken'}; API server: {api_server or 'taken'}"
