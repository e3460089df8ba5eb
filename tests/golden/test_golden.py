"""Every sample renders to what is kept here: a change of any manifest is seen in a review."""

from __future__ import annotations

import pytest

from tests.golden.rendering import KEPT, NAMES, REPORTS, rendered, report, text


@pytest.mark.parametrize("name", NAMES)
def test_a_sample_renders_to_what_is_kept(name):
    kept = KEPT / f"{name}.yaml"
    assert kept.exists(), "make generate writes it"
    assert kept.read_text(encoding="utf-8") == text(name), "make generate writes it anew; look at the difference"


@pytest.mark.parametrize("name", NAMES)
def test_its_security_report_is_what_is_kept(name):
    kept = REPORTS / f"{name}.txt"
    assert kept.exists(), "make generate writes it"
    assert kept.read_text(encoding="utf-8") == report(name), "make generate writes it anew; look at the difference"


def test_nothing_is_kept_of_a_sample_that_is_gone():
    assert {path.stem for path in KEPT.glob("*.yaml")} == set(NAMES)
    assert {path.stem for path in REPORTS.glob("*.txt")} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_rendering_twice_makes_the_same(name):
    assert rendered(name) == rendered(name)
