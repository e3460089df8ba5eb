"""When a status is written: for the digest of what a look saw, and to whom."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from airflow_operator.domain.manifest import Live
from airflow_operator.kube.errors import ApiError, Forbidden, Invalid, NotFound
from airflow_operator.reconcile.report import report, unchanged_but
from airflow_operator.reconcile.types import RETRY_REFUSED, Condition, LookAgain
from tests.unit import factory

READY = Condition("Ready", "True", "Ready", "All is well.")
MADE = {"phase": "Running", "conditions": [READY]}


class World:
    """Takes each status that is written."""

    def __init__(self, told: Live | None = None) -> None:
        self.resource = factory.resource() | ({"status": told} if told else {})
        self.written: list[Live] = []
        self.refusal: ApiError | None = None
        self.turns = 0
        self.ctx: Any = SimpleNamespace(kube=self, events=self, now=lambda: factory.NOW)

    async def apply_status(self, manifest: Live) -> Live:
        if self.refusal:
            raise self.refusal
        self.written.append(manifest["status"])
        return manifest

    async def transitions(self, resource: Live, before: Any, after: Any) -> None:
        self.turns += 1

    async def told(self, digest: str | None, made: Any = MADE, *, anew: bool = False) -> list[str]:
        await report(self.ctx, self.resource, made, (lambda status: digest) if digest else None, anew=anew)
        return [status.get("observedDigest", "") for status in self.written]


async def told_before(digest: str | None = "1") -> Live:
    world = World()
    await world.told(digest)
    return world.written[0]


async def test_goes_with_a_status_that_says_something_new() -> None:
    assert await World().told("1") == ["1"]
    other = {**MADE, "phase": "Degraded"}
    assert await World(await told_before()).told("2", other) == ["2"]
    assert await World(await told_before()).told(None, other) == [""], "something is left to do"


async def test_is_written_alone_only_by_the_first_look_of_an_operator() -> None:
    assert await World(await told_before()).told("2") == []
    assert await World(await told_before()).told("2", anew=True) == ["2"]
    assert await World(await told_before()).told("1", anew=True) == []
    assert await World(await told_before(None)).told("1", anew=True) == ["1"]


async def test_stands_for_nothing_where_a_look_was_cut_short() -> None:
    assert "observedDigest" not in unchanged_but(await told_before(), [READY], "Waiting")


async def test_nobody_is_told_of_a_resource_that_went_meanwhile() -> None:
    world = World()
    assert await world.told("1") == ["1"]
    assert world.turns == 1
    world.refusal = NotFound(404, "NotFound", "it is not there")
    assert await world.told("1") == ["1"]
    assert world.turns == 1


@pytest.mark.parametrize(
    "refusal", [Forbidden(403, "Forbidden", "a webhook says no"), Invalid(422, "Invalid", "a webhook says no")], ids=str
)
async def test_a_refused_status_is_no_failure_and_is_tried_again_soon(refusal: ApiError, caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    world.refusal = refusal
    assert await report(world.ctx, world.resource, MADE) == LookAgain(RETRY_REFUSED)
    assert world.turns == 0, "nobody hears of a turn that is not told"
    [record] = caplog.records
    assert "its status could not be written" in record.message
    assert str(refusal) in record.message
    assert not record.exc_info
    world.refusal = None
    assert await report(world.ctx, world.resource, MADE) == LookAgain()
    assert world.turns == 1
