"""A real API server with the CRDs, for the tests that are marked `integration`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from devcluster.control_plane import ControlPlane
from tests.crd.examples import SAMPLES, ours
from tests.crd.server import Server
from tests.integration.running import install_crds


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """One API server for all tests: they use names of their own or dry runs."""
    with ControlPlane() as control_plane:
        install_crds(control_plane)
        # A dry run makes no namespace that the next object of the file could be in.
        for name in sorted(
            {document["metadata"].get("namespace", "default") for sample in SAMPLES for document in ours(sample)} - {"default"}
        ):
            control_plane.kubectl("create", "namespace", name)
        yield Server(control_plane)
