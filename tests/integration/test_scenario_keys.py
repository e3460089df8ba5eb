"""Keys are made once and never lost by accident."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from airflow_operator.domain import labels, names
from airflow_operator.domain.kinds import AIRFLOW_CLUSTER, JOB, SECRET, STATEFUL_SET
from airflow_operator.domain.manifest import Live, dig
from tests.integration.eventually import eventually
from tests.integration.scenario import BASE, CLUSTER, Stage
from tests.integration.scenario_world import told

pytestmark = pytest.mark.integration

KEYS = f"{CLUSTER}-keys"
ADMIN = f"{CLUSTER}-admin"


def copy_of(stage: Stage) -> str:
    return names.keys_copy(stage.namespace, CLUSTER)


async def lose_keys(stage: Stage) -> tuple[Live, Any]:
    """Bring a cluster up, then delete its keys and their copy while no operator runs; the Secret, and the templates of what runs."""
    async with stage.operator():
        await stage.up()
        await stage.quiet()
        kept, templates = await stage.must_get(SECRET, KEYS), await stage.templates()
    for name in (KEYS, copy_of(stage)):
        await stage.delete(SECRET, name)
    return kept, templates


async def put_back(stage: Stage, kept: Live) -> None:
    """As from a backup."""
    meta = {name: kept["metadata"][name] for name in ("name", "labels")}
    await stage.apply({"apiVersion": "v1", "kind": "Secret", "metadata": meta, "data": kept["data"]})


async def test_deleted_keys_come_back_with_the_same_values(stage: Stage) -> None:
    async with stage.operator():
        await stage.up()
        await stage.quiet()
        before, templates = await stage.must_get(SECRET, KEYS), await stage.templates()
        for name in (KEYS, copy_of(stage)):
            lost = await stage.must_get(SECRET, name)
            await stage.delete(SECRET, name)
            back = await stage.there(SECRET, name, but=lost["metadata"]["uid"])
            assert back["data"] == before["data"]
            assert "ownerReferences" not in back["metadata"]
            await stage.ready()
            await stage.quiet()
        assert await stage.templates() == templates, "nothing rolls"


async def test_administrators_password_is_made_once(stage: Stage) -> None:
    async with stage.operator():
        await stage.up()
        made = await stage.must_get(SECRET, ADMIN)
        job = await stage.child(JOB, f"{CLUSTER}-users-")
        await stage.edit_spec(config={"core": {"parallelism": 7}})
        await stage.ready()
        assert (await stage.must_get(SECRET, ADMIN))["data"] == made["data"]
        assert (await stage.child(JOB, f"{CLUSTER}-users-"))["metadata"]["uid"] == job["metadata"]["uid"]
        # A person may change it, and Airflow follows.
        await stage.edit(SECRET, ADMIN, {"stringData": {"password": "chosen by hand"}})
        await stage.gone(JOB, job["metadata"]["name"])
        await stage.ready()
        assert base64.b64decode((await stage.must_get(SECRET, ADMIN))["data"]["password"]) == b"chosen by hand"
        assert (await stage.child(JOB, f"{CLUSTER}-users-"))["metadata"]["name"] != job["metadata"]["name"]


async def test_malformed_fernet_key_is_named_and_nothing_rolls(stage: Stage) -> None:
    async with stage.operator():
        await stage.up()
        await stage.settled()
        right = (await stage.must_get(SECRET, KEYS))["data"]["fernet-key"]
        templates = await stage.templates()
        stage.audit.reset()
        await stage.edit(SECRET, KEYS, {"data": {"fernet-key": base64.b64encode(b"short").decode()}})
        told = await stage.says("KeysAvailable", "False", "KeyMalformed")
        assert "fernet-key" in told["message"]
        assert (await stage.condition("Ready"))["status"] == "False"
        assert (await stage.condition("SchedulersAvailable"))["status"] == "True", "what runs is told of as before"
        await stage.quiet()
        assert {item for item in stage.audit.writes() if "events" not in item} == {f"patch airflowclusters/{CLUSTER}/status"}
        await stage.edit(SECRET, KEYS, {"data": {"fernet-key": right}})
        await stage.ready()
        assert await stage.templates() == templates


async def test_keys_that_are_lost_for_good_are_not_made_anew(stage: Stage) -> None:
    kept, templates = await lose_keys(stage)
    async with stage.operator():
        await stage.says("KeysAvailable", "False", "KeyLost")
        await stage.quiet()
        assert await stage.get(SECRET, KEYS) is None
        assert await stage.get(SECRET, copy_of(stage)) is None
        assert await stage.templates() == templates
        assert dig(await stage.must_get(AIRFLOW_CLUSTER, CLUSTER), "status", "phase") == "Degraded"
        await put_back(stage, kept)
        await stage.ready()
        assert (await stage.must_get(SECRET, copy_of(stage)))["data"] == kept["data"]
        assert await stage.templates() == templates


async def test_lost_keys_are_told_when_every_job_is_gone_too(stage: Stage) -> None:
    kept, templates = await lose_keys(stage)
    for job in await stage.children(JOB):
        await stage.delete(JOB, job["metadata"]["name"])
    stage.world.answers("provision", told("KeyMismatch", message="Made with other keys."))
    async with stage.operator():
        said = await stage.says("KeysAvailable", "False", "KeyLost")
        assert f"Put Secret {KEYS} back from a backup" in said["message"]
        await stage.quiet()
        assert await stage.get(SECRET, KEYS) is None
        assert await stage.templates() == templates, "what runs stays"
        stage.world.answers_by_itself("provision")
        await put_back(stage, kept)
        await stage.says("KeysAvailable", "False", "KeyMismatch", words=copy_of(stage))
        await stage.delete(SECRET, copy_of(stage))
        await stage.ready()
        assert (await stage.must_get(SECRET, copy_of(stage)))["data"] == kept["data"]
        assert await stage.templates() == templates


async def test_servers_lost_password_is_set_anew(stage: Stage) -> None:
    name = names.postgres(BASE)

    async def setter() -> str | None:
        server = await stage.must_get(STATEFUL_SET, name)
        started_with: str | None = dig(server, "spec", "template", "metadata", "annotations", labels.SET_PASSWORD)
        return started_with

    async with stage.operator():
        await stage.up()
        await stage.quiet()
        assert await setter() is None, "a first password needs no setting"
        lost = await stage.must_get(SECRET, name)
        for _ in range(2):
            await stage.delete(SECRET, name)
            made = await stage.there(SECRET, name, but=lost["metadata"]["uid"])
            assert made["data"] != lost["data"]
            lost = made

            async def the_server_starts_with_it(uid: str = made["metadata"]["uid"]) -> bool:
                return await setter() == uid

            await eventually(the_server_starts_with_it, within=30)
        await stage.ready()
        assert ("Warning", "PasswordLost") in await stage.events(BASE)
