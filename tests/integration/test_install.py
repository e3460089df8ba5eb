"""The installs on a real API server: applied as documented, and the operator at work with no other right than theirs."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from airflow_operator.cli.deployed import settings_of
from airflow_operator.domain.kinds import AIRFLOW_BASE, AIRFLOW_CLUSTER, SECRET, SERVICE
from airflow_operator.settings import Settings
from devcluster.control_plane import ControlPlane
from tests.integration.eventually import eventually
from tests.integration.rights import INSTALLS, kubeconfig_of
from tests.integration.running import QUICK, RunningOperator, running_operator
from tests.integration.scenario import BASE, CLUSTER, Stage, base, cluster

pytestmark = pytest.mark.integration


@pytest.fixture(params=["cluster-wide", "opt-in", "single-namespace"])
def installed(request: pytest.FixtureRequest, stage: Stage, tmp_path: Path) -> Iterator[str]:
    """The account of the operator's pod, after `kubectl apply -k` of one install; single-namespace in the stage's namespace.

    Where namespaces opt in, that of the stage is granted.
    """
    with install(request.param, stage, tmp_path) as account:
        if request.param == "opt-in":
            stage.kubectl("apply", "-k", str(INSTALLS / "grant"))
        yield account


@contextmanager
def install(name: str, stage: Stage, folder: Path) -> Iterator[str]:
    plane, source = stage.control_plane, INSTALLS / name
    namespace = "airflow-operator"
    if name == "single-namespace":
        namespace = stage.namespace
        source = for_namespace(namespace, folder)
    plane.kubectl("apply", "--server-side", "-k", str(source))
    yield f"{namespace}:airflow-operator"
    plane.kubectl("delete", "--wait=false", "-k", str(source))
    if name != "single-namespace":
        plane.kubectl("wait", "--for=delete", "--timeout=60s", "namespace", namespace)


def settings_of_install(stage: Stage, account: str) -> Settings:
    """What the operator reads from the Deployment that was applied; ports of a test's own."""
    namespace = account.partition(":")[0]
    deployment = json.loads(stage.control_plane.kubectl("-n", namespace, "get", "deployment", "airflow-operator", "-o", "json").stdout)
    own = settings_of(deployment)
    return replace(QUICK, opt_in=own.opt_in, namespaces=own.namespaces, image=own.image)


def for_namespace(namespace: str, folder: Path) -> Path:
    """A copy of the install for one namespace, edited as its first lines say."""
    shutil.copytree(INSTALLS, folder / "install")
    kustomization = folder / "install" / "single-namespace" / "kustomization.yaml"
    text = kustomization.read_text()
    assert text.count("\nnamespace: airflow\n") == 1
    kustomization.write_text(text.replace("\nnamespace: airflow\n", f"\nnamespace: {namespace}\n"))
    return kustomization.parent


@asynccontextmanager
async def operator_with_its_own_rights(stage: Stage, account: str, folder: Path, **changes: Any) -> AsyncIterator[RunningOperator]:
    """`changes` are settings."""
    path = kubeconfig_of(stage.control_plane, account, folder)
    settings = replace(settings_of_install(stage, account), **changes)
    async with running_operator(path, *settings.namespaces, health=stage.health, settings=settings) as operator:
        yield operator


def refused_requests(stage: Stage, account: str) -> set[tuple[str, str]]:
    """What the operator asked for and had no right to."""
    asked = [item for item in stage.control_plane.audit() if item["user"].get("username") == f"system:serviceaccount:{account}"]
    assert asked
    return {(item["verb"], item["requestURI"]) for item in asked if item["responseStatus"]["code"] == 403}


async def test_operator_needs_no_other_right(stage: Stage, installed: str, tmp_path: Path) -> None:
    async with operator_with_its_own_rights(stage, installed, tmp_path):
        private = [{"git": {"repo": "https://git.example/dags.git", "credentialsSecretRef": {"name": "git"}}}]
        await stage.apply(base(deletionPolicy="Delete"), cluster(deletionPolicy="Delete", dags=private))
        await stage.says("ReferencesResolved", "False", "SecretNotFound")
        await stage.secret("git", username="me", password="word")
        await stage.ready()
        service = await stage.must_get(SERVICE, f"{CLUSTER}-api-server")
        await stage.delete(SERVICE, f"{CLUSTER}-api-server")
        await stage.there(SERVICE, f"{CLUSTER}-api-server", but=service["metadata"]["uid"])
        await stage.edit_spec(scheduler={"replicas": 2}, config={"core": {"parallelism": 7}})
        await stage.ready()
        assert await stage.events(), "the operator could not post events"
        await stage.delete(AIRFLOW_CLUSTER, CLUSTER)
        await stage.gone(AIRFLOW_CLUSTER, CLUSTER)
        await stage.delete(AIRFLOW_BASE, BASE)
        await stage.gone(AIRFLOW_BASE, BASE)
    assert refused_requests(stage, installed) == set()


async def test_namespace_is_served_once_its_administrator_ran_the_command(stage: Stage, tmp_path: Path) -> None:
    stage.kubectl("create", "rolebinding", "owner", "--clusterrole=admin", "--user=ada")
    with install("opt-in", stage, tmp_path) as account:
        async with operator_with_its_own_rights(stage, account, tmp_path):
            await stage.apply(base(), cluster())
            told = await stage.says("AccessGranted", "False", "NotGranted")
            await stage.says("AccessGranted", "False", "NotGranted", name=BASE, kind=AIRFLOW_BASE)
            assert await stage.children(SECRET) == []
            program, *words = shlex.split(told["message"].rpartition("grants it by: ")[2])
            assert program == "kubectl"
            stage.control_plane.kubectl(*words, "--as=ada")
            await stage.ready()
            await stage.rest()
            templates = await stage.templates()

            # A look that is under way when the grant goes is refused: the review at its beginning could not know.
            stage.kubectl("delete", "rolebinding", "airflow-operator")

            async def is_closed() -> bool:
                return not may(stage.control_plane, f"system:serviceaccount:{account}", "list", "secrets", stage.namespace)

            await stage.until(is_closed)
            await stage.edit_spec(scheduler={"replicas": 2})
            await stage.says("AccessGranted", "False", "NotGranted")
            assert await stage.templates() == templates, "what runs goes on"
            await stage.delete(AIRFLOW_CLUSTER, CLUSTER)
            await stage.gone(AIRFLOW_CLUSTER, CLUSTER)
            assert ("Warning", "NotGranted") in await stage.events()
        assert refused_requests(stage, account) == set()


RIGHTS = (("get", "secrets"), ("list", "pods"), ("create", "deployments.apps"), ("get", "configmaps"))


def test_what_the_operator_may_do_elsewhere(stage: Stage, installed: str) -> None:
    of_one_namespace = installed.startswith(stage.namespace)
    opt_in = not of_one_namespace and settings_of_install(stage, installed).opt_in
    user = f"system:serviceaccount:{installed}"
    for verb, resource in RIGHTS:
        assert may(stage.control_plane, user, verb, resource, stage.namespace)
        assert may(stage.control_plane, user, verb, resource, "default") is not (of_one_namespace or opt_in)
    assert may(stage.control_plane, user, "patch", "airflowclusters.airflow-operator.dev", "default") is not of_one_namespace
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
    stage.control_plane.kubectl("apply", "--server-side", "-k", str(INSTALLS / "roles"))
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
