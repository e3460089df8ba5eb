"""What kopf is told: every promise that the operator's few writes and small memory rest on."""

from __future__ import annotations

from itertools import islice
from typing import Any, cast

import kopf
import pytest

from airflow_operator import handlers
from airflow_operator.domain.labels import FINALIZER
from airflow_operator.runtime.operator import Operator


@pytest.fixture
def settings() -> kopf.OperatorSettings:
    return handlers.kopf_settings()


def test_kopf_writes_its_finalizer_and_nothing_else(settings: kopf.OperatorSettings) -> None:
    assert settings.persistence.finalizer == FINALIZER
    assert not settings.posting.enabled
    assert settings.scanning.disabled
    body = kopf.Body(cast("Any", {"metadata": {"name": "c"}, "spec": {"big": ["thing"]}}))
    assert settings.persistence.diffbase_storage.build(body=body) == {}
    assert settings.persistence.diffbase_storage.fetch(body=body) is None


def test_outage_does_not_end_kopf(settings: kopf.OperatorSettings) -> None:
    pauses = settings.networking.error_backoffs
    assert not isinstance(pauses, float)
    assert list(islice(pauses, 6)) == [1, 1, 2, 3, 5, 8]
    assert sum(islice(pauses, 1000)) > 3600, "begins anew and goes on"


def test_no_handler_that_would_copy_the_spec_into_an_annotation() -> None:
    """kopf keeps a copy of the object for change handlers (`on.create`, `on.update`, `on.delete`): there must be none."""

    class Registry(kopf.OperatorRegistry):
        def __init__(self) -> None:
            super().__init__()
            self.kinds = {name.strip("_"): getattr(self, name) for name in ("_changing", "_spawning", "_watching", "_indexing")}

    async def login() -> dict[str, Any]:
        raise AssertionError("not asked here")

    registry = Registry()
    handlers.register(registry, cast("Operator", None), login)
    found = {name: len(list(part.get_all_handlers())) for name, part in registry.kinds.items()}
    assert found == {"changing": 0, "indexing": 0, "spawning": 2, "watching": 2}
    for handler in registry.kinds["spawning"].get_all_handlers():
        assert handler.cancellation_timeout is None
