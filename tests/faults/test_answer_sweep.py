"""The API server refuses, is slow, hangs up or garbles its watches while a cluster is made: it ends as if nothing had happened."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence

import pytest

from tests.faults.case import Case, Rig
from tests.faults.proxy import Asked, Exchange, Fault, Lines, answer, delay, reset
from tests.faults.sweep import Outcome, Point, sweep
from tests.faults.workflows import CREATE, Workflow
from tests.integration.eventually import eventually

pytestmark = [pytest.mark.faults, pytest.mark.timeout(3600)]

Passed = Callable[[str, Sequence[Outcome]], None]

ANSWERS: dict[str, Fault] = {
    "401": answer(401, "Unauthorized"),
    "403": answer(403, "Forbidden"),
    "409": answer(409, "Conflict"),
    "422": answer(422, "Invalid"),
    "429": answer(429, "TooManyRequests", retry_after=1),
    "500": answer(500, "InternalError"),
    "503": answer(503, "ServiceUnavailable"),
    "504": answer(504, "Timeout", after=True),
    "reset": reset(after=True),
    "delay": delay(3.0),
}
"""What is said once to a write; a 504 and a reset come after it was carried out."""

TO_READS = ("401", "429", "500", "503", "reset")
EVERY_READ = 25
EVERY_WRITE = 4


def once(fault: Fault, write: int = 0, read: int = 0) -> Callable[[Case, Asked], Fault | None]:
    """For the step's so many-th write or read."""
    reads = 0

    def strike(case: Case, asked: Asked) -> Fault | None:
        nonlocal reads
        reads += asked.verb in ("get", "list")
        hit = case.place(asked) == write if write else asked.verb in ("get", "list") and reads == read
        return fault if hit else None

    return strike


def count(asked: Sequence[Asked], *verbs: str) -> range:
    """Numbers of the requests with these verbs (none: of the writes), from 1."""
    return range(1, sum(each.verb in verbs if verbs else bool(each.write) for each in asked) + 1)


def answers(workflow: Workflow, asked: Sequence[Asked]) -> list[Point]:
    to_writes = [
        Point(f"{workflow.name}-{number:03}-{name}", once(fault, write=number))
        for number in count(asked)
        for name, fault in ANSWERS.items()
    ]
    to_reads = [
        Point(f"{workflow.name}-read-{number:03}-{name}", once(ANSWERS[name], read=number))
        for number in count(asked, "get", "list")[::EVERY_READ]
        for name in TO_READS
    ]
    return to_writes + to_reads


async def test_answered_otherwise(the_rig: Rig, passed: Passed) -> None:
    passed("answers", await sweep(the_rig, [CREATE], answers, thin=4))


# Watches.


def at_write(number: int, act: Callable[[Case], object], fate: str) -> Callable[[Case, Asked], Fault | None]:
    """Do something to the watches when the step's so many-th write comes."""

    def strike(case: Case, asked: Asked) -> Fault | None:
        if case.place(asked) != number:
            return None

        async def pass_on(exchange: Exchange):
            exchange.asked.fate = fate
            act(case)
            return await exchange.forward()

        return pass_on

    return strike


def locked_out(number: int, seconds: float) -> Callable[[Case, Asked], Fault | None]:
    """From the step's so many-th write on, for so long, nothing that is asked is let in, and what was open is shut."""
    until = 0.0

    def strike(case: Case, asked: Asked) -> Fault | None:
        nonlocal until
        now = asyncio.get_running_loop().time()
        if case.place(asked) == number and not until:
            until = now + seconds
            case.proxy.cut_watches()
        return ANSWERS["401"] if now < until else None

    return strike


def always(lines: Lines, fate: str) -> Callable[[Case, Asked], Fault | None]:
    """Garble the watches from the beginning of the step."""

    def strike(case: Case, asked: Asked) -> Fault | None:
        case.proxy.garble = lines
        asked.fate = asked.fate or (fate if asked.write else "")
        return None

    return strike


async def twice(asked: Asked, line: bytes) -> AsyncIterator[bytes]:
    yield line
    yield line


def replayed() -> Lines:
    """After each event comes the one before it of the same object again, as from an API server that lags behind."""
    last: dict[str, bytes] = {}

    async def lines(asked: Asked, line: bytes) -> AsyncIterator[bytes]:
        yield line
        event = json.loads(line)
        uid = event["object"].get("metadata", {}).get("uid")
        if uid and event["type"] == "MODIFIED" and uid in last:
            yield last[uid]
        if uid:
            last[uid] = line

    return lines


def dropped(plural: str) -> Lines:
    """Nothing is told of one kind."""

    async def lines(asked: Asked, line: bytes) -> AsyncIterator[bytes]:
        if asked.plural != plural:
            yield line

    return lines


def frozen(seconds: float) -> Callable[[Case], None]:
    """For so long nothing is told, then everything."""

    def freeze(case: Case) -> None:
        until = asyncio.get_running_loop().time() + seconds

        async def lines(asked: Asked, line: bytes) -> AsyncIterator[bytes]:
            await asyncio.sleep(until - asyncio.get_running_loop().time())
            yield line

        case.proxy.garble = lines

    return freeze


def watches(workflow: Workflow, asked: Sequence[Asked]) -> list[Point]:
    acts: dict[str, Callable[[Case], object]] = {
        "cut": lambda case: case.proxy.cut_watches(),
        "410": lambda case: case.proxy.expire_watches(),
        "frozen": frozen(5.0),
    }
    # kopf needs to hear of our own kinds: it puts the finalizer there.
    kinds = sorted({each.plural for each in asked if each.write} - {"events", "airflowclusters", "airflowbases"} | {"pods"})
    return [
        *(
            Point(f"{workflow.name}-{number:03}-{name}", at_write(number, act, name))
            for number in count(asked)[::EVERY_WRITE]
            for name, act in acts.items()
        ),
        # For longer than credentials are not loaded anew again: both of the operator's clients are told.
        *(Point(f"{workflow.name}-{number:03}-token", locked_out(number, 12.0)) for number in count(asked)[::EVERY_WRITE]),
        *(Point(f"{workflow.name}-untold-{plural}", always(dropped(plural), "untold")) for plural in kinds),
        Point(f"{workflow.name}-told-twice", always(twice, "told twice")),
        Point(f"{workflow.name}-replayed", always(replayed(), "replayed")),
    ]


async def test_watches_that_break(the_rig: Rig, passed: Passed) -> None:
    passed("watches", await sweep(the_rig, [CREATE], watches, thin=2))


async def test_an_error_in_a_watch_that_kopf_does_not_know(the_rig: Rig) -> None:
    """It ends the operator within seconds, and the next one goes on: kopf gives no other choice."""
    status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "InternalError", "message": "broken", "code": 500}
    told = asyncio.Event()

    async def broken(asked: Asked, line: bytes) -> AsyncIterator[bytes]:
        yield line
        if asked.plural == "airflowclusters":
            told.set()
            yield json.dumps({"type": "ERROR", "object": status}).encode()

    async with the_rig.case("error") as case:
        await case.operator.start()
        await CREATE.prepare(case)
        case.proxy.garble = broken
        step = asyncio.create_task(CREATE.step(case))
        await told.wait()

        async def ended() -> bool:
            return not case.operator.alive

        await eventually(ended, within=15)
        case.proxy.undisturbed()
        await case.operator.start()
        await step
