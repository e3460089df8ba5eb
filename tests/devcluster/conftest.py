"""Fixtures of the test bed's own tests."""

import pytest

from devcluster.pytest_plugin import cluster

__all__ = ["cluster"]


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache, so that nothing built before is found."""
    directory = tmp_path / "cache"
    directory.mkdir()
    monkeypatch.setenv("DEVCLUSTER_CACHE", str(directory))
    return directory


@pytest.fixture
def state(tmp_path, monkeypatch):
    """A state directory without a cluster."""
    directory = tmp_path / "state"
    monkeypatch.setenv("DEVCLUSTER_STATE", str(directory))
    return directory
