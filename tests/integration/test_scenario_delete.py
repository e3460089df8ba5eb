"""What stays and what goes when a cluster or a base is deleted."""

from __future__ import annotations

import asyncio

import pytest

from airflow_operator.domain import names
from airflow_operator.domain.kinds import (
    AIRFLOW_BASE,
    AIRFLOW_CLUSTER,
    CHILD_KINDS,
    GROUP,
    JOB,
    PERSISTENT_VOLUME_CLAIM,
    POD,
    SECRET,
    SERVICE,
    STATEFUL_SET,
)
from airflow_operator.domain.manifest import Live, dig
from tests.integration.players import Pend
from tests.integration.policy import Policy
from tests.integration.rights import OPT_IN, SINGLE
from tests.integration.scenario import BASE, CLUSTER, Stage, base, cluster
from tests.integration.scenario_world import failed

pytestmark = pytest.mark.integration

LOGS = {"volume": {"size": "1Gi"}}
COLLECTION = 60.0
"""Seconds: the garbage collector looks for new kinds every half minute."""


async def left(stage: Stage) -> set[tuple[str, str]]:
    """What of the cluster is still there, without what is on its way out."""
    found = [item for kind in (*CHILD_KINDS, POD) for item in await stage.children(kind)]
    return {(item["kind"], item["metadata"]["name"]) for item in found if "deletionTimestamp" not in item["metadata"]}


async def only_left(stage: Stage, *kept: tuple[str, str]) -> None:
    async def is_left() -> bool:
        return await left(stage) == set(kept)

    try:
        await stage.until(is_left, within=COLLECTION)
    except AssertionError:
        assert await left(stage) == set(kept)


def copy(stage: Stage) -> str:
    return names.keys_copy(stage.namespace, CLUSTER)


async def test_retain_keeps_data_and_keys_for_a_cluster_of_the_same_name(stage: Stage) -> None:
    async with stage.operator():
        await stage.up(cluster(logs=LOGS))
        kept = {name: await stage.must_get(SECRET, name) for name in (f"{CLUSTER}-keys", f"{CLUSTER}-admin", copy(stage))}
        claim = await stage.must_get(PERSISTENT_VOLUME_CLAIM, f"{CLUSTER}-logs")
        assert not [item for item in (*kept.values(), claim) if "ownerReferences" in item["metadata"]]
        await stage.delete(AIRFLOW_CLUSTER, CLUSTER)
        await stage.gone(AIRFLOW_CLUSTER, CLUSTER)
        await only_left(stage, *(("Secret", name) for name in kept), ("PersistentVolumeClaim", f"{CLUSTER}-logs"))
        assert "deprovision" not in stage.world.asked
        stage.world.asked.clear()

        await stage.apply(cluster(logs=LOGS))
        await stage.ready()
        for name, before in kept.items():
            after = await stage.must_get(SECRET, name)
            assert (after["data"], after["metadata"]["uid"]) == (before["data"], before["metadata"]["uid"])
        assert (await stage.must_get(PERSISTENT_VOLUME_CLAIM, f"{CLUSTER}-logs"))["metadata"]["uid"] == claim["metadata"]["uid"]
    # The database was found, not made, so its schema was looked at and not made again.
    assert stage.world.asked == ["provision", "check", "users"]
    assert len(stage.world.databases) == 1


async def test_a_cluster_made_anew_at_once_takes_its_place(stage: Stage) -> None:
    async with stage.operator():
        await stage.up()
        old = (await stage.must_get(AIRFLOW_CLUSTER, CLUSTER))["metadata"]["uid"]
        await asyncio.to_thread(stage.kubectl, "delete", "afc", CLUSTER, "--timeout=20s")
        await stage.apply(cluster())
        made = await stage.ready(within=COLLECTION)
        assert made["metadata"]["uid"] != old
        await stage.quiet()
        every = [item for kind in CHILD_KINDS for item in await stage.children(kind)]
    owners = {reference["uid"] for item in every for reference in item["metadata"].get("ownerReferences", [])}
    assert owners == {made["metadata"]["uid"]}


async def test_delete_takes_everything(stage: Stage) -> None:
    async with stage.operator():
        await stage.up(cluster(logs=LOGS, deletionPolicy="Delete"))
        await stage.delete(AIRFLOW_CLUSTER, CLUSTER)
        await stage.gone(AIRFLOW_CLUSTER, CLUSTER)
        await only_left(stage)
        assert stage.world.databases == {}
        # The base goes on.
        assert (await stage.condition("Ready", BASE, AIRFLOW_BASE))["status"] == "True"


async def test_delete_stops_airflow_before_it_drops_the_database(stage: Stage) -> None:
    async with stage.operator():
        await stage.up(cluster(deletionPolicy="Delete"))
        stage.world.answers("deprovision", Pend())
        await stage.delete(AIRFLOW_CLUSTER, CLUSTER)

        async def dropping() -> Live | None:
            jobs = await stage.children(JOB)
            return next((item for item in jobs if "deprovision" in item["metadata"]["name"]), None)

        await stage.until(dropping)
        assert {dig(pod, "metadata", "labels", "app.kubernetes.io/component") for pod in await stage.pods()} == {"provision"}
        # Its keys are there as long as they may be needed.
        assert await stage.get(SECRET, f"{CLUSTER}-keys")
        assert await stage.get(AIRFLOW_CLUSTER, CLUSTER)
        stage.world.answers_by_itself("deprovision")
        await stage.gone(AIRFLOW_CLUSTER, CLUSTER)


