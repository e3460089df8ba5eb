"""How fast the operator writes."""

from __future__ import annotations

import asyncio
import random

import pytest

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
        async with pace.turn():
            given.append((number, clock.now))

    await asyncio.gather(*(write(number) for number in range(8)))
    assert given == [(0, 100.0), (1, 100.0), (2, 100.0), (3, 101.0), (4, 101.0), (5, 101.0), (6, 102.0), (7, 102.0)]


async def test_who_writes_seldom_never_waits() -> None:
    clock = Clock()
    pace = Pace(1, clock=clock, sleep=clock.sleep)
    for _ in range(3):
        before = clock.now
        async with pace.turn():
            assert clock.now == before
        clock.now += 1.0


async def test_what_is_written_without_a_turn_takes_one_all_the_same() -> None:
    clock = Clock()
    pace = Pace(2, clock=clock, sleep=clock.sleep)
    assert pace.later(0.5) == 0.5
    assert pace.later(0.0, late=1.0) == 0.0
    assert pace.later(0.5) == 1.5, "when the first one's second is over"
    async with pace.turn():
        assert clock.now == 102.0, "when the second one's is, which may be late"
    async with pace.turn(), pace.turn():
        assert pace.later(0.5) == 0.5, "all turns are being used: nobody knows when the next is free"


@pytest.mark.looptime
@pytest.mark.parametrize("late", [0.0, 2.0])
async def test_however_late_writes_arrive_no_second_sees_more_of_them(late: float) -> None:
    clock, chance, arrived = asyncio.get_running_loop().time, random.Random(1), list[float]()
    pace = Pace(5, clock=clock)

    async def arrive(within: float) -> None:
        await asyncio.sleep(within * chance.random())
        arrived.append(clock())

    async def write() -> None:
        async with pace.turn(late):
            if not late:
                await arrive(2.0)
                await asyncio.sleep(chance.random())
        if late:
            await arrive(late)

    await asyncio.gather(*(write() for _ in range(200)))
    assert len(arrived) == 200
    assert max(sum(begin <= moment < begin + 1.0 for moment in arrived) for begin in arrived) <= 5


@pytest.mark.looptime
async def test_who_gives_up_takes_no_turn_with_them() -> None:
    clock = asyncio.get_running_loop().time
    pace = Pace(1, clock=clock)
    async with pace.turn():
        pass
    for _ in range(3):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1), pace.turn():
                raise AssertionError("it was not the second's end yet")
    before = clock()
    async with asyncio.timeout(2.0), pace.turn():
        assert clock() <= before + 1.0


@pytest.mark.looptime
async def test_a_write_that_fails_counts() -> None:
    pace = Pace(1, clock=asyncio.get_running_loop().time)
    with pytest.raises(OSError, match="refused"):
        async with pace.turn():
            raise OSError("refused")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.9), pace.turn():
            raise AssertionError("it was not the second's end yet")
