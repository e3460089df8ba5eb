"""Real API servers of the oldest and the newest Kubernetes with the CRDs, for the tests that are marked `integration`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from devcluster.control_plane import ControlPlane
from devcluster.tools import NEWEST, OLDEST
from tests.crd.examples import SAMPLES, ours
from tests.crd.server import Server
from tests.integration.running import install_crds


@pytest.fixture(scope="session", params=[OLDEST, NEWEST], ids=lambda version: f"kubernetes-{version}")
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """One API server of each version for all tests: they use names of their own or dry runs."""
    with ControlPlane(kubernetes=request.param) as control_plane:
        install_crds(control_plane)
        # Until then kubectl remembers what there was before.
        control_plane.kubectl("api-resources")
        # A dry run makes no namespace that the next object of the file could be in.
        for name in sorted(
            {document["metadata"].get("namespace", "default") for sample in SAMPLES for document in ours(sample)} - {"default"}
        ):
            control_plane.kubectl("create", "namespace", name)
        yield Server(control_plane)