async def test_delete_does_not_wait_for_a_reference_that_is_gone(stage: Stage) -> None:
    env = [{"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "token", "key": "token"}}}]
    async with stage.operator():
        await stage.secret("token", token="one")
        await stage.up(cluster(env=env, deletionPolicy="Delete"))
        await stage.delete(SECRET, "token")
        await stage.says("Ready", "False", "SecretNotFound")
        await stage.delete(AIRFLOW_CLUSTER, CLUSTER)
        await stage.gone(AIRFLOW_CLUSTER, CLUSTER)
    assert stage.world.databases == {}


async def test_delete_without_a_base_lets_go_and_says_what_is_left(stage: Stage) -> None:
    async with stage.operator():
        await stage.up(cluster(deletionPolicy="Delete"))
    # Somebody takes the base away by force.
    await stage.edit(AIRFLOW_BASE, BASE, {"metadata": {"finalizers": None}})
    await stage.delete(AIRFLOW_BASE, BASE)
    await stage.gone(AIRFLOW_BASE, BASE)
    async with stage.operator():
        await stage.says("Ready", "False", "BaseNotFound")
        await stage.delete(AIRFLOW_CLUSTER, CLUSTER)
        await stage.gone(AIRFLOW_CLUSTER, CLUSTER)
        await only_left(stage)
        assert ("Warning", "DatabaseLeft") in await stage.events()


async def test_clean_up_that_never_succeeds_is_given_up(stage: Stage) -> None:
    async with stage.operator(deletion_timeout=3.0):
        await stage.up(cluster(deletionPolicy="Delete"))
        stage.world.answers("deprovision", failed("Failed", "The server refused."))
        await stage.delete(AIRFLOW_CLUSTER, CLUSTER)
        await stage.gone(AIRFLOW_CLUSTER, CLUSTER)
        assert ("Warning", "CleanUpGivenUp") in await stage.events()
    # Keys of a database that still exists are not thrown away.
    assert await stage.get(SECRET, f"{CLUSTER}-keys")


async def test_base_in_use_waits_and_names_the_cluster(stage: Stage) -> None:
    async with stage.operator():
        await stage.up()
        await stage.delete(AIRFLOW_BASE, BASE)
        told = await stage.says("InUse", "True", "InUse", name=BASE, kind=AIRFLOW_BASE)
        assert CLUSTER in told["message"]
        await stage.quiet()
        assert await stage.get(STATEFUL_SET, f"{BASE}-postgres")
        await stage.delete(AIRFLOW_CLUSTER, CLUSTER)
        await stage.gone(AIRFLOW_CLUSTER, CLUSTER)
        await stage.gone(AIRFLOW_BASE, BASE)
        await stage.gone(SERVICE, f"{BASE}-postgres", within=COLLECTION)
        # Data and password outlive it, and a base of the same name finds them again.
        password = await stage.must_get(SECRET, f"{BASE}-postgres")
        claim = await stage.must_get(PERSISTENT_VOLUME_CLAIM, f"data-{BASE}-postgres-0")
        await stage.apply(base())
        await stage.says("Ready", "True", name=BASE, kind=AIRFLOW_BASE)
        assert (await stage.must_get(SECRET, f"{BASE}-postgres"))["data"] == password["data"]
        assert (await stage.must_get(PERSISTENT_VOLUME_CLAIM, f"data-{BASE}-postgres-0"))["metadata"]["uid"] == claim["metadata"]["uid"]


async def test_base_in_use_stays_though_its_status_cannot_be_told(stage: Stage) -> None:
    policy = Policy(stage, GROUP, "airflowbases/status", "object.kind != 'AirflowBase'", "no status here")
    async with stage.operator(deletion_timeout=0.5):
        await stage.up()
        async with policy:
            stage.audit.reset()
            await stage.delete(AIRFLOW_BASE, BASE)

            async def tried_again() -> bool:
                return stage.audit.writes().count(f"patch airflowbases/{BASE}/status") > 1

            await stage.until(tried_again)
            await stage.quiet()  # a clean-up that fails would be given up now
            assert "deletionTimestamp" in (await stage.must_get(AIRFLOW_BASE, BASE))["metadata"]
            assert await stage.get(STATEFUL_SET, f"{BASE}-postgres")
        await stage.says("InUse", "True", "InUse", name=BASE, kind=AIRFLOW_BASE)


async def test_both_deleted_at_once_with_everything(stage: Stage) -> None:
    async with stage.operator():
        await stage.apply(base(deletionPolicy="Delete"), cluster(deletionPolicy="Delete"))
        await stage.ready()
        await asyncio.to_thread(stage.kubectl, "delete", "afb,afc", "--all", "--timeout=40s")
        await only_left(stage)
        await stage.gone(PERSISTENT_VOLUME_CLAIM, f"data-{BASE}-postgres-0")
        await stage.gone(SECRET, f"{BASE}-postgres")
    assert stage.world.databases == {}


@pytest.mark.skipif(SINGLE, reason="the operator and its rights would go first: docs/installs.md, Single namespace")
async def test_namespace_that_goes_is_not_held_up(stage: Stage) -> None:
    # With the namespace goes its grant, which is a RoleBinding.
    async with stage.operator(rights_go=OPT_IN):
        await stage.up(cluster(deletionPolicy="Delete"))
        stage.control_plane.kubectl("delete", "namespace", stage.namespace, "--wait=false")
        await stage.gone(AIRFLOW_CLUSTER, CLUSTER, within=COLLECTION)
        await stage.gone(AIRFLOW_BASE, BASE, within=COLLECTION)
