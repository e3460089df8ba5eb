"""Every leaf of both specs is changed, well and badly, in any order: what is declared comes true, or is named and changes nothing.

A hypothesis state machine walks several namespaces at once, since most of a transition is waiting. A transition is right if

- the API server refuses it with words that name it: then nothing that runs changes;
- or a condition holds it and names it: the same, and taking it back leaves everything as it was;
- or it is carried out: then the oracle finds nothing.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from devcluster.control_plane import ControlPlane
from tests.faults.case import rig
from tests.faults.conftest import SHOWN
from tests.faults.sweep import SLICE
from tests.faults.walk import Lane, Walked, bring_for_all

pytestmark = [pytest.mark.faults, pytest.mark.timeout(3600)]

LANES = int(os.environ.get("FAULTS_LANES", "10"))
"""Namespaces that are walked at once."""
TRANSITIONS = 1000 // SLICE
IN_A_ROW = 5
"""So many transitions of every lane are one step of the machine: the lanes do not wait for each other meanwhile."""
STEPS = 5


def test_what_is_declared_comes_true_or_is_named(control_plane: ControlPlane, tmp_path: Path, tell: Callable[[str], None]) -> None:
    bring_for_all(control_plane)
    walked = Walked()

    def over() -> bool:
        return walked.transitions >= TRANSITIONS and (SLICE > 1 or not walked.left)

    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        shared = runner.run(stack.enter_async_context(rig(control_plane, tmp_path)))
        lanes = [Lane(shared, walked, number) for number in range(LANES)]

        async def all_begin() -> None:
            await asyncio.gather(*(lane.begin() for lane in lanes))

        async def all_step(seed: int) -> None:
            # Where one fails the others end too: hypothesis tries the step again, and a lane must not be walked twice at once.
            async with asyncio.TaskGroup() as group:
                for lane in lanes:
                    group.create_task(lane.walk(range(seed, seed + IN_A_ROW)))

        class Walk(RuleBasedStateMachine):
            """The lanes go on where the last example left them: making a namespace costs more than ten transitions."""

            @rule(seed=st.integers(0, 2**32))
            def step(self, seed: int) -> None:
                if not over():
                    runner.run(all_step(seed))

        try:
            runner.run(all_begin())
            run_state_machine_as_test(  # type: ignore[no-untyped-call]
                Walk,
                settings=settings(
                    max_examples=2 * TRANSITIONS // LANES,
                    stateful_step_count=STEPS,
                    deadline=None,
                    phases=[Phase.generate],
                    suppress_health_check=list(HealthCheck),
                    derandomize=True,
                    database=None,
                ),
            )
        finally:
            for lane in lanes:
                runner.run(lane.close())
            runner.run(stack.aclose())
    tell(f"schema walk: {walked.transitions} transitions, {len(walked.changed)} leaves changed")
    for (manner, end), count in sorted(walked.ends.items()):
        tell(f"  {manner}: {count} {end}")
    first = [failure.partition("\n")[0] for failure in walked.failures]
    assert not walked.failures, "\n".join([*walked.failures[:SHOWN], *first])
    assert walked.transitions >= TRANSITIONS
    if SLICE == 1:
        assert not walked.left, "\n".join(f"never carried out: {path}: {walked.told.get(path, 'never tried')}" for path in walked.left)
