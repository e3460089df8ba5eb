"""One control plane for all cases of a worker, and the figures at the end."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path

import pytest

from devcluster.control_plane import ControlPlane
from tests.faults.case import Rig, rig
from tests.faults.sweep import Outcome
from tests.integration.running import install_crds

SHOWN = 3
"""So many failures are told in full."""


@pytest.fixture(scope="session")
def control_plane() -> Iterator[ControlPlane]:
    """etcd, kube-apiserver and kube-controller-manager; what the operator asked stands in the proxies' logs."""
    with ControlPlane(controller_manager=True, audit=False) as running:
        install_crds(running)
        yield running


@pytest.fixture
async def the_rig(control_plane: ControlPlane, tmp_path: Path) -> AsyncIterator[Rig]:
    """The rig, for one test."""
    async with rig(control_plane, tmp_path) as made:
        yield made


@pytest.fixture
def tell(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Print a line at the end of the session."""
    return lambda line: record_property("faults", line)


@pytest.fixture
def passed(tell: Callable[[str], None]) -> Callable[[str, Sequence[Outcome]], None]:
    """Tell the figures of a sweep, and fail with the points that failed."""
    began = time.monotonic()

    def judge(name: str, outcomes: Sequence[Outcome]) -> None:
        points, reached = sum(each.points for each in outcomes), sum(each.reached for each in outcomes)
        tell(f"{name}: {points} points, {reached} reached, {(time.monotonic() - began) / 60:.1f} min")
        for outcome in outcomes:
            tell(f"  {outcome}")
        failures = [words for outcome in outcomes for words in outcome.failures]
        assert not failures, "\n".join(
            [f"{len(failures)} of {points} points failed", *failures[:SHOWN], *(_first_line(each) for each in failures)]
        )

    return judge


def _first_line(words: str) -> str:
    return words.partition("\n")[0]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [report for group in ("passed", "failed") for report in terminalreporter.getreports(group)]
    lines = [str(value) for report in reports for name, value in report.user_properties if name == "faults"]
    if lines:
        terminalreporter.section("faults")
        terminalreporter.write_line("\n".join(lines))
