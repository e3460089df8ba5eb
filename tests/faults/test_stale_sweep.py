"""The operator sees the world as it was before one of its own writes: nothing is made or removed a second time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest
from aiohttp import web

from tests.faults.case import Case, Rig
from tests.faults.proxy import Asked, Exchange, Fault, as_of
from tests.faults.sweep import Outcome, Point, sweep
from tests.faults.workflows import WORKFLOWS, Workflow

pytestmark = [pytest.mark.faults, pytest.mark.timeout(3600)]

WINDOW = 60
"""So many requests are answered from the past: more than one reconciliation's reads."""
STEPS = ("create", "heads", "config", "recreate", "drop")


def stale(number: int, *, restart: bool) -> Callable[[Case, Asked], Fault | None]:
    """Reads after the step's so many-th write show the moment before it; `restart`: to an operator that was killed by it."""
    before, until = 0, 0

    def strike(case: Case, asked: Asked) -> Fault | None:
        async def write(exchange: Exchange) -> web.StreamResponse:
            nonlocal before, until
            answer = await exchange.forward()
            # A revision of the whole store, which counts one by one.
            before = int(exchange.asked.version or 1) - 1
            until = exchange.asked.number + WINDOW
            exchange.asked.fate = "not seen afterwards"
            if restart:
                await asyncio.shield(asyncio.ensure_future(case.operator.restart()))
                return exchange.hang_up()
            return answer

        if case.place(asked) == number:
            return write
        # What kinds there are is not of the store.
        kept = asked.verb in ("get", "list") and not asked.plural.startswith("/")
        past = before and asked.number <= until and kept
        return as_of(before) if past else None

    return strike


def each_write(workflow: Workflow, asked: Sequence[Asked]) -> list[Point]:
    # Of a status or an Event nothing is read again.
    numbers = [
        number for number, each in enumerate([each for each in asked if each.write], 1) if not each.subresource and each.plural != "events"
    ]
    return [
        Point(f"{workflow.name}-{number:03}-{name}", stale(number, restart=name == "travel"))
        for number in numbers
        for name in ("stale", "travel")
    ]


async def test_the_past_is_not_acted_on(the_rig: Rig, passed: Callable[[str, Sequence[Outcome]], None]) -> None:
    chosen = [workflow for workflow in WORKFLOWS if workflow.name in STEPS]
    passed("stale views", await sweep(the_rig, chosen, each_write, thin=4))
