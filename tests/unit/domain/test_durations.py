"""Go durations."""

from __future__ import annotations

import pytest

from airflow_operator.domain.durations import seconds


@pytest.mark.parametrize(
    ("text", "expected"),
    [("60s", 60), ("1h30m", 5400), ("500ms", 0.5), ("1.5m", 90), ("2h", 7200), ("0s", 0), ("10us", 1e-5), ("1m0.5s", 60.5)],
)
def test_a_duration_in_seconds(text, expected):
    assert seconds(text) == pytest.approx(expected)


@pytest.mark.parametrize("text", ["", "60", "1d", "s", "1s ", "-1s", "1s-", "1 s", "\u0661s", "1.s", ".5s"])
def test_anything_else_is_refused(text):
    with pytest.raises(ValueError, match="is not a duration"):
        seconds(text)
