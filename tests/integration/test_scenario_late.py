"""What comes later than the cluster that needs it, and what changes beneath it."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_operator.domain.kinds import AIRFLOW_CLUSTER, SECRET
from airflow_operator.domain.manifest import dig
from tests.integration.players import CrashLoop, Run
from tests.integration.scenario import CLUSTER, Stage, base, cluster

pytestmark = pytest.mark.integration


def variable(name: str, secret: str, key: str = "value") -> dict[str, Any]:
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}


async def test_base_that_comes_late(stage: Stage) -> None:
    async with stage.operator():
        await stage.apply(cluster())
        told = await stage.says("BaseReady", "False", "BaseNotFound")
        assert "platform" in told["message"]
        assert dig(await stage.must_get(AIRFLOW_CLUSTER, CLUSTER), "status", "phase") == "Waiting"
        await stage.quiet()
        assert stage.audit.writes().count(f"patch airflowclusters/{CLUSTER}/status") == 1
        await stage.apply(base())
        await stage.ready()


@pytest.mark.parametrize(
    ("spec", "secret", "data", "field"),
    [
        ({"env": [variable("TOKEN", "late")]}, "late", {"value": "x"}, "spec.env[TOKEN]"),
        ({"scheduler": {"env": [variable("TOKEN", "late")]}}, "late", {"value": "x"}, "spec.scheduler.env[TOKEN]"),
        (
            {"dags": [{"git": {"repo": "https://git.example/d.git", "credentialsSecretRef": {"name": "late"}}}]},
            "late",
            {"username": "git", "password": "x"},
            "git.credentialsSecretRef",
        ),
        (
            {"auth": {"fab": {"admin": {"secretRef": {"name": "late"}}}}},
            "late",
            {"username": "root", "password": "x"},
            "spec.auth.fab.admin.secretRef",
        ),
    ],
    ids=["env", "component", "git", "admin"],
)
async def test_secret_that_comes_late(stage: Stage, spec: dict[str, Any], secret: str, data: dict[str, str], field: str) -> None:
    async with stage.operator():
        await stage.apply(base(), cluster(**spec))
        told = await stage.says("ReferencesResolved", "False", "SecretNotFound")
        assert field in told["message"]
        assert secret in told["message"]
        await stage.secret(secret, unrelated="x")
        await stage.says("ReferencesResolved", "False", "KeyNotFound")
        await stage.secret(secret, **data)
        await stage.ready()


async def test_changed_secret_rolls_its_consumers_only(stage: Stage) -> None:
    async with stage.operator():
        await stage.secret("one", value="1")
        await stage.secret("all", value="1")
        await stage.up(cluster(env=[variable("ALL", "all")], scheduler={"env": [variable("ONE", "one")]}))
        await stage.quiet()
        first = await stage.templates()
        await stage.secret("one", value="2")
        await rolled(stage, first, f"{CLUSTER}-scheduler")
        second = await stage.templates()
        await stage.secret("all", value="2")
        await rolled(stage, second, *second)
        third = await stage.templates()
        # Another key of the same Secret concerns nobody.
        await stage.secret("all", value="2", other="x")
        await stage.quiet()
        assert await stage.templates() == third


async def rolled(stage: Stage, before: dict[str, Any], *names: str) -> None:
    """Wait until exactly these workloads have another template than before, and all is ready."""

    async def changed() -> bool:
        now = await stage.templates()
        return {name for name in now if now[name] != before[name]} == set(names)

    await stage.until(changed)
    await stage.ready()
    await stage.quiet()
    assert await changed()


async def test_new_git_password_touches_nothing_and_a_new_user_rolls_the_readers(stage: Stage) -> None:
    dags = [{"git": {"repo": "https://git.example/d.git", "credentialsSecretRef": {"name": "git"}}}]
    async with stage.operator():
        await stage.secret("git", username="a", password="1")
        await stage.up(cluster(dags=dags))
        await stage.settled()
        before = await stage.templates()
        stage.audit.reset()
        await stage.secret("git", username="a", password="2")
        await stage.quiet()
        assert stage.audit.writes() == []
        await stage.secret("git", username="b", password="2")
        await rolled(stage, before, f"{CLUSTER}-dag-processor", f"{CLUSTER}-triggerer")


async def test_secret_that_goes_changes_nothing_that_runs(stage: Stage) -> None:
    async with stage.operator():
        await stage.secret("all", value="1")
        await stage.up(cluster(env=[variable("ALL", "all")]))
        await stage.quiet()
        before = await stage.templates()
        events = await stage.events()
        await stage.delete(SECRET, "all")
        await stage.says("Ready", "False", "SecretNotFound")
        assert (await stage.condition("SchedulersAvailable"))["status"] == "True"
        await stage.quiet()
        assert await stage.templates() == before
        await stage.secret("all", value="1")
        await stage.ready()
        await stage.quiet()
        assert await stage.templates() == before
        # That it is ready again was told a moment ago in the same words.
        assert (await stage.events())[len(events) :] == [("Warning", "SecretNotFound"), ("Normal", "Found")]


async def test_component_that_crashes_is_named_with_its_last_words(stage: Stage) -> None:
    async with stage.operator():
        await stage.up()
        stage.player.play(f"{CLUSTER}-scheduler-*", CrashLoop("no such table: dag_run"))
        told = await stage.says("SchedulersAvailable", "False", "ContainerCrashes")
        assert "no such table: dag_run" in told["message"]
        await stage.says("Degraded", "True", "ContainerCrashes")
        stage.player.play(f"{CLUSTER}-scheduler-*", Run())
        await stage.ready()


async def test_git_sync_that_fails_is_told_in_its_own_words(stage: Stage) -> None:
    words = '{"msg": "repo sync failed", "error": "fatal: couldn\'t find remote ref nope", "failCount": 1}'
    async with stage.operator():
        await stage.up()
        stage.player.play(f"{CLUSTER}-dag-processor-*", CrashLoop(words, container="git-sync"))
        told = await stage.says("DagsSynced", "False", "GitSyncFailed")
        assert "couldn't find remote ref nope" in told["message"]
        stage.player.play(f"{CLUSTER}-dag-processor-*", Run())
        await stage.ready()
