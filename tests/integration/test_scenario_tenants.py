"""A base that serves clusters of other namespaces: who may use it, what reaches whom, and how all of it ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

import pytest

from airflow_operator.domain import names
from airflow_operator.domain.kinds import AIRFLOW_BASE, AIRFLOW_CLUSTER, JOB, NAMESPACE, POD, SECRET
from airflow_operator.domain.manifest import Live, Manifest
from airflow_operator.kube.protocol import Kube
from devcluster.control_plane import ControlPlane
from tests.integration.eventually import eventually
from tests.integration.players import PodPlayer
from tests.integration.rights import OPT_IN, SINGLE, Rights
from tests.integration.running import RunningOperator
from tests.integration.scenario import BASE, CLUSTER, Stage, base, cluster
from tests.integration.test_scenario_delete import COLLECTION

pytestmark = pytest.mark.integration


@dataclass
class Two:
    """The namespace of a base, and that of a team."""

    platform: Stage
    team: Stage
    rights: Rights

    def operator(self) -> AbstractAsyncContextManager[RunningOperator]:
        """One operator for both."""
        return self.team.operator(self.platform.namespace)

    def base(self, *teams: str, **spec: Any) -> Manifest:
        """The base; it allows these namespaces."""
        return base(allowedClusters={"namespaces": {"names": list(teams)}}, **spec)

    def cluster(self, **spec: Any) -> Manifest:
        """The team's cluster on it."""
        return cluster(baseRef={"name": BASE, "namespace": self.platform.namespace}, **spec)

    async def up(self, **spec: Any) -> None:
        """Both, ready."""
        await self.platform.apply(self.base(self.team.namespace))
        await self.team.apply(self.cluster(**spec))
        await self.team.ready()

    @property
    def copy(self) -> str:
        """Name of the keys' copy beside the base."""
        return names.keys_copy(self.team.namespace, CLUSTER)

    async def remake_team(self) -> None:
        """Delete the team's namespace with all that is in it, and make it again."""
        kubectl, name = self.team.control_plane.kubectl, self.team.namespace
        await asyncio.to_thread(kubectl, "delete", "namespace", name, "--wait=false")
        await self.team.gone(AIRFLOW_CLUSTER, CLUSTER, within=COLLECTION)

        async def gone() -> bool:
            for pod in await self.team.admin.list(POD, name):
                await asyncio.to_thread(
                    kubectl, "-n", name, "delete", "pod", pod["metadata"]["name"], "--force", "--grace-period=0", "--ignore-not-found"
                )
            return await self.team.admin.get(NAMESPACE, "", name) is None

        await eventually(gone, within=COLLECTION)
        await asyncio.to_thread(kubectl, "create", "namespace", name)
        await asyncio.to_thread(self.rights.account, name)


@pytest.fixture
async def two(rights: Rights, control_plane: ControlPlane, namespace: str, admin: Kube) -> AsyncIterator[Two]:
    if SINGLE:
        pytest.skip("this install serves one namespace")
    platform = f"{namespace}-base"
    control_plane.kubectl("create", "namespace", platform)
    async with PodPlayer(control_plane, platform, namespace) as player:
        of_base, of_team = (Stage(control_plane, name, admin, player, rights.account(name)) for name in (platform, namespace))
        yield Two(of_base, of_team, rights)


async def test_a_cluster_waits_for_the_grant_and_what_runs_outlives_it(two: Two) -> None:
    team, platform = two.team, two.platform
    async with two.operator():
        await team.apply(two.cluster())
        await team.says("BaseReady", "False", "BaseNotFound")
        await platform.apply(two.base())
        told = await team.says("BaseReady", "False", "BaseNotAllowed")
        assert "spec.allowedClusters.namespaces" in told["message"]
        assert await team.children(SECRET) == []
        assert await platform.get(SECRET, two.copy) is None, "nothing is made beside a base that does not allow it"
        await platform.apply(two.base(team.namespace))
        await team.ready()
        await team.quiet()
        templates = await team.templates()

        # What the team has is its own; what is the server's stays with the base.
        secrets = {item["metadata"]["name"]: item for item in await team.admin.list(SECRET, team.namespace)}
        assert set(secrets) == {f"{CLUSTER}-keys", f"{CLUSTER}-admin", f"{CLUSTER}-connection"}
        password = (await platform.must_get(SECRET, f"{BASE}-postgres"))["data"]["password"]
        assert password not in json.dumps(secrets)
        assert {item["metadata"]["namespace"] for item in await team.admin.list(JOB, "") if "-provision-" in item["metadata"]["name"]} >= {
            platform.namespace
        }
        assert not [item for item in await team.children(JOB) if "-provision-" in item["metadata"]["name"]]

        # Revoked: nothing is written any more, and nothing that runs stops.
        team.audit.reset()
        await platform.apply(two.base())
        await team.says("BaseReady", "False", "BaseNotAllowed")
        await team.edit_spec(scheduler={"replicas": 2})
        await team.says("BaseReady", "False", "BaseNotAllowed")
        await team.quiet()
        writes = {item for item in team.audit.writes() if "events" not in item}
        assert writes == {f"patch airflowclusters/{CLUSTER}/status"}
        assert await team.templates() == templates
        await platform.apply(two.base(team.namespace))
        await team.ready()


