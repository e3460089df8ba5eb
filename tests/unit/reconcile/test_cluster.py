"""What the loop of a cluster makes of a failure that nobody expected."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from airflow_operator.kube.errors import Unavailable
from airflow_operator.reconcile import cluster as loop
from airflow_operator.runtime.inventory import Inventory
from tests.unit import factory


@pytest.fixture
def told(monkeypatch):
    """Conditions that were reported, by type."""
    found = {}

    async def observe(ctx, namespace, name):
        return factory.seen()

    async def report(ctx, resource, made):
        found.update({item.type: item for item in made["conditions"]})
        return loop.LookAgain()

    monkeypatch.setattr(loop, "observe", observe)
    monkeypatch.setattr(loop, "report", report)
    return found


def failing(error):
    def validate(seen, platform):
        raise error

    return validate


async def test_a_bug_is_degraded_and_still_reaches_the_log(told, monkeypatch):
    monkeypatch.setattr(loop, "validate", failing(KeyError("a secret value")))
    with pytest.raises(KeyError):
        await loop.reconcile_cluster(SimpleNamespace(settings=SimpleNamespace(platform=None), inventory=Inventory()), "team", "demo")
    assert (told["Ready"].status, told["Degraded"].status, told["Reconciled"].reason) == ("False", "True", "InternalError")
    assert "KeyError" in told["Reconciled"].message
    assert "a secret value" not in told["Reconciled"].message


async def test_an_api_server_that_is_away_is_no_bug(told, monkeypatch):
    monkeypatch.setattr(loop, "validate", failing(Unavailable(503, "ServiceUnavailable", "")))
    with pytest.raises(Unavailable):
        await loop.reconcile_cluster(SimpleNamespace(settings=SimpleNamespace(platform=None), inventory=Inventory()), "team", "demo")
    assert told == {}
