"""One real Airflow for all tests that can share it; each namespace enforces Pod Security's restricted level."""

from __future__ import annotations

import os
import secrets
from collections.abc import Generator, Iterator

import pytest

from devcluster import Provider
from devcluster.pytest_plugin import cluster
from tests.e2e.demo import demo
from tests.e2e.deployment import Deployment
from tests.e2e.diagnose import diagnose
from tests.e2e.kubectl import Kubectl
from tests.e2e.prepare import prepare

__all__ = ["cluster"]

KEEP = "E2E_KEEP"
"""Set it to anything, and namespaces of tests stay for a look."""


@pytest.fixture(scope="session")
def kubectl(cluster: Provider) -> Kubectl:
    """kubectl for a cluster that has every image and the operator of this checkout."""
    return prepare()


@pytest.fixture(scope="session")
def deployed(kubectl: Kubectl) -> Iterator[Deployment]:
    """A deployment that was brought up by the steps of the demo, undisturbed."""
    deployment = Deployment(kubectl, f"e2e-{secrets.token_hex(3)}")
    try:
        demo(deployment)
        deployment.wait_until_settled()
        deployment.first_state = deployment.end_state()
        yield deployment
    finally:
        leave(deployment)


@pytest.fixture
def another(kubectl: Kubectl) -> Iterator[Deployment]:
    """A second deployment in a namespace of its own; nothing is applied yet but its git server."""
    deployment = Deployment(kubectl, f"e2e-{secrets.token_hex(3)}", modest=True)
    try:
        deployment.make_namespace()
        yield deployment
    finally:
        leave(deployment)


def leave(deployment: Deployment) -> None:
    """Remove its namespace, or let it stay for a look."""
    if os.environ.get(KEEP):
        deployment.close()
    else:
        deployment.remove()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failed test shows what its namespaces looked like."""
    report = yield
    if report.failed:
        for value in getattr(item, "funcargs", {}).values():
            if isinstance(value, Deployment):
                report.sections.append((f"namespace {value.namespace}", diagnose(value.kubectl)))
    return report
