"""The stand-in for kubelet: the control plane's own controllers must take its word."""

from __future__ import annotations

import pytest

from airflow_operator.domain.kinds import PERSISTENT_VOLUME_CLAIM, POD, kind_of
from airflow_operator.domain.manifest import Live, Manifest, dig
from airflow_operator.kube.protocol import Kube
from devcluster.control_plane import ControlPlane
from tests.integration import children
from tests.integration.eventually import eventually
from tests.integration.players import CrashLoop, Fail, Pend, PodPlayer, Run, Succeed

pytestmark = pytest.mark.integration


@pytest.fixture
async def owner(kube: Kube, namespace: str) -> Live:
    made = await kube.create(children.owner_manifest(namespace))
    await kube.apply(children.service_account(made))
    return made


async def field(kube: Kube, manifest: Manifest, *path: str | int) -> object:
    meta = manifest["metadata"]
    return dig(await kube.get(kind_of(manifest), meta["namespace"], meta["name"]), *path)


async def test_jobs_end_as_told(kube: Kube, owner: Live, namespace: str, control_plane: ControlPlane) -> None:
    async with PodPlayer(control_plane, namespace) as player:
        player.play("demo-*", Succeed('{"result": "migrated"}'))
        player.play("demo-check-*", Fail("no such table", exit_code=3))
        good, bad = children.job(owner), children.job(owner)
        bad["metadata"]["name"] = "demo-check-1"
        await kube.apply(good)
        await kube.apply(bad)

        async def both_ended() -> bool:
            return await field(kube, good, "status", "succeeded") == 1 and await field(kube, bad, "status", "failed") == 1

        await eventually(both_ended)
        ends = {
            pod["metadata"]["labels"]["batch.kubernetes.io/job-name"]: dig(pod, "status", "containerStatuses", 0, "state", "terminated")
            for pod in await kube.list(POD, namespace)
        }
    assert ends["demo-migrate-0a1b2c"]["message"] == '{"result": "migrated"}'
    assert (ends["demo-check-1"]["exitCode"], ends["demo-check-1"]["message"]) == (3, "no such table")


async def test_workloads_become_available_and_claims_bound(kube: Kube, owner: Live, namespace: str, control_plane: ControlPlane) -> None:
    async with PodPlayer(control_plane, namespace):
        for make in (children.claim, children.deployment, children.stateful_set):
            await kube.apply(make(owner))

        async def at_work() -> bool:
            claims = [dig(claim, "status", "phase") for claim in await kube.list(PERSISTENT_VOLUME_CLAIM, namespace)]
            return (
                await field(kube, children.deployment(owner), "status", "availableReplicas") == 1
                and await field(kube, children.stateful_set(owner), "status", "readyReplicas") == 1
                and claims == ["Bound", "Bound"]
            )

        await eventually(at_work)


async def test_a_play_can_change(kube: Kube, owner: Live, namespace: str, control_plane: ControlPlane) -> None:
    deployment = children.deployment(owner)
    async with PodPlayer(control_plane, namespace) as player:
        player.play("demo-scheduler-*", Pend())
        await kube.apply(deployment)

        async def a_pod() -> Live | None:
            return next(iter(await kube.list(POD, namespace)), None)

        assert dig(await eventually(a_pod), "status", "phase") == "Pending"
        player.play("demo-scheduler-*", CrashLoop("no access", container="sync"))

        async def sync_fails() -> bool:
            status = dig(await a_pod(), "status", "initContainerStatuses", 0, default={})
            return dig(status, "lastState", "terminated", "message") == "no access"

        await eventually(sync_fails)
        assert not await field(kube, deployment, "status", "availableReplicas")
        player.play("demo-scheduler-*", Run())

        async def available() -> bool:
            return await field(kube, deployment, "status", "availableReplicas") == 1

        await eventually(available)
