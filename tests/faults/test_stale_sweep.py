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


Wanted = Callable[[Case, Asked], bool]


def stale(at: Wanted, of: Callable[[Asked], bool], *, restart: bool = False) -> Callable[[Case, Asked], Fault | None]:
    """After the first write that is wanted, reads `of` something show the moment before it; `restart`: to an operator that it killed."""
    before, until = 0, 0

    def strike(case: Case, asked: Asked) -> Fault | None:
        async def write(exchange: Exchange) -> web.StreamResponse:
            nonlocal before, until
            now = await exchange.proxy.revision()
            answer = await exchange.forward()
            # The store counts its revisions one by one. What removes an object is answered with an older one, or with none.
            before = max(now, int(exchange.asked.version or 0) - 1)
            until = exchange.asked.number + WINDOW
            exchange.asked.fate = "not seen afterwards"
            if restart:
                await asyncio.shield(asyncio.ensure_future(case.operator.restart()))
                return exchange.hang_up()
            return answer

        if not before and at(case, asked):
            return write
        past = before and asked.number <= until and asked.verb in ("get", "list") and of(asked)
        return as_of(before) if past else None

    return strike


def everything(asked: Asked) -> bool:
    # What kinds there are is not of the store.
    return not asked.plural.startswith("/")


def each_write(workflow: Workflow, asked: Sequence[Asked]) -> list[Point]:
    """After each write all is seen as it was before it, by the same operator and by its successor; and what was written of each kind."""

    def place(number: int) -> Wanted:
        return lambda case, asked: case.place(asked) == number

    def kind(plural: str) -> tuple[Wanted, Callable[[Asked], bool]]:
        return lambda _, asked: bool(asked.write) and asked.plural == plural and not asked.subresource, lambda asked: asked.plural == plural

    # Of a status or an Event nothing is read again.
    writes = [(number, each) for number, each in enumerate((each for each in asked if each.write), 1)]
    read_again = [(number, each) for number, each in writes if not each.subresource and each.plural != "events"]
    return [
        *(
            Point(f"{workflow.name}-{number:03}-{name}", stale(place(number), everything, restart=name == "travel"))
            for number, _ in read_again
            for name in ("stale", "travel")
        ),
        *(Point(f"{workflow.name}-unseen-{plural}", stale(*kind(plural))) for plural in sorted({each.plural for _, each in read_again})),
    ]


async def test_the_past_is_not_acted_on(the_rig: Rig, passed: Callable[[str, Sequence[Outcome]], None]) -> None:
    chosen = [workflow for workflow in WORKFLOWS if workflow.name in STEPS]
    passed("stale views", await sweep(the_rig, chosen, each_write, thin=4))
