"""A real API server with the CRDs, for the tests that are marked `integration`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from devcluster.control_plane import ControlPlane
from tests.crd.server import ROOT, Server


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """One API server for all tests: they use names of their own or dry runs."""
    with ControlPlane() as control_plane:
        control_plane.kubectl("apply", "--server-side", "-k", str(ROOT / "crds"))
        control_plane.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
        yield Server(control_plane)
