"""Pods as users want them: what the API server refuses of them, quotas, Pod Security, and names that are hard on it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from airflow_operator.domain.kinds import AIRFLOW_CLUSTER, DEPLOYMENT, SERVICE_ACCOUNT, STATEFUL_SET
from airflow_operator.domain.manifest import Live, dig
from tests.integration.scenario import CLUSTER, Stage, base, cluster

pytestmark = pytest.mark.integration

ROLES = Path(__file__).parents[2] / "manifests" / "install" / "roles" / "airflow.yaml"
PROMPT = {"resync": 1.0}
KUBERNETES = {"executors": ["KubernetesExecutor"]}


def patched(container: str, **fields: Any) -> dict[str, Any]:
    return {"podTemplate": {"spec": {"containers": [{"name": container, **fields}]}}}


MISTAKES = {
    "overlay": ({"scheduler": patched("scheduler", imagee="x")}, "spec.scheduler.podTemplate: ", "imagee: field not declared in schema"),
    "overlay of all": ({"pods": {"podTemplate": {"spec": {"nodeSelectr": {}}}}}, "spec.pods.podTemplate: ", "nodeSelectr"),
    "value": ({"apiServer": patched("api-server", livenessProbe={"periodSeconds": -1})}, "spec.apiServer.podTemplate: ", "periodSeconds"),
    "volume": ({"triggerer": {"volumes": [{"name": "a", "emptyDirr": {}}]}}, "spec.triggerer.volumes: ", "emptyDirr"),
    "mount": (
        {"scheduler": {"volumeMounts": [{"name": "config", "mountPath": "/a", "subPathh": "b"}]}},
        "spec.scheduler.volumeMounts: ",
        "subPathh",
    ),
    "container": ({"scheduler": {"extraContainers": [{"name": "side"}]}}, "spec.scheduler.extraContainers: ", "image"),
    "security": ({"pods": {"securityContext": {"runAsRoot": True}}}, "spec.pods.securityContext: ", "runAsRoot"),
    "task template": (
        {"taskPods": {"templates": [{"name": "gpu", **patched("base", resourcess={})}]}},
        "spec.taskPods.templates[gpu].podTemplate: ",
        "resourcess",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
async def test_mistake_names_its_field_and_changes_nothing(stage: Stage, mistake: str) -> None:
    spec, field, words = MISTAKES[mistake]
    async with stage.operator():
        await stage.up()
        await stage.settled()
        before = await stage.templates()
        stage.audit.reset()
        await stage.edit_spec(**spec, config={"core": {"parallelism": 7}})
        told = await stage.says("SpecValid", "False", "Refused", words=words)
        assert told["message"].startswith(field)
        await stage.quiet()
        written = [item for item in stage.audit.writes() if "events" not in item and "dry run" not in item]
        assert set(written) == {f"patch airflowclusters/{CLUSTER}/status"}
        await stage.edit_spec(**dict.fromkeys(spec), config=None)
        await stage.ready()
        assert await stage.templates() == before


async def test_overlay_that_would_break_the_operator(stage: Stage) -> None:
    async with stage.operator():
        template = {"metadata": {"labels": {"app.kubernetes.io/component": "mine"}}}
        await stage.apply(base(), cluster(scheduler={"podTemplate": template}))
        told = await stage.says("SpecValid", "False", "OwnedSetting")
        assert told["message"].startswith("spec.scheduler.podTemplate.metadata.labels: app.kubernetes.io/component is set by the operator")
        await stage.edit_spec(scheduler=None)
        await stage.ready()


async def test_null_arrives_with_server_side_apply(stage: Stage) -> None:
    async with stage.operator():
        await stage.up(cluster(scheduler={"podTemplate": {"spec": {"securityContext": {"fsGroup": None}}}}))
        template = (await stage.must_get(DEPLOYMENT, f"{CLUSTER}-scheduler"))["spec"]["template"]
        assert "fsGroup" not in template["spec"]["securityContext"]


async def test_secret_of_a_volume_is_waited_for_and_costs_no_pod(stage: Stage) -> None:
    volume = {"volumes": [{"name": "own", "secret": {"secretName": "own"}}], "volumeMounts": [{"name": "own", "mountPath": "/own"}]}
    async with stage.operator():
        await stage.up()
        before = await stage.templates()
        await stage.edit_spec(triggerer=volume)
        await stage.says("ReferencesResolved", "False", "SecretNotFound", words="spec.triggerer.volumes names Secret own")
        assert await stage.templates() == before
        await stage.secret("own", a="b")
        await stage.ready()
        template = (await stage.must_get(STATEFUL_SET, f"{CLUSTER}-triggerer"))["spec"]["template"]
        assert "own" in {item["name"] for item in template["spec"]["volumes"]}


async def test_an_existing_account_takes_over_with_its_rights(stage: Stage) -> None:
    await asyncio.to_thread(stage.control_plane.kubectl, "apply", "-f", str(ROLES))
    await stage.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "mine"}})
    async with stage.operator():
        await stage.up(cluster(**KUBERNETES, taskPods={"permissions": ["Jobs"]}))
        await stage.edit_spec(serviceAccount={"name": "mine"})
        await stage.ready()
        await stage.gone(SERVICE_ACCOUNT, f"{CLUSTER}-scheduler")
        for verb, what in (("create", "pods"), ("create", "jobs.batch")):
            assert await may(stage, "mine", verb, what) == "yes"
        await stage.edit_spec(taskPods=None)
        await stage.ready()

        async def taken_back() -> bool:
            return await may(stage, "mine", "create", "jobs.batch") == "no"

        await stage.until(taken_back)


async def may(stage: Stage, account: str, verb: str, what: str) -> str:
    """What `kubectl auth can-i` says of a ServiceAccount of the namespace."""
    who = f"--as=system:serviceaccount:{stage.namespace}:{account}"
    done = await asyncio.to_thread(stage.control_plane.kubectl, "-n", stage.namespace, "auth", "can-i", verb, what, who, check=False)
    return str(done.stdout).strip()


async def test_quota_of_pods(stage: Stage) -> None:
    async with stage.operator(**PROMPT):
        await stage.up()
        await stage.quiet()
        count = len(await stage.pods())
        quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "full"}, "spec": {"hard": {"pods": str(count + 1)}}}
        await asyncio.to_thread(stage.kubectl, "create", "-f", "-", input=json.dumps(quota))
        await asyncio.to_thread(stage.kubectl, "wait", "--for=jsonpath={.status.hard.pods}", "--timeout=30s", "resourcequota/full")
        await stage.edit_spec(scheduler={"replicas": 9})
        told = await stage.says("SchedulersAvailable", "False", "PodRefused", words="exceeded quota: full")
        assert "scheduler" in told["message"]
        await asyncio.to_thread(stage.kubectl, "delete", "resourcequota", "full")
        await stage.ready()


async def test_quota_of_pods_refuses_a_job(stage: Stage) -> None:
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "full"}, "spec": {"hard": {"pods": "1"}}}
    await asyncio.to_thread(stage.kubectl, "create", "-f", "-", input=json.dumps(quota))
    await asyncio.to_thread(stage.kubectl, "wait", "--for=jsonpath={.status.used.pods}=0", "--timeout=30s", "resourcequota/full")
    async with stage.operator():
        await stage.apply(base(), cluster())
        await stage.says("DatabaseReady", "False", "PodRefused", words="exceeded quota: full")
        await asyncio.to_thread(stage.kubectl, "delete", "resourcequota", "full")
        await stage.ready(within=150)


async def test_pod_security_refuses_a_pod_of_a_stateful_set(stage: Stage) -> None:
    async with stage.operator():
        await stage.up()
        await stage.edit_spec(triggerer={"podTemplate": {"spec": {"hostNetwork": True}}})
        await stage.says("TriggererAvailable", "False", "PodRefused", words='violates PodSecurity "restricted')
        await stage.edit_spec(triggerer=None)
        await stage.ready(within=60)


async def test_pod_security_refuses_a_pod_and_the_old_ones_run_on(stage: Stage) -> None:
    async with stage.operator(**PROMPT):
        await stage.up()
        before = {pod["metadata"]["uid"] for pod in await stage.pods() if of_component(pod, "api-server")}
        await stage.edit_spec(apiServer={"securityContext": {"privileged": True, "allowPrivilegeEscalation": True}})
        await stage.says("ApiServerAvailable", "False", "PodRefused", words='violates PodSecurity "restricted')
        assert {pod["metadata"]["uid"] for pod in await stage.pods() if of_component(pod, "api-server")} == before
        await stage.edit_spec(apiServer=None)
        await stage.ready()


def of_component(pod: Live, component: str) -> bool:
    return bool(dig(pod, "metadata", "labels", "app.kubernetes.io/component") == component)


LONG = "x" * 61
NAMES = [LONG + "aa", LONG + "ab", "a-b", "a--b", "ab", "a-b-scheduler", "a-b-postgres", *(f"team-{number}" for number in range(5))]


async def test_a_dozen_clusters_in_one_namespace(stage: Stage) -> None:
    """Names of 63 characters that differ at their end only, names that differ in punctuation, names that end like children."""
    assert len(NAMES) == 12
    async with stage.operator():
        await stage.apply(base(), *(cluster(name) for name in NAMES))
        for name in NAMES:
            await stage.ready(name, within=240)
        owners = {name: (await stage.must_get(AIRFLOW_CLUSTER, name))["metadata"]["uid"] for name in NAMES}
        for name in NAMES:
            found = await stage.children(DEPLOYMENT, name)
            assert {dig(item, "metadata", "ownerReferences", 0, "uid") for item in found} == {owners[name]}
            assert len({item["metadata"]["name"] for item in found}) == len(found) == 3
        assert len(stage.world.databases) == len(NAMES)
