"""Images and schemas: looked at before anything changes, migrated with Airflow stopped, held where an image knows too little."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from airflow_operator.domain.kinds import AIRFLOW_CLUSTER, DEPLOYMENT, JOB
from airflow_operator.domain.manifest import Live, dig
from airflow_operator.reconcile import evidence
from tests.integration.players import Pend, Play
from tests.integration.scenario import CLUSTER, Stage, base, cluster
from tests.integration.scenario_world import failed, told

pytestmark = pytest.mark.integration

REPOSITORY = "docker.io/apache/airflow"
COMPONENTS = {"api-server", "scheduler", "dag-processor", "triggerer"}


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Failures are tried again after two seconds instead of twenty."""
    monkeypatch.setattr(evidence, "RETRY_AFTER", timedelta(seconds=2))


def images(templates: dict[str, Any]) -> set[str]:
    return {template["spec"]["containers"][0]["image"].removeprefix(f"{REPOSITORY}:") for template in templates.values()}


def running(stage: Stage) -> set[str]:
    """Components that have pods at this moment."""
    found = json.loads(stage.kubectl("get", "pods", "-l", f"airflow-operator.dev/cluster={CLUSTER}", "-o", "json"))["items"]
    return COMPONENTS & {dig(pod, "metadata", "labels", "app.kubernetes.io/component") for pod in found}


async def asked(stage: Stage, job: str) -> Live:
    """The Job, once it exists."""

    async def made() -> Live | None:
        found = [item for item in await stage.children(JOB) if item["metadata"]["name"].startswith(f"{CLUSTER}-{job}-")]
        return next((item for item in found if "deletionTimestamp" not in item["metadata"]), None)

    return await stage.until(made)


async def test_new_image_is_looked_at_before_anything_changes(stage: Stage) -> None:
    async with stage.operator():
        await stage.up()
        await stage.quiet()
        before = await stage.templates()
        stage.world.answers("check", Pend())
        await stage.edit_spec(image={"tag": "next"})
        await asked(stage, "check")
        await stage.says("Ready", "False", "Checking")
        await stage.quiet()
        assert await stage.templates() == before
        assert (await stage.must_get(DEPLOYMENT, f"{CLUSTER}-scheduler"))["status"]["readyReplicas"] == 1
        stage.world.answers_by_itself("check")
        await stage.ready()
        assert images(await stage.templates()) == {"next"}
    # The check is counted twice: it was kept waiting first.
    assert stage.world.asked == ["provision", "migrate", "users", "check", "check"]


async def test_schema_behind_stops_airflow_then_migrates_then_starts_it(stage: Stage) -> None:
    up_meanwhile: list[set[str]] = []

    def migrate(pod: Live) -> Play:
        up_meanwhile.append(running(stage))
        return stage.world.migrate(pod)

    async with stage.operator():
        await stage.up()
        await stage.settled()
        stage.world.knows[f"{REPOSITORY}:next"] = "heads-2"
        stage.world.answers("migrate", migrate)
        stage.audit.reset()
        await stage.edit_spec(image={"tag": "next"})
        await stage.ready()
        await stage.quiet()
        assert images(await stage.templates()) == {"next"}
        jobs = [item["metadata"]["name"] for item in await stage.children(JOB)]
    assert up_meanwhile == [set()]
    assert stage.world.databases[CLUSTER].revision == "heads-2"
    # The check's answer was used for this one decision.
    assert not [name for name in jobs if "-check-" in name]
    written = stage.audit.writes()
    migration = next(place for place, item in enumerate(written) if item.startswith(f"patch jobs/{CLUSTER}-migrate-"))
    gone = [place for place, item in enumerate(written) if item.startswith(f"delete jobs/{CLUSTER}-check-")]
    assert gone
    assert max(gone) < migration


async def test_there_and_back_again(stage: Stage) -> None:
    async with stage.operator():
        await stage.up()
        for tag in ("next", None, "next"):
            await stage.edit_spec(image={"tag": tag})
            await stage.ready()
            assert images(await stage.templates()) == {tag or "3.3.2"}
        await stage.quiet()
    assert "migrate" not in stage.world.asked[2:]


