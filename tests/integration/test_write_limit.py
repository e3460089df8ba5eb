"""The operator's own limit of writes, by the API server's count; and a storm of refusals, after which nothing is missing."""

from __future__ import annotations

import pytest

from tests.bench import limits, rig

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

CLUSTERS = 30
LIMIT = 50
"""Writes a second, as shipped."""


async def test_no_second_has_more_writes_than_the_limit_and_a_storm_loses_none() -> None:
    found = await limits.measure(CLUSTERS, LIMIT, storm=6.0)
    for when, figures in found.items():
        print(when, figures)
    peace, storm = found["peace"], found["storm"]
    assert storm["requests refused"] > CLUSTERS / 2, "there was a storm"
    for figures in (peace, storm):
        assert figures["most writes in a second"] <= LIMIT
    # A busy machine may be slower than the limit, but not by that much.
    assert peace["most writes in a second"] > LIMIT / 2
    # The same of each cluster, the richest and the poorest.
    assert len({*peace["children of a cluster, least and most"], *storm["children of a cluster, least and most"]}) == 1


def test_a_second_may_begin_anywhere() -> None:
    assert rig.most_in_a_second([]) == 0
    assert rig.most_in_a_second([7.0, 1.0, 1.5, 1.999, 2.0, 2.4]) == 4
    assert rig.most_in_a_second([0.0, 1.0, 2.0]) == 1
