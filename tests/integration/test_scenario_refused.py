"""What the API server or the spec itself does not allow: said in a condition, healed when it may be."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from airflow_operator.domain.kinds import AIRFLOW_BASE, AIRFLOW_CLUSTER, DEPLOYMENT, SECRET, SERVICE
from airflow_operator.domain.manifest import Kind, dig
from tests.integration.policy import Policy
from tests.integration.scenario import BASE, CLUSTER, Stage, base, cluster

pytestmark = pytest.mark.integration

PROMPT = {"resync": 1.0}
"""Nothing tells when a quota or a policy changes: in tests it is looked at more often."""


async def test_policy_refuses_a_workload(stage: Stage) -> None:
    policy = Policy(stage, "apps", "deployments", f"object.metadata.name != '{CLUSTER}-scheduler'", "schedulers are not welcome here")
    async with policy, stage.operator(**PROMPT):
        await stage.apply(base(), cluster())
        told = await stage.says("ObjectsApplied", "False", "Invalid", words="schedulers are not welcome here")
        assert f"{CLUSTER}-scheduler" in told["message"]
        await stage.says("Degraded", "True", "Invalid")
        assert await stage.there(DEPLOYMENT, f"{CLUSTER}-api-server"), "the others run"
        await policy.lift()
        await stage.ready()


async def test_policy_refuses_a_secret_that_is_made_once(stage: Stage) -> None:
    policy = Policy(stage, "", "secrets", f"object.metadata.name != '{CLUSTER}-admin'", "no passwords here", "Forbidden")
    async with policy, stage.operator(**PROMPT):
        await stage.apply(base(), cluster())
        await stage.says("ObjectsApplied", "False", "Forbidden", words="no passwords here")
        await policy.lift()
        await stage.ready()


async def test_quota(stage: Stage) -> None:
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "small"}, "spec": {"hard": {"services": "2"}}}
    await asyncio.to_thread(stage.kubectl, "create", "-f", "-", input=json.dumps(quota))
    await asyncio.to_thread(stage.kubectl, "wait", "--for=jsonpath={.status.used.services}=0", "--timeout=30s", "resourcequota/small")
    async with stage.operator(**PROMPT):
        # One after the other: whose Service would be the third is otherwise chance.
        await stage.apply(base())
        await stage.says("Ready", "True", name=BASE, kind=AIRFLOW_BASE)
        await stage.apply(cluster())
        await stage.says("ObjectsApplied", "False", "Forbidden", words="exceeded quota: small")
        await asyncio.to_thread(stage.kubectl, "delete", "resourcequota", "small")
        await stage.ready()


FOREIGN: tuple[tuple[Kind, str, dict[str, Any]], ...] = (
    (SERVICE, f"{CLUSTER}-api-server", {"spec": {"ports": [{"port": 80}], "selector": {"app": "other"}}}),
    (SECRET, f"{CLUSTER}-connection", {"data": {"connection": "bWluZQ=="}}),
    (SECRET, f"{CLUSTER}-keys", {"data": {"mine": "bWluZQ=="}}),
    (SECRET, f"{CLUSTER}-admin", {"data": {"mine": "bWluZQ=="}}),
    (SECRET, "platform-postgres", {"data": {"mine": "bWluZQ=="}}),
)


@pytest.mark.parametrize(("kind", "name", "content"), FOREIGN, ids=[name for _, name, _ in FOREIGN])
async def test_foreign_object_of_a_childs_name_is_not_touched(stage: Stage, kind: Kind, name: str, content: dict[str, Any]) -> None:
    await stage.apply({"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": name}, **content})
    before = await stage.must_get(kind, name)
    of_base = name.startswith("platform")
    async with stage.operator(**PROMPT):
        await stage.apply(base(), cluster())
        if of_base:
            told = await stage.says("PasswordAvailable", "False", "NameConflict", name="platform", kind=AIRFLOW_BASE)
        else:
            told = await stage.says("ObjectsApplied", "False", "NameConflict")
        assert name in told["message"]
        await stage.quiet(2.5)
        assert await stage.must_get(kind, name) == before
        await stage.delete(kind, name)
        await stage.ready()


UNKNOWN_FIELD = {"taskPods": {"podTemplate": {"spec": {"containers": [{"name": "base", "imagePullPolice": "Always"}]}}}}
BAD_AFFINITY = {"scheduler": {"affinity": {"nodeAffinity": {"requiredDuringScheduling": {"nodeSelectorTerms": []}}}}}
BAD_JOBS = {"jobs": {"securityContext": {"runAsRoot": False}}}
BAD_TOLERATION = {"pods": {"tolerations": [{"key": "a", "operator": "Equals"}]}}
BAD_PEER = {"networkPolicy": {"apiServerFrom": [{"podLabels": {"app": "proxy"}}]}}


@pytest.mark.parametrize(
    ("spec", "field", "words"),
    [
        (UNKNOWN_FIELD, "spec.taskPods.podTemplate", "imagePullPolice"),
        (BAD_AFFINITY, "spec.scheduler.affinity", "requiredDuringScheduling"),
        (BAD_TOLERATION, "spec.pods.tolerations", "Equals"),
        (BAD_JOBS, "spec.jobs.securityContext", "runAsRoot"),
        (BAD_PEER, "spec.networkPolicy.apiServerFrom", "podLabels"),
    ],
    ids=["task-pod", "affinity", "toleration", "jobs", "peer"],
)
async def test_part_that_only_the_api_server_can_judge(stage: Stage, spec: dict[str, Any], field: str, words: str) -> None:
    async with stage.operator():
        await stage.up()
        await stage.settled()
        before = await stage.templates()
        stage.audit.reset()
        # With another image too: nothing may be stopped for a spec that cannot be carried out.
        stage.world.knows["docker.io/apache/airflow:next"] = "heads-2"
        await stage.edit_spec(**spec, image={"tag": "next"})
        told = await stage.says("SpecValid", "False", "Refused")
        assert told["message"].startswith(f"{field}: ")
        assert words in told["message"]
        assert (await stage.condition("Ready"))["status"] == "False"
        await stage.quiet()
        written = [item for item in stage.audit.writes() if "events" not in item and "dry run" not in item]
        assert set(written) == {f"patch airflowclusters/{CLUSTER}/status"}
        assert await stage.templates() == before
        await stage.edit(AIRFLOW_CLUSTER, CLUSTER, {"spec": {**dict.fromkeys(spec), "image": None}})
        await stage.ready()
        assert await stage.templates() == before


async def test_invalid_from_the_start(stage: Stage) -> None:
    async with stage.operator():
        await stage.apply(base(), cluster(**BAD_AFFINITY))
        await stage.says("SpecValid", "False", "Refused", words="requiredDuringScheduling")
        await stage.quiet()
        assert not await stage.children(SERVICE)
        assert not stage.world.asked
        await stage.edit_spec(scheduler={"affinity": None})
        await stage.ready()


async def test_valid_opaque_parts_are_proven_once(stage: Stage) -> None:
    template = {
        "metadata": {"annotations": {"a": "b"}},
        "spec": {"containers": [{"name": "base", "resources": {"limits": {"memory": "2Gi"}}}]},
    }
    spread = {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}}
    async with stage.operator():
        await stage.up(cluster(executors=["KubernetesExecutor"], taskPods={"podTemplate": template}, apiServer={"affinity": spread}))
        await stage.settled()
    stage.audit.reset()
    async with stage.operator(resync=0.5):
        await stage.looks()
    assert stage.audit.writes() == []


async def test_config_that_belongs_to_the_operator_is_refused(stage: Stage) -> None:
    async with stage.operator():
        await stage.apply(
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "vars"}, "data": {"AIRFLOW__CORE__FERNET_KEY": "x"}}
        )
        await stage.apply(base(), cluster(envFrom=[{"configMapRef": {"name": "vars"}}]))
        await stage.says("SpecValid", "False", "OwnedSetting", words="vars")
        await stage.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "vars"}, "data": {"MINE": "x"}})
        await stage.ready()


async def test_paused(stage: Stage) -> None:
    async with stage.operator():
        await stage.up()
        await stage.quiet()
        before = await stage.must_get(DEPLOYMENT, f"{CLUSTER}-scheduler")
        await stage.edit_spec(paused=True, scheduler={"replicas": 3})
        await stage.says("Ready", "Unknown", "Paused")
        stage.audit.reset()
        await stage.delete(SERVICE, f"{CLUSTER}-triggerer")
        await stage.edit(DEPLOYMENT, f"{CLUSTER}-scheduler", {"spec": {"replicas": 0}})
        await stage.says("SchedulersAvailable", "True", "ScaledToZero")
        await stage.quiet()
        assert {item for item in stage.audit.writes() if "events" not in item} == {f"patch airflowclusters/{CLUSTER}/status"}
        assert await stage.get(SERVICE, f"{CLUSTER}-triggerer") is None
        await stage.edit_spec(paused=False)
        made = await stage.ready()
        assert await stage.get(SERVICE, f"{CLUSTER}-triggerer")
        assert dig(made, "status", "schedulers") == "3/3"
        after = await stage.must_get(DEPLOYMENT, f"{CLUSTER}-scheduler")
        assert after["spec"]["template"] == before["spec"]["template"]
