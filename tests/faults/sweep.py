"""Runs a workflow again and again, each time with another fault, several at once."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from zlib import crc32

from tests.faults import oracle
from tests.faults.case import Case, Rig
from tests.faults.oracle import Reference
from tests.faults.proxy import Asked, Fault
from tests.faults.workflows import Workflow

log = logging.getLogger("faults")

AT_ONCE = int(os.environ.get("FAULTS_AT_ONCE", "6"))
CHAIN = 8
"""So many points may follow each other in one namespace."""
SLICE = int(os.environ.get("FAULTS_SLICE", "1"))
"""Every so many-th point is run; 1 for all."""
ONLY = os.environ.get("FAULTS_POINT", "")
"""Pattern of the points that are run, whatever the slice; empty for no other."""


@dataclass(frozen=True)
class Point:
    """One case of a sweep."""

    id: str
    fault: Callable[[Case, Asked], Fault | None]
    """What happens to a request of the step; asked once for each."""


def chosen(points: Sequence[Point]) -> list[Point]:
    """Those that are run: by their ids alone, so that it is the same ones every time."""
    if ONLY:
        return [point for point in points if fnmatchcase(point.id, ONLY)]
    return [point for point in points if crc32(point.id.encode()) % SLICE == 0]


def is_chosen(workflow: Workflow) -> bool:
    """Whether any of its points may be run."""
    return not ONLY or ONLY.startswith(f"{workflow.name}-")


async def run(case: Case, workflow: Workflow, point: Point | None = None, norm: Reference | None = None) -> Reference:
    """The step of a case that is prepared, and the oracle's judgement."""
    before = workflow.keeps(await oracle.kept(case.stage))
    case.begin()
    if point:
        case.proxy.intervene = lambda asked: point.fault(case, asked)
    await workflow.step(case)
    case.proxy.undisturbed()
    found = await oracle.faults(case, before, norm, workflow.theirs)
    assert not found, "\n".join(found)
    return await oracle.reference(case)


@dataclass
class Outcome:
    """What became of the points of one workflow."""

    name: str
    points: int = 0
    reached: int = 0
    """Where the fault happened: a run may need fewer requests than the one that was counted."""
    failures: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.name}: {self.points} points, {self.reached} reached, {len(self.failures)} failed"


Points = Callable[[Workflow, Sequence[Asked]], Sequence[Point]]
"""The points that are made of an undisturbed run's requests since its preparation."""


async def sweep(rig: Rig, workflows: Sequence[Workflow], points: Points) -> list[Outcome]:
    """Run each workflow undisturbed, then at each of its points; several at once, since most of a case is waiting.

    Where there is a way back to the prepared state, a namespace is used again until something failed in it.
    """
    turns = asyncio.Semaphore(AT_ONCE)

    async def chain(outcome: Outcome, workflow: Workflow, todo: list[Point], norm: Reference) -> None:
        async with turns, rig.case(todo[0].id) as case:
            await case.operator.start()
            await workflow.prepare(case)
            while todo:
                point = todo.pop(0)
                try:
                    await run(case, workflow, point, norm)
                except Exception as error:
                    outcome.failures.append(f"=== {point.id}: {error}\n{case.story()}")
                    log.error("%s", outcome.failures[-1])
                outcome.reached += any(asked.fate for asked in case.since())
                log.info("%s, last of them %s", outcome, point.id)
                if not todo or workflow.back is None or (outcome.failures and point.id in outcome.failures[-1]):
                    break
                await workflow.back(case)
        if todo:
            await chain(outcome, workflow, todo, norm)

    async def of(workflow: Workflow) -> Outcome:
        outcome = Outcome(workflow.name)
        async with turns, rig.case(workflow.name) as case:
            try:
                await case.operator.start()
                await workflow.prepare(case)
                norm = await run(case, workflow)
            except Exception as error:
                outcome.failures.append(f"=== {workflow.name} undisturbed: {error}\n{case.story()}")
                log.error("%s", outcome.failures[-1])
                return outcome
        todo = chosen(points(workflow, case.since()))
        outcome.points = len(todo)
        log.info("%s, undisturbed", outcome)
        length = CHAIN if workflow.back else 1
        await asyncio.gather(*(chain(outcome, workflow, todo[first : first + length], norm) for first in range(0, len(todo), length)))
        return outcome

    return await asyncio.gather(*(of(workflow) for workflow in workflows if is_chosen(workflow)))
