"""How fast the operator writes."""

from __future__ import annotations

import asyncio

from airflow_operator.runtime.pace import Pace


class Clock:
    """A clock that only sleeping moves on."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)


async def test_no_second_has_more_turns_than_it_may() -> None:
    clock, given = Clock(), list[tuple[int, float]]()
    pace = Pace(3, clock=clock, sleep=clock.sleep)

    async def write(number: int) -> None:
        await pace.turn()
        given.append((number, clock.now))

    await asyncio.gather(*(write(number) for number in range(8)))
    assert given == [(0, 100.0), (1, 100.0), (2, 100.0), (3, 101.0), (4, 101.0), (5, 101.0), (6, 102.0), (7, 102.0)]


async def test_who_writes_seldom_never_waits() -> None:
    clock = Clock()
    pace = Pace(1, clock=clock, sleep=clock.sleep)
    for _ in range(3):
        before = clock.now
        await pace.turn()
        assert clock.now == before
        clock.now += 1.0
