"""A real API server for tests: one a worker, a namespace a test, and a log of who asked it for what."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from itertools import count

import pytest

from airflow_operator.kube.client import connect
from airflow_operator.kube.protocol import Kube
from devcluster.control_plane import ControlPlane
from tests.integration.audit import Audit
from tests.integration.players import PodPlayer
from tests.integration.rights import Rights
from tests.integration.running import install_crds
from tests.integration.scenario import Stage

_numbers = count(1)


@pytest.fixture(scope="session")
def control_plane() -> Iterator[ControlPlane]:
    """etcd, kube-apiserver and kube-controller-manager; no nodes (see `players`)."""
    with ControlPlane(controller_manager=True) as running:
        yield running


@pytest.fixture
async def kube(control_plane: ControlPlane) -> AsyncIterator[Kube]:
    """The operator's own client, as cluster administrator; the audit log counts what it asks as the operator's."""
    async with connect(control_plane.kubeconfig) as client:
        yield client


@pytest.fixture
async def admin(control_plane: ControlPlane) -> AsyncIterator[Kube]:
    """The same client in the hands of a person: the audit log tells the two apart."""
    async with connect(control_plane.kubeconfig, user_agent="administrator") as client:
        yield client


@pytest.fixture
def namespace(control_plane: ControlPlane, request: pytest.FixtureRequest) -> str:
    """A fresh namespace that admits only what Pod Security's restricted profile allows."""
    name = f"{re.sub('[^a-z0-9]+', '-', request.node.originalname.lower())[:40].strip('-')}-{next(_numbers)}"
    control_plane.kubectl("create", "namespace", name)
    control_plane.kubectl("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
    return name


@pytest.fixture
async def player(control_plane: ControlPlane, namespace: str) -> AsyncIterator[PodPlayer]:
    """Plays the pods of the test's namespace."""
    async with PodPlayer(control_plane, namespace) as playing:
        yield playing


@pytest.fixture
def audit(control_plane: ControlPlane, namespace: str) -> Audit:
    """Requests of the operator's client in the test's namespace."""
    return Audit(control_plane, namespace)


@pytest.fixture(scope="session")
def our_kinds(control_plane: ControlPlane) -> None:
    """The CRDs, once a control plane."""
    install_crds(control_plane)


@pytest.fixture(scope="session")
def rights(our_kinds: None, control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Rights:
    """What a shipped install grants."""
    return Rights(control_plane, tmp_path_factory.mktemp("rights"))


@pytest.fixture
def stage(rights: Rights, control_plane: ControlPlane, namespace: str, admin: Kube, player: PodPlayer) -> Stage:
    """A namespace for a scenario, in which the operator has the rights of a shipped install."""
    return Stage(control_plane, namespace, admin, player, rights.account(namespace))
