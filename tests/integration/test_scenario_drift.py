"""What others do to the children of a cluster is put right, whatever kind they are of, and then nothing more is written."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from airflow_operator.domain.kinds import (
    AIRFLOW_CLUSTER,
    CHILD_KINDS,
    CONFIG_MAP,
    CRON_JOB,
    DEPLOYMENT,
    INGRESS,
    JOB,
    NETWORK_POLICY,
    PERSISTENT_VOLUME_CLAIM,
    ROLE_BINDING,
    SECRET,
    SERVICE,
    SERVICE_ACCOUNT,
    STATEFUL_SET,
)
from airflow_operator.domain.manifest import Kind, Live, dig
from tests.integration.scenario import CLUSTER, Stage, base, cluster

pytestmark = pytest.mark.integration

EVERYTHING: dict[str, Any] = {
    "logs": {"volume": {"size": "1Gi"}, "retention": "720h"},
    "externalURL": "https://airflow.example.com",
    "networkPolicy": {},
    "ingress": {"annotations": {"example.com/a": "b"}, "tls": {}},
}
"""What a cluster asks for so that it has a child of each kind."""

VICTIMS: tuple[tuple[Kind, str], ...] = (
    (SERVICE_ACCOUNT, f"{CLUSTER}-scheduler"),
    (ROLE_BINDING, f"{CLUSTER}-scheduler"),
    (SECRET, f"{CLUSTER}-connection"),
    (CONFIG_MAP, f"{CLUSTER}-config-"),
    (PERSISTENT_VOLUME_CLAIM, f"{CLUSTER}-logs"),
    (SERVICE, f"{CLUSTER}-api-server"),
    (INGRESS, f"{CLUSTER}-api-server"),
    (CRON_JOB, f"{CLUSTER}-log-retention"),
    (NETWORK_POLICY, f"{CLUSTER}-default"),
    (JOB, f"{CLUSTER}-users-"),
    (STATEFUL_SET, f"{CLUSTER}-triggerer"),
    (DEPLOYMENT, f"{CLUSTER}-scheduler"),
    (SERVICE, "platform-postgres"),
    (STATEFUL_SET, "platform-postgres"),
)
"""One of each kind, by the beginning of its name."""

assert {kind for kind, _ in VICTIMS} == set(CHILD_KINDS)


JOB_LABELS = tuple(f"{prefix}{name}" for prefix in ("", "batch.kubernetes.io/") for name in ("controller-uid", "job-name"))


async def victim(stage: Stage, kind: Kind, beginning: str) -> Live:
    if not beginning.endswith("-"):
        return await stage.must_get(kind, beginning)
    return await stage.child(kind, beginning)


async def everything(stage: Stage) -> dict[tuple[str, str], Live]:
    """What is declared of every victim: without what the API server and its controllers write."""
    found = [(kind, await victim(stage, kind, beginning)) for kind, beginning in VICTIMS]
    return {(kind.kind, item["metadata"]["name"]): declared(item) for kind, item in found}


def declared(item: Live) -> dict[str, Any]:
    meta = item["metadata"]
    marked = dict(meta.get("labels") or {})
    spec = json.loads(json.dumps(item.get("spec", {})))
    for name in ("clusterIP", "clusterIPs", "volumeName"):
        spec.pop(name, None)
    # A Job is told by its controller which pods are its own; one without labels takes those of its template.
    for marks in (dig(spec, "template", "metadata", "labels", default={}), dig(spec, "selector", "matchLabels", default={}), marked):
        for name in JOB_LABELS:
            marks.pop(name, None)
    body = {name: item[name] for name in ("data", "immutable", "subjects", "roleRef", "automountServiceAccountToken") if name in item}
    return {"labels": marked, "owners": meta.get("ownerReferences"), "spec": spec, **body}


async def settled(stage: Stage) -> None:
    """Ready, and at rest."""
    await stage.settled()
    await stage.ready()
    stage.audit.reset()


async def test_deleted_children_come_back(stage: Stage) -> None:
    async with stage.operator():
        await stage.up(cluster(**EVERYTHING))
        await settled(stage)
        before = await everything(stage)
        old = {(kind, beginning): (await victim(stage, kind, beginning))["metadata"] for kind, beginning in VICTIMS}
        for (kind, _), meta in old.items():
            await stage.delete(kind, meta["name"])
        for (kind, _), meta in old.items():
            await stage.there(kind, meta["name"], but=meta["uid"])
        await settled(stage)
        assert await everything(stage) == before


EDITS: tuple[tuple[Kind, str, dict[str, Any]], ...] = (
    (SERVICE_ACCOUNT, f"{CLUSTER}-scheduler", {"automountServiceAccountToken": True}),
    (ROLE_BINDING, f"{CLUSTER}-scheduler", {"subjects": [{"kind": "ServiceAccount", "name": "intruder", "namespace": "default"}]}),
    (SECRET, f"{CLUSTER}-connection", {"data": {"connection": "bm93aGVyZQ=="}}),
    (SERVICE, f"{CLUSTER}-api-server", {"spec": {"selector": {"app": "other"}}}),
    (INGRESS, f"{CLUSTER}-api-server", {"spec": {"tls": None}}),
    (NETWORK_POLICY, f"{CLUSTER}-default", {"spec": {"podSelector": {"matchLabels": {"a": "b"}}}}),
    (CRON_JOB, f"{CLUSTER}-log-retention", {"spec": {"suspend": True, "schedule": "0 0 1 1 *"}}),
    (PERSISTENT_VOLUME_CLAIM, f"{CLUSTER}-logs", {"metadata": {"annotations": {"argocd.argoproj.io/sync-options": None}}}),
    (STATEFUL_SET, f"{CLUSTER}-triggerer", {"spec": {"replicas": 0}}),
    (DEPLOYMENT, f"{CLUSTER}-scheduler", {"spec": {"replicas": 4, "template": {"spec": {"serviceAccountName": "default"}}}}),
    (STATEFUL_SET, "platform-postgres", {"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 1}}}}),
)


async def test_edited_children_are_put_right(stage: Stage) -> None:
    async with stage.operator():
        await stage.up(cluster(**EVERYTHING))
        await settled(stage)
        before = await everything(stage)
        for kind, name, change in EDITS:
            await stage.edit(kind, name, change)

        async def as_before() -> bool:
            return await everything(stage) == before

        await stage.until(as_before)
        await settled(stage)
        assert await everything(stage) == before


async def test_lost_labels_are_put_back(stage: Stage) -> None:
    async with stage.operator():
        await stage.up(cluster(**EVERYTHING))
        await settled(stage)
        before = await everything(stage)
        keys = await stage.must_get(SECRET, f"{CLUSTER}-keys")
        for kind, beginning in (*VICTIMS, (SECRET, f"{CLUSTER}-keys"), (SECRET, f"{CLUSTER}-admin")):
            found = await victim(stage, kind, beginning)
            await stage.edit(kind, found["metadata"]["name"], {"metadata": {"labels": dict.fromkeys(found["metadata"]["labels"])}})

        async def as_before() -> bool:
            now = {(kind.kind, name): await stage.get(kind, name) for kind, name in names}
            return all(found is not None and declared(found) == before[key] for key, found in now.items())

        names = [(kind, name) for kind in CHILD_KINDS for of_kind, name in before if of_kind == kind.kind]

        async def keys_as_before() -> bool:
            after = await stage.must_get(SECRET, f"{CLUSTER}-keys")
            assert after["data"] == keys["data"]
            return dig(after, "metadata", "labels", default={}) == keys["metadata"]["labels"]

        await stage.until(as_before)
        await stage.until(keys_as_before)


async def test_foreign_variables_and_containers_are_taken_out(stage: Stage) -> None:
    async with stage.operator():
        await stage.up()
        await settled(stage)
        before = await stage.templates()
        await asyncio.to_thread(stage.kubectl, "set", "env", f"deployment/{CLUSTER}-scheduler", "AIRFLOW__CORE__PARALLELISM=1", "FOREIGN=1")
        sidecar = {"name": "intruder", "image": "nginx", "volumeMounts": [{"name": "config", "mountPath": "/x"}]}
        change = {"spec": {"template": {"spec": {"containers": [sidecar]}}}}
        patch = ("patch", "statefulset", f"{CLUSTER}-triggerer", "--type=strategic", "-p", json.dumps(change))
        await asyncio.to_thread(stage.kubectl, *patch)

        async def as_before() -> bool:
            return await stage.templates() == before

        await stage.until(as_before)
        await stage.ready()
        await settled(stage)
        assert await stage.templates() == before


async def test_what_kubectl_rollout_restart_asks_for_stays(stage: Stage) -> None:
    async with stage.operator():
        await stage.up()
        await settled(stage)
        await asyncio.to_thread(stage.kubectl, "rollout", "restart", f"deployment/{CLUSTER}-scheduler")
        await asyncio.to_thread(stage.kubectl, "rollout", "status", f"deployment/{CLUSTER}-scheduler", "--timeout=20s")
        await stage.quiet()
        template = (await stage.templates())[f"{CLUSTER}-scheduler"]
        await stage.ready()
    assert "kubectl.kubernetes.io/restartedAt" in template["metadata"]["annotations"]
    assert not [item for item in stage.audit.writes() if "deployments" in item]


async def test_what_is_no_longer_wanted_goes(stage: Stage) -> None:
    async with stage.operator():
        await stage.up(cluster(auth={"fab": {"admin": {"enabled": True}}}, logs=EVERYTHING["logs"]))
        await settled(stage)
        users = await stage.child(JOB, f"{CLUSTER}-users-")
        await stage.edit_spec(auth={"fab": {"admin": {"enabled": False}}}, logs=None)
        await stage.gone(JOB, users["metadata"]["name"])
        made = await stage.ready()
        await stage.quiet()
        # Data is not pruned: neither the administrator's password nor the logs.
        assert await stage.get(SECRET, f"{CLUSTER}-admin")
        assert await stage.get(PERSISTENT_VOLUME_CLAIM, f"{CLUSTER}-logs")
        assert dig(made, "status", "auth") is None


async def test_drift_while_the_operator_is_away(stage: Stage) -> None:
    async with stage.operator():
        await stage.apply(base(), cluster())
        await stage.ready()
        await settled(stage)
        before = await stage.templates()
    await stage.delete(DEPLOYMENT, f"{CLUSTER}-scheduler")
    await stage.edit(SERVICE, f"{CLUSTER}-api-server", {"spec": {"selector": {"app": "other"}}})
    await stage.edit(AIRFLOW_CLUSTER, CLUSTER, {"spec": {"triggerer": {"replicas": 2}}})
    async with stage.operator():
        await stage.there(DEPLOYMENT, f"{CLUSTER}-scheduler")
        await stage.ready()
        assert await stage.templates() == before
        service = await stage.must_get(SERVICE, f"{CLUSTER}-api-server")
        assert "app" not in service["spec"]["selector"]
        assert dig(await stage.must_get(STATEFUL_SET, f"{CLUSTER}-triggerer"), "status", "readyReplicas") == 2
