"""Whether an apply that must make an object makes it, and changes none, on the oldest and the newest Kubernetes, for each kind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from airflow_operator.domain.kinds import kind_of
from airflow_operator.domain.manifest import Live, Manifest, key_of
from airflow_operator.kube.client import connect
from airflow_operator.kube.errors import AlreadyExists
from tests.crd.server import Server
from tests.integration import children

pytestmark = pytest.mark.integration

PLACE = "new"
"""A namespace of its own: what is made stays."""
OWNER: Manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "demo", "namespace": PLACE, "uid": "1"}}


@pytest.fixture(scope="module", autouse=True)
def place(server: Server) -> None:
    server.kubectl("create", "namespace", PLACE)


async def applied_twice(server: Server, manifest: Manifest) -> tuple[Live, Live | None]:
    """The object as it was made, and as it is after a second one was refused."""
    key = key_of(manifest)
    async with connect(server.control_plane.kubeconfig) as kube:
        made = await kube.apply(manifest, new=True)
        with pytest.raises(AlreadyExists):
            await kube.apply({**manifest, "metadata": {**manifest["metadata"], "labels": {"second": "yes"}}}, new=True)
        return made, await kube.get(kind_of(manifest), key.namespace, key.name)


@pytest.mark.parametrize("make", children.ALL)
def test_second_apply_of_what_must_be_new_is_refused(server: Server, make: Callable[[Live], Manifest]) -> None:
    made, left = asyncio.run(applied_twice(server, make(OWNER)))
    assert [entry["operation"] for entry in made["metadata"]["managedFields"] if entry["manager"] == "airflow-operator"] == ["Apply"]
    assert left is not None
    assert "second" not in left["metadata"]["labels"]
