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
CHAIN = 16
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


def chosen(points: Sequence[Point], thin: int) -> list[Point]:
    """Those that are run: by their ids alone, so that it is the same ones every time. A slice is thinner by `thin`."""
    if ONLY:
        return [point for point in points if fnmatchcase(point.id, ONLY)]
    return [point for point in points if SLICE == 1 or crc32(point.id.encode()) % (SLICE * thin) == 0]


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

    def failed(self, case: Case, what: str, error: Exception) -> None:
        """Keep what is told of a failure."""
        self.failures.append(f"=== {what}: {error}\n{case.story()}")
        log.error("%s", self.failures[-1])

    def __str__(self) -> str:
        return f"{self.name}: {self.points} points, {self.reached} reached, {len(self.failures)} failed"


Points = Callable[[Workflow, Sequence[Asked]], Sequence[Point]]
"""The points that are made of an undisturbed run's requests since its preparation."""


async def sweep(rig: Rig, workflows: Sequence[Workflow], points: Points, *, thin: int = 1) -> list[Outcome]:
    """Run each workflow undisturbed, then at each of its points; several at once, since most of a case is waiting.

    `thin`: of points that are many and alike a slice takes so many times fewer.
    """
    turns = asyncio.Semaphore(AT_ONCE)

    async def of(workflow: Workflow) -> Outcome:
        outcome = Outcome(workflow.name)
        async with turns, rig.case(workflow.name) as case:
            try:
                await case.operator.start()
                await workflow.prepare(case)
                norm = await run(case, workflow)
            except Exception as error:
                outcome.failed(case, f"{workflow.name} undisturbed", error)
                return outcome
            todo = chosen(points(workflow, case.since()), thin)
            outcome.points = len(todo)
            log.info("%s, undisturbed", outcome)
            length = CHAIN if workflow.back else 1
            chains = [todo[first : first + length] for first in range(0, len(todo), length)]
            others = [asyncio.create_task(anew(outcome, workflow, chain, norm)) for chain in chains[1 if workflow.back else 0 :]]
            if workflow.back and todo:
                await chain_in(case, outcome, workflow, chains[0], norm)
        await asyncio.gather(*others, *(anew(outcome, workflow, chain, norm) for chain in chains[:1] if workflow.back))
        return outcome

    async def anew(outcome: Outcome, workflow: Workflow, chain: list[Point], norm: Reference) -> None:
        while chain:
            async with turns, rig.case(chain[0].id) as case:
                try:
                    await case.operator.start()
                    await workflow.prepare(case)
                except Exception as error:
                    outcome.failed(case, f"{chain.pop(0).id} prepared", error)
                    continue
                await chain_in(case, outcome, workflow, chain, norm, used=False)

    return await asyncio.gather(*(of(workflow) for workflow in workflows if is_chosen(workflow)))


async def chain_in(case: Case, outcome: Outcome, workflow: Workflow, chain: list[Point], norm: Reference, *, used: bool = True) -> None:
    """Take points from the chain and run them in one namespace, as long as there is a way back and nothing failed."""
    while chain and (workflow.back or not used):
        point = chain.pop(0)
        case.begin()
        try:
            if used and workflow.back:
                await workflow.back(case)
            used = True
            await run(case, workflow, point, norm)
        except Exception as error:
            outcome.failed(case, point.id, error)
            return
        finally:
            outcome.reached += any(asked.fate for asked in case.since())
            log.info("%s, last of them %s", outcome, point.id)
