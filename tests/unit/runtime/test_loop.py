"""When a loop looks, when it rests, and how it ends; in compressed time."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from airflow_operator.domain.errors import Waiting
from airflow_operator.kube.errors import Unavailable
from airflow_operator.reconcile.types import LookAgain
from airflow_operator.runtime import loop as loops
from airflow_operator.runtime.loop import Loop, Timing, delete

pytestmark = pytest.mark.looptime

TIMING = Timing(resync=600.0, debounce=0.2, reconcile_timeout=120.0, deletion_timeout=300.0)


class Bench:
    """One loop and the times at which it looked."""

    def __init__(self, reconcile: Callable[[], Awaitable[LookAgain]] | None = None, **options: Any) -> None:
        self.flag = asyncio.Event()
        self.times: list[float] = []
        self._answer = reconcile
        self.loop = Loop("AirflowCluster ns/c", self._look, flag=self.flag, timing=TIMING, **{"slots": asyncio.Semaphore(10), **options})
        self.task = asyncio.create_task(self.loop.run())

    async def _look(self) -> LookAgain:
        self.times.append(now())
        return await self._answer() if self._answer else LookAgain()

    async def until(self, moment: float) -> list[float]:
        await asyncio.sleep(moment - now())
        return [round(time, 2) for time in self.times]

    async def end(self) -> None:
        await self.loop.stop()
        await asyncio.gather(self.task, return_exceptions=True)


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_the_first_look_comes_after_what_is_waited_for() -> None:
    listed = asyncio.Event()

    async def until_listed() -> None:
        await listed.wait()

    bench = Bench(after=until_listed)
    assert await bench.until(5) == []
    listed.set()
    assert await bench.until(6) == [5]
    await bench.end()


async def test_ends_while_it_waits() -> None:
    async def for_ever() -> None:
        await asyncio.Event().wait()

    bench = Bench(after=for_ever)
    await bench.until(5)
    await bench.end()
    assert (bench.times, now()) == ([], 5 + loops.STOP_GRACE)


async def test_looks_at_once_and_then_at_each_resync_with_jitter() -> None:
    bench = Bench()
    times = await bench.until(6000)
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert times[0] == 0
    assert all(540 <= gap <= 660 for gap in gaps)
    assert len({round(gap) for gap in gaps}) > 1
    await bench.end()


async def test_news_after_a_rest_are_looked_at_at_once_and_the_burst_that_follows_once_more() -> None:
    bench = Bench()
    await bench.until(10)
    for _ in range(20):
        bench.flag.set()
        await asyncio.sleep(0.005)
    assert await bench.until(20) == [0, 10, 10.2]
    await bench.end()


async def test_wakeups_without_end_do_not_starve_it() -> None:
    bench = Bench()
    while now() < 10:
        bench.flag.set()
        await asyncio.sleep(0.05)
    assert 40 <= len(bench.times) <= 51
    await bench.end()


async def test_wakeup_during_a_look_is_not_lost() -> None:
    async def slow() -> LookAgain:
        await asyncio.sleep(5)
        return LookAgain()

    bench = Bench(slow)
    await bench.until(2)
    bench.flag.set()
    assert await bench.until(30) == [0, 5.2]
    await bench.end()


async def test_look_again_is_honoured_but_never_later_than_the_resync() -> None:
    answers = iter([LookAgain(7.0), LookAgain(100_000.0)])

    async def ask() -> LookAgain:
        return next(answers, LookAgain())

    bench = Bench(ask)
    times = await bench.until(700)
    assert times[:2] == [0, 7]
    assert 540 <= times[2] - 7 <= 660
    await bench.end()


async def test_failures_back_off_and_success_forgets_them() -> None:
    healthy_from = 100.0

    async def fail() -> LookAgain:
        if now() < healthy_from:
            raise Unavailable(503, "Busy", "the API server is busy")
        return LookAgain(1.0)

    bench = Bench(fail)
    times = await bench.until(300)
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    for index, expected in enumerate([1, 2, 4, 8, 16, 32]):
        assert 0.8 * expected - 0.01 <= gaps[index] <= 1.2 * expected + 0.01
    assert gaps[-1] == pytest.approx(1.0, abs=0.02)
    await bench.end()


async def test_backoff_has_an_upper_end() -> None:
    assert 96 <= loops.backoff(1000) <= 144


async def test_server_that_asks_for_patience_gets_it() -> None:
    async def fail() -> LookAgain:
        raise Unavailable(429, "TooManyRequests", "slow down", retry_after=30.0)

    bench = Bench(fail)
    assert await bench.until(29) == [0]
    assert len(await bench.until(31)) == 2
    await bench.end()


async def test_wakeup_after_a_failure_is_heard_but_not_at_once() -> None:
    """The write that failed half-way wakes the loop: without a calm moment it would spin."""

    async def fail() -> LookAgain:
        bench.flag.set()
        raise Unavailable(503, "Busy", "busy")

    bench = Bench(fail)
    times = await bench.until(60)
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert all(gap >= 0.8 for gap in gaps[:2])
    assert all(gap == pytest.approx(2.0, abs=0.01) for gap in gaps[3:])
    await bench.end()


async def test_bug_is_logged_with_its_traceback_and_expected_failures_are_not(caplog: pytest.LogCaptureFixture) -> None:
    errors = iter([RuntimeError("oops"), Unavailable(503, "Busy", "busy")])

    async def fail() -> LookAgain:
        raise next(errors)

    bench = Bench(fail)
    await bench.until(1.5)
    await bench.end()
    bug, expected = caplog.records[:2]
    assert bug.levelno == logging.ERROR
    assert bug.exc_info is not None
    assert expected.levelno == logging.WARNING
    assert expected.exc_info is None
    assert "busy" in expected.getMessage()


async def test_look_that_hangs_is_given_up_and_tried_again() -> None:
    async def hang() -> LookAgain:
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    bench = Bench(hang)
    times = await bench.until(250)
    assert times[0] == 0
    assert 120.8 <= times[1] <= 121.2
    await bench.end()


async def test_slots_limit_how_many_look_at_the_same_time() -> None:
    at_once: list[int] = []
    running = 0

    async def slow() -> LookAgain:
        nonlocal running
        running += 1
        at_once.append(running)
        await asyncio.sleep(1)
        running -= 1
        return LookAgain()

    slots = asyncio.Semaphore(2)
    benches = [Bench(slow, slots=slots) for _ in range(6)]
    await asyncio.sleep(10)
    assert max(at_once) == 2
    assert sum(len(bench.times) for bench in benches) == 6
    for bench in benches:
        await bench.end()


async def test_nothing_is_done_before_it_may_begin() -> None:
    allowed = False
    bench = Bench(may_begin=lambda: allowed)
    bench.flag.set()
    assert await bench.until(5) == []
    allowed = True
    bench.flag.set()
    assert await bench.until(10) == [5.0]
    await bench.end()


async def test_stop_while_resting_is_immediate() -> None:
    bench = Bench()
    await bench.until(10)
    await bench.end()
    assert now() == pytest.approx(10, abs=0.01)


async def test_stop_waits_for_a_short_look_and_cancels_a_long_one() -> None:
    ended: list[str] = []

    async def look(seconds: float) -> LookAgain:
        try:
            await asyncio.sleep(seconds)
            ended.append("done")
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise
        return LookAgain()

    for seconds, how, took in ((1.0, "done", 0.5), (60.0, "cancelled", loops.STOP_GRACE)):
        bench = Bench(lambda seconds=seconds: look(seconds))
        started = now()
        await asyncio.sleep(0.5)
        await bench.loop.stop()
        assert ended.pop() == how
        assert now() - started == pytest.approx(0.5 + took, abs=0.05)
        await asyncio.gather(bench.task, return_exceptions=True)


class Steps:
    """A clean-up made of given answers; the last one repeats."""

    def __init__(self, *answers: LookAgain | Exception | None) -> None:
        self.answers = list(answers)
        self.times: list[float] = []

    async def __call__(self) -> LookAgain | None:
        self.times.append(now())
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


async def test_deletion_goes_step_by_step() -> None:
    steps = Steps(LookAgain(1.0), LookAgain(2.0), None)
    assert await delete("x", steps, flag=asyncio.Event(), timing=TIMING) is None
    assert [round(time) for time in steps.times] == [0, 1, 3]


async def test_deletion_is_woken_early() -> None:
    flag = asyncio.Event()
    steps = Steps(LookAgain(60.0), None)
    asyncio.get_running_loop().call_later(5, flag.set)
    assert await delete("x", steps, flag=flag, timing=TIMING) is None
    assert [round(time) for time in steps.times] == [0, 5]


async def test_deletion_that_fails_lets_go_and_tells_the_last_obstacle() -> None:
    steps = Steps(Unavailable(500, "InternalError", "failed calling webhook"))
    assert await delete("x", steps, flag=asyncio.Event(), timing=TIMING) == "500 InternalError: failed calling webhook"
    assert now() == pytest.approx(TIMING.deletion_timeout, abs=1)


@pytest.mark.parametrize(
    "outage", [Unavailable(0, "NoAnswer", "refused"), Unavailable(503, "Busy", "busy"), Unavailable(401, "Unauthorized", "")]
)
async def test_deletion_outlives_an_api_server_that_nobody_can_ask(outage: Unavailable) -> None:
    steps = Steps(LookAgain(1.0), *[outage] * 30, LookAgain(1.0), None)
    assert await delete("x", steps, flag=asyncio.Event(), timing=TIMING) is None
    assert now() > 5 * TIMING.deletion_timeout


async def test_deletion_that_lingers_lets_go() -> None:
    steps = Steps(LookAgain(10.0))
    assert await delete("x", steps, flag=asyncio.Event(), timing=TIMING) is not None
    assert now() == pytest.approx(TIMING.deletion_timeout, abs=1)


async def test_deletion_waits_as_long_as_somebody_needs_the_resource() -> None:
    steps = Steps(*[Waiting("InUse", "in use by c")] * 30, LookAgain(1.0), None)
    assert await delete("x", steps, flag=asyncio.Event(), timing=TIMING) is None
    assert now() > 20 * TIMING.deletion_timeout


async def test_deletion_waits_no_longer_than_it_is_told_to() -> None:
    steps = Steps(Waiting("InUse", "in use by c", 7.0), None)
    assert await delete("x", steps, flag=asyncio.Event(), timing=TIMING) is None
    assert now() == pytest.approx(7.0, abs=1)


async def test_deletion_whose_step_hangs_is_bounded() -> None:
    async def hang() -> None:
        await asyncio.Event().wait()

    assert await delete("x", hang, flag=asyncio.Event(), timing=TIMING) == "it took too long"
    assert now() <= TIMING.deletion_timeout + TIMING.reconcile_timeout


async def test_deletion_that_is_cancelled_does_not_pretend_to_be_done() -> None:
    """The framework drops the finalizer when its handler returns: at the operator's exit it must not return."""
    task = asyncio.create_task(delete("x", Steps(LookAgain(10.0)), flag=asyncio.Event(), timing=TIMING))
    await asyncio.sleep(3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