async def test_a_label_of_the_namespace_grants(two: Two) -> None:
    team, platform = two.team, two.platform
    chosen = {"from": "Selector", "selector": {"matchLabels": {"airflow": "allowed"}}}
    async with two.operator():
        await platform.apply(base(allowedClusters={"namespaces": chosen}))
        await team.apply(two.cluster())
        await team.says("BaseReady", "False", "BaseNotAllowed")
        team.control_plane.kubectl("label", "namespace", team.namespace, "airflow=allowed")
        await team.ready(within=60)


async def test_a_base_counts_and_waits_for_the_clusters_that_it_serves(two: Two) -> None:
    team, platform = two.team, two.platform
    async with two.operator():
        await two.up()
        # Whoever merely names the base does not hold it.
        await team.apply(two.cluster() | {"metadata": {"name": "other"}})
        await team.ready("other")
        await platform.apply(two.base())

        async def counted() -> bool:
            return (await platform.must_get(AIRFLOW_BASE, BASE))["status"].get("clusters") == 2

        await eventually(counted)
        stranger = two.cluster() | {"metadata": {"name": "stranger"}}
        await team.apply(stranger)
        await team.says("BaseReady", "False", "BaseNotAllowed", name="stranger")
        await platform.delete(AIRFLOW_BASE, BASE)
        told = await platform.says("InUse", "True", "InUse", name=BASE, kind=AIRFLOW_BASE)
        assert f"{team.namespace}/other, {team.namespace}/{CLUSTER}" in told["message"]
        assert "stranger" not in told["message"]
        for name in (CLUSTER, "other"):
            await team.delete(AIRFLOW_CLUSTER, name)
        await platform.gone(AIRFLOW_BASE, BASE)
        await team.says("BaseReady", "False", "BaseNotFound", name="stranger")
        assert await platform.get(SECRET, two.copy), "Retain keeps"


with_its_grant = pytest.mark.skipif(OPT_IN, reason="a namespace that goes takes its grant with it: docs/installs.md, Opt-in")


@with_its_grant
async def test_a_cluster_with_delete_is_dropped_from_a_base_elsewhere_though_its_namespace_goes(two: Two) -> None:
    team = two.team
    async with two.operator():
        await two.up(deletionPolicy="Delete")
        team.control_plane.kubectl("delete", "namespace", team.namespace, "--wait=false")
        for pod in await team.pods():
            team.kubectl("delete", "pod", pod["metadata"]["name"], "--force", "--grace-period=0", "--ignore-not-found")
        await team.gone(AIRFLOW_CLUSTER, CLUSTER, within=COLLECTION)
        assert team.world.databases == {}
        assert await two.platform.get(SECRET, two.copy) is None


@with_its_grant
async def test_the_bases_namespace_may_go_first(two: Two) -> None:
    team, platform = two.team, two.platform
    async with two.operator():
        await two.up(deletionPolicy="Delete")
        platform.control_plane.kubectl("delete", "namespace", platform.namespace, "--wait=false")
        await platform.gone(AIRFLOW_BASE, BASE, within=COLLECTION)
        await team.says("BaseReady", "False", "BaseNotFound")
        await team.delete(AIRFLOW_CLUSTER, CLUSTER)
        await team.gone(AIRFLOW_CLUSTER, CLUSTER, within=COLLECTION)
        assert ("Warning", "DatabaseLeft") in await team.events()


@with_its_grant
async def test_a_namespace_made_again_gets_its_keys_once_the_bases_owner_approves(two: Two) -> None:
    team, platform = two.team, two.platform
    async with two.operator():
        await two.up()
        before = await team.must_get(SECRET, f"{CLUSTER}-keys")
        await two.remake_team()
        assert (await platform.must_get(SECRET, two.copy))["data"] == before["data"]
        await team.apply(two.cluster())
        told = await team.says("DatabaseReady", "False", "OwnershipConflict", words="spec.allowedClusters.adopt")
        await team.quiet()
        kept: list[Live] = list(await team.admin.list(SECRET, team.namespace))
        assert {item["metadata"]["name"] for item in kept} == {f"{CLUSTER}-admin"}, "neither keys nor password reach the newcomer"
        uid = (await team.admin.get(NAMESPACE, "", team.namespace) or {})["metadata"]["uid"]
        assert uid in told["message"]
        adopt = {"adopt": [{"namespace": team.namespace, "uid": uid}]}
        await platform.edit(AIRFLOW_BASE, BASE, {"spec": {"allowedClusters": adopt}})
        await team.ready(within=60)
        after = await team.must_get(SECRET, f"{CLUSTER}-keys")
        assert after["data"] == before["data"]
        # The approval is used up, and may be taken back.
        await platform.edit(AIRFLOW_BASE, BASE, {"spec": {"allowedClusters": {"adopt": None}}})
        await team.quiet()
        await team.ready()
