"""Each install grants what the operator needs, and nothing that it does not use: both from the audit log, as its own account."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from airflow_operator.domain import permissions
from airflow_operator.domain.kinds import (
    AIRFLOW_BASE,
    AIRFLOW_CLUSTER,
    CRON_JOB,
    HTTP_ROUTE,
    INGRESS,
    NETWORK_POLICY,
    PERSISTENT_VOLUME_CLAIM,
    ROLE_BINDING,
    SECRET,
    SERVICE,
    SERVICE_ACCOUNT,
)
from airflow_operator.domain.permissions import RBAC, Rule
from airflow_operator.kube.client import connect
from airflow_operator.runtime.leader import Leader, Timing
from tests.integration.rights import INSTALLS, kubeconfig_of
from tests.integration.scenario import BASE, CLUSTER, PATIENCE, Stage, base, cluster
from tests.integration.test_install import install, operator_with_its_own_rights, refused_requests
from tests.integration.test_scenario_gateway import GATEWAY, accept, crd

pytestmark = [pytest.mark.security, pytest.mark.timeout(900)]

Right = tuple[str, str, str]
"""(verb, API group, resource)."""

ROUTES = "httproutes.gateway.networking.k8s.io"

GRANTED: dict[str, tuple[tuple[Rule, ...], ...]] = {
    "cluster-wide": (permissions.OPERATOR, permissions.LEADER),
    "opt-in": (permissions.WATCHER, permissions.GRANTED, permissions.OWN_POD, permissions.LEADER),
    "single-namespace": (permissions.OPERATOR, permissions.LEADER),
}

_CHECKED = "asked by admission about the objects of a request, so that it is no request itself"
WITHOUT_A_REQUEST: dict[Right, str] = {
    ("update", "airflow-operator.dev", "airflowbases/finalizers"): _CHECKED,
    ("update", "airflow-operator.dev", "airflowclusters/finalizers"): _CHECKED,
    ("bind", RBAC, "clusterroles"): f"{_CHECKED}: the RoleBindings of this run could not be made without it",
}


async def all_that_can_happen(stage: Stage) -> None:
    """A life of a base and a cluster in which every kind of object is made, repaired, and removed."""
    spec = {
        "dags": [{"git": {"repo": "https://git.example/dags.git", "credentialsSecretRef": {"name": "git"}}}],
        "externalURL": "https://airflow.example.com",
        "ingress": {},
        "gateway": GATEWAY,
        "networkPolicy": {},
        "metrics": {},
        "logs": {"volume": {"size": "1Gi"}, "retention": "720h"},
        "triggerer": {"permissions": ["Pods"]},
        "apiServer": {"volumes": [{"name": "mine", "persistentVolumeClaim": {"claimName": "mine"}}]},
        "deletionPolicy": "Delete",
    }
    claim = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}}
    await stage.apply({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "mine"}, "spec": claim})
    await stage.secret("git", username="me", password="word")
    # Why a StatefulSet has no pods stands in Events.
    stage.kubectl("create", "quota", "none", "--hard=pods=0")
    await stage.apply(base(deletionPolicy="Delete"), cluster(**spec))
    await stage.says("DatabaseAvailable", "False", "PodRefused", name=BASE, kind=AIRFLOW_BASE)
    stage.kubectl("delete", "quota", "none")
    await stage.there(HTTP_ROUTE, f"{CLUSTER}-api-server")
    await accept(stage, await stage.must_get(HTTP_ROUTE, f"{CLUSTER}-api-server"))
    await stage.ready()
    (retention,) = await stage.children(CRON_JOB)
    for kind, name in (
        (SERVICE, f"{CLUSTER}-api-server"),
        (SERVICE_ACCOUNT, f"{CLUSTER}-scheduler"),
        (ROLE_BINDING, f"{CLUSTER}-triggerer-pods"),
        (NETWORK_POLICY, f"{CLUSTER}-default"),
        (INGRESS, f"{CLUSTER}-api-server"),
        (HTTP_ROUTE, f"{CLUSTER}-api-server"),
        (CRON_JOB, retention["metadata"]["name"]),
    ):
        uid = (await stage.must_get(kind, name))["metadata"]["uid"]
        await stage.delete(kind, name)
        await stage.there(kind, name, but=uid)

    # Less of everything, with another image whose schema is newer.
    stage.world.knows["docker.io/apache/airflow:next"] = "heads-2"
    less = dict.fromkeys(("ingress", "gateway", "networkPolicy", "metrics"))
    await stage.edit_spec(
        **less,
        image={"tag": "next"},
        logs={"retention": None},
        triggerer={"permissions": []},
        serviceAccount={"name": "default"},
        config={"core": {"parallelism": 7}},
    )
    for kind, name in (
        (INGRESS, f"{CLUSTER}-api-server"),
        (HTTP_ROUTE, f"{CLUSTER}-api-server"),
        (NETWORK_POLICY, f"{CLUSTER}-default"),
        (SERVICE, f"{CLUSTER}-statsd"),
        (SERVICE_ACCOUNT, f"{CLUSTER}-triggerer"),
        (ROLE_BINDING, f"{CLUSTER}-triggerer-pods"),
    ):
        await stage.gone(kind, name, within=2 * PATIENCE)
    await stage.ready(within=2 * PATIENCE)
    assert await stage.children(CRON_JOB) == []
    keys = await stage.must_get(SECRET, f"{CLUSTER}-keys")
    assert len(base64.b64decode(keys["data"]["fernet-key"])) == 44

    for kind, name in ((AIRFLOW_CLUSTER, CLUSTER), (AIRFLOW_BASE, BASE)):
        await stage.delete(kind, name)
        await stage.gone(kind, name, within=2 * PATIENCE)
    await stage.gone(PERSISTENT_VOLUME_CLAIM, f"{CLUSTER}-logs")


def used(stage: Stage, account: str) -> set[Right]:
    """What the account did, successfully; an apply that makes something creates too."""
    found: set[Right] = set()
    for entry in stage.control_plane.audit():
        if entry["user"]["username"] != f"system:serviceaccount:{account}" or "objectRef" not in entry:
            continue
        ref, code = entry["objectRef"], entry["responseStatus"].get("code", 0)
        resource = "/".join(filter(None, (ref["resource"], ref.get("subresource"))))
        found.add((entry["verb"], ref.get("apiGroup", ""), resource))
        if entry["verb"] == "patch" and code == 201:
            found.add(("create", ref.get("apiGroup", ""), resource))
    return found


def granted(name: str) -> set[Right]:
    rules = [rule for rules in GRANTED[name] for rule in rules]
    return {(verb, rule.group, resource) for rule in rules for resource in rule.resources for verb in rule.verbs}


async def lead_once(config: Path, namespace: str) -> None:
    async with connect(config) as kube:
        leader = Leader(kube, namespace, "replica", Timing(15.0, 10.0, 2.0))
        await leader.take()
        await leader.give_up()


@pytest.fixture
def routes(stage: Stage) -> None:
    """The Gateway API's HTTPRoute."""
    for words in (["apply", "--server-side", "-f", str(crd())], ["wait", "--for=condition=Established", "--timeout=30s", "crd", ROUTES]):
        stage.control_plane.kubectl(*words)


@pytest.mark.usefixtures("routes")
@pytest.mark.parametrize("name", sorted(GRANTED))
async def test_every_right_is_used_and_no_other_is_needed(stage: Stage, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with install(name, stage, tmp_path) as account:
        place = account.partition(":")[0]
        if name == "opt-in":
            stage.kubectl("apply", "-k", str(INSTALLS / "grant"))
        # By its own pod the operator finds its image.
        monkeypatch.setenv("POD_NAME", "airflow-operator-0")
        monkeypatch.setenv("POD_NAMESPACE", place)
        async with operator_with_its_own_rights(stage, account, tmp_path, image=""):
            await all_that_can_happen(stage)
        await lead_once(kubeconfig_of(stage.control_plane, account, tmp_path), place)
        assert refused_requests(stage, account) == set()
        assert granted(name) - used(stage, account) == set(WITHOUT_A_REQUEST)
