"""The operator is killed before and after every write of every workflow, and always ends where one ends that lives on."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from tests.faults.case import Case, Rig
from tests.faults.proxy import Asked, Fault, killing
from tests.faults.sweep import Outcome, Point, sweep
from tests.faults.workflows import WORKFLOWS, Workflow

pytestmark = [pytest.mark.faults, pytest.mark.timeout(3600)]


def crash(number: int, *, after: bool) -> Callable[[Case, Asked], Fault | None]:
    """Die at the step's so many-th write, once."""

    def strike(case: Case, asked: Asked) -> Fault | None:
        return killing(case.operator.restart, after=after) if case.place(asked) == number else None

    return strike


def each_write(workflow: Workflow, asked: Sequence[Asked]) -> list[Point]:
    return [
        Point(f"{workflow.name}-{number:03}-{side}", crash(number, after=side == "after"))
        for number, _ in enumerate([each for each in asked if each.write], 1)
        for side in ("before", "after")
    ]


async def test_killed_at_each_write(the_rig: Rig, passed: Callable[[str, Sequence[Outcome]], None]) -> None:
    passed("crash sweep", await sweep(the_rig, WORKFLOWS, each_write))
