"""The installs on a real API server: applied as documented, and the operator at work with no other right than theirs."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from airflow_operator.domain.kinds import AIRFLOW_BASE, AIRFLOW_CLUSTER
from devcluster.control_plane import ControlPlane
from tests.integration.eventually import eventually
from tests.integration.running import RunningOperator, running_operator
from tests.integration.scenario import BASE, CLUSTER, Stage, base, cluster

pytestmark = pytest.mark.integration

INSTALL = Path(__file__).parents[2] / "manifests" / "install"


@pytest.fixture(params=["cluster-wide", "single-namespace"])
def installed(request: pytest.FixtureRequest, stage: Stage, tmp_path: Path) -> Iterator[str]:
    """The account of the operator's pod, after `kubectl apply -k` of one install; single-namespace in the stage's namespace."""
    plane, folder = stage.control_plane, INSTALL / request.param
    namespace = "airflow-operator"
    if request.param == "single-namespace":
        namespace = stage.namespace
        folder = for_namespace(namespace, tmp_path)
    plane.kubectl("apply", "--server-side", "-k", str(folder))
    yield f"{namespace}:airflow-operator"
    plane.kubectl("delete", "--wait=false", "-k", str(folder))
    if request.param == "cluster-wide":
        plane.kubectl("wait", "--for=delete", "--timeout=60s", "namespace", namespace)


def for_namespace(namespace: str, folder: Path) -> Path:
    """A copy of the install for one namespace, edited as its first lines say."""
    shutil.copytree(INSTALL, folder / "install")
    kustomization = folder / "install" / "single-namespace" / "kustomization.yaml"
    text = kustomization.read_text()
    assert text.count("\nnamespace: airflow\n") == 1
    kustomization.write_text(text.replace("\nnamespace: airflow\n", f"\nnamespace: {namespace}\n"))
    return kustomization.parent


@asynccontextmanager
async def operator_with_its_own_rights(stage: Stage, account: str, folder: Path) -> AsyncIterator[RunningOperator]:
    namespace, _, name = account.partition(":")
    token = stage.control_plane.kubectl("-n", namespace, "create", "token", name).stdout.strip()
    config: dict[str, Any] = yaml.safe_load(stage.control_plane.kubeconfig.read_text())
    config["users"] = [{"name": user["name"], "user": {"token": token}} for user in config["users"]]
    path = folder / "operator.kubeconfig"
    path.write_text(yaml.safe_dump(config))
    async with running_operator(path, stage.namespace, health=stage.health) as operator:
        yield operator


async def test_operator_needs_no_other_right(stage: Stage, installed: str, tmp_path: Path) -> None:
    async with operator_with_its_own_rights(stage, installed, tmp_path):
        await stage.apply(base(deletionPolicy="Delete"), cluster(deletionPolicy="Delete"))
        await stage.ready()
        await stage.edit_spec(scheduler={"replicas": 2}, config={"core": {"parallelism": 7}})
        await stage.ready()
        assert await stage.events(), "the operator could not post events"
        await stage.delete(AIRFLOW_CLUSTER, CLUSTER)
        await stage.gone(AIRFLOW_CLUSTER, CLUSTER)
        await stage.delete(AIRFLOW_BASE, BASE)
        await stage.gone(AIRFLOW_BASE, BASE)
    user = f"system:serviceaccount:{installed}"
    asked = [entry for entry in stage.control_plane.audit() if entry["user"]["username"] == user]
    assert asked
    refused = {(entry["verb"], entry["requestURI"]) for entry in asked if entry["responseStatus"]["code"] == 403}
    assert refused == set()


def test_operator_for_one_namespace_can_do_nothing_elsewhere(stage: Stage, installed: str) -> None:
    everywhere = not installed.startswith(stage.namespace)
    for verb, resource in (
        ("get", "secrets"),
        ("list", "pods"),
        ("create", "deployments.apps"),
        ("patch", "airflowclusters.airflow-operator.dev"),
    ):
        assert may(stage.control_plane, f"system:serviceaccount:{installed}", verb, resource, "default") is everywhere
    for verb, resource in (
        ("create", "pods"),
        ("get", "nodes"),
        ("create", "clusterrolebindings.rbac.authorization.k8s.io"),
        ("update", "airflowclusters.airflow-operator.dev"),
    ):
        assert not may(stage.control_plane, f"system:serviceaccount:{installed}", verb, resource, stage.namespace)


@pytest.mark.parametrize(
    ("role", "allowed", "refused"),
    [
        ("view", ["get airflowclusters", "get airflowclusters/scale", "get airflowbases/status"], ["patch airflowclusters"]),
        ("edit", ["get airflowclusters", "create airflowbases", "update airflowclusters/scale"], ["patch airflowclusters/status"]),
        ("admin", ["delete airflowclusters", "patch airflowclusters/scale"], ["patch airflowbases/status"]),
    ],
)
async def test_roles_of_people_reach_our_resources(stage: Stage, role: str, allowed: list[str], refused: list[str]) -> None:
    stage.control_plane.kubectl("apply", "--server-side", "-k", str(INSTALL / "roles"))
    stage.kubectl("create", "rolebinding", "person", f"--clusterrole={role}", "--user=ada")

    async def aggregated() -> bool:
        return all(asks(stage, words) for words in allowed)

    await eventually(aggregated)
    assert not any(asks(stage, words) for words in refused)


def asks(stage: Stage, words: str) -> bool:
    verb, resource = words.split()
    resource, _, subresource = resource.partition("/")
    return may(stage.control_plane, "ada", verb, f"{resource}.airflow-operator.dev", stage.namespace, subresource)


def may(plane: ControlPlane, user: str, verb: str, resource: str, namespace: str, subresource: str = "") -> bool:
    options = [f"--as={user}", "-n", namespace, *([f"--subresource={subresource}"] if subresource else [])]
    return plane.kubectl("auth", "can-i", verb, resource, *options, check=False).stdout.strip() == "yes"