async def test_database_that_an_image_does_not_know_is_left_alone(stage: Stage) -> None:
    async with stage.operator():
        stage.world.knows[f"{REPOSITORY}:next"] = "heads-2"
        await stage.up(cluster(image={"tag": "next"}))
        before = await stage.templates()
        await stage.edit_spec(image=None)
        await stage.says("MigrationsApplied", "False", "UnknownRevision")
        await stage.says("Degraded", "True", "UnknownRevision")
        await stage.quiet()
        assert await stage.templates() == before
        assert running(stage) == COMPONENTS
        await stage.edit_spec(image={"tag": "next"})
        await stage.ready()
        assert await stage.templates() == before


async def test_image_of_another_version_is_named(stage: Stage) -> None:
    async with stage.operator():
        await stage.up()
        before = await stage.templates()
        stage.world.answers("check", told("WrongVersion", airflowVersion="3.3.1"))
        await stage.edit_spec(image={"tag": "odd"})
        await stage.says("MigrationsApplied", "False", "WrongVersion", words="3.3.1")
        assert await stage.templates() == before


async def test_failed_migration_is_shown_and_tried_again(stage: Stage, soon: None) -> None:
    async with stage.operator():
        stage.world.answers("migrate", failed("Failed", "deadlock detected"))
        await stage.apply(base(), cluster())
        await stage.says("MigrationsApplied", "False", "MigrationFailed", words="deadlock detected")
        await stage.says("Degraded", "True", "MigrationFailed")
        assert not running(stage)
        stage.world.answers_by_itself("migrate")
        await stage.ready()
    assert stage.world.databases[CLUSTER].revision == "heads-1"


async def test_failed_migration_of_a_running_cluster(stage: Stage, soon: None) -> None:
    async with stage.operator():
        await stage.up()
        stage.world.knows[f"{REPOSITORY}:next"] = "heads-2"
        stage.world.answers("migrate", failed("Failed", "disk full"))
        await stage.edit_spec(image={"tag": "next"})
        await stage.says("MigrationsApplied", "False", "MigrationFailed", words="disk full")
        # Back to the image that knows the schema as it still is.
        await stage.edit_spec(image=None)
        await stage.ready()
        assert images(await stage.templates()) == {"3.3.2"}
        stage.world.answers_by_itself("migrate")
        await stage.edit_spec(image={"tag": "next"})
        await stage.ready()
    assert stage.world.databases[CLUSTER].revision == "heads-2"


async def test_failed_provisioning_is_shown_and_tried_again(stage: Stage) -> None:
    async with stage.operator():
        stage.world.answers("provision", failed("Failed", "too many connections"))
        await stage.apply(base(), cluster())
        await stage.says("DatabaseReady", "False", "Provisioning", words="too many connections")
        stage.world.answers_by_itself("provision")
        await stage.ready()


async def test_failed_user_leaves_airflow_up(stage: Stage, soon: None) -> None:
    async with stage.operator():
        stage.world.answers("users", failed("Failed", "the password is too short"))
        await stage.apply(base(), cluster())
        await stage.says("AdminUserReady", "False", "Failed", words="too short")
        await stage.says("SchedulersAvailable", "True")
        stage.world.answers_by_itself("users")
        await stage.ready()


@pytest.mark.parametrize("job", ["migrate", "provision", "users"])
async def test_evidence_deleted_by_hand_is_gathered_anew_and_nothing_rolls(stage: Stage, job: str) -> None:
    async with stage.operator():
        await stage.up()
        await stage.quiet()
        before = await stage.templates()
        found = await stage.child(JOB, f"{CLUSTER}-{job}-")
        await stage.delete(JOB, found["metadata"]["name"])
        await stage.there(JOB, found["metadata"]["name"], but=found["metadata"]["uid"])
        await stage.ready()
        await stage.quiet()
        # Airflow is ready all the time: that the Job has answered is seen in Progressing alone.
        await stage.says("Progressing", "False")
        assert await stage.templates() == before
        assert dig(await stage.must_get(AIRFLOW_CLUSTER, CLUSTER), "status", "phase") == "Running"


async def test_evidence_deleted_by_hand_and_another_image(stage: Stage) -> None:
    async with stage.operator():
        await stage.up()
        await stage.quiet()
    stage.world.knows[f"{REPOSITORY}:next"] = "heads-2"
    migration = await stage.child(JOB, f"{CLUSTER}-migrate-")
    await stage.delete(JOB, migration["metadata"]["name"])
    await stage.edit_spec(image={"tag": "next"})
    async with stage.operator():
        await stage.ready()
    assert stage.world.databases[CLUSTER].revision == "heads-2"
