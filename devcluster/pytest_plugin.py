"""Fixture `cluster` for tests that need pods: import it in a conftest.py."""

import pytest

from devcluster.kind import Kind
from devcluster.providers import Provider, provider


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest) -> Provider:
    """A running cluster; left running, since bringing one up and filling it with images takes longer than most tests."""
    chosen = provider()
    if isinstance(chosen, Kind):
        for option, value in chosen.pytest_kind_options().items():
            setattr(request.config.option, option, value)
        request.getfixturevalue("kind_cluster")
    chosen.up()
    return chosen
