"""Sources of DAGs that are missing, wrong, changed and removed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_operator.domain.kinds import CONFIG_MAP, DEPLOYMENT
from airflow_operator.domain.manifest import Live, dig
from tests.integration.players import CrashLoop, Play, Run
from tests.integration.scenario import CLUSTER, Stage, base, cluster

pytestmark = pytest.mark.integration

REPO = "https://git.example/dags.git"
SSH = "ssh://git@git.example/dags.git"
PEM = "-----BEGIN OPENSSH PRIVATE KEY-----\nx\n-----END OPENSSH PRIVATE KEY-----\n"


def git(name: str = "", **fields: Any) -> dict[str, Any]:
    return {**({"name": name} if name else {}), "git": {"repo": REPO, **fields}}


async def test_claim_that_comes_late(stage: Stage) -> None:
    async with stage.operator():
        await stage.apply(base(), cluster(dags=[{"name": "nfs", "volume": {"claimName": "dags"}}]))
        told = await stage.says("ReferencesResolved", "False", "PersistentVolumeClaimNotFound")
        assert "spec.dags[nfs].volume" in told["message"]
        spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
        await stage.apply({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "dags"}, "spec": spec})
        # Nothing tells of a claim: it is looked for every half minute.
        await stage.ready(within=60)
        told = await stage.says("DagVolumesShared", "False", "OneNodeOnly")
        assert "PersistentVolumeClaim dags" in told["message"]


async def test_an_account_that_is_not_there_costs_no_pod(stage: Stage) -> None:
    async with stage.operator():
        await stage.up()
        before = await stage.templates()
        await stage.edit_spec(triggerer={"serviceAccount": {"name": "cloud"}})
        told = await stage.says("ReferencesResolved", "False", "ServiceAccountNotFound")
        assert "spec.triggerer.serviceAccount names ServiceAccount cloud" in told["message"]
        await stage.quiet()
        assert await stage.templates() == before
        await stage.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "cloud"}})
        # Nothing tells of an account either.
        await stage.ready(within=60)
        assert (await stage.templates())[f"{CLUSTER}-triggerer"]["spec"]["serviceAccountName"] == "cloud"


async def test_ssh_without_known_hosts_is_not_begun(stage: Stage) -> None:
    async with stage.operator():
        await stage.secret("git", **{"ssh-privatekey": PEM})
        await stage.apply(base(), cluster(dags=[git(repo=SSH, credentialsSecretRef={"name": "git"})]))
        told = await stage.says("ReferencesResolved", "False", "KeyNotFound")
        assert "known_hosts" in told["message"]
        assert "spec.dags[dags-folder].git.credentialsSecretRef" in told["message"]
        await stage.secret("git", **{"ssh-privatekey": PEM, "known_hosts": "git.example ssh-ed25519 AAAA"})
        await stage.ready()


async def test_an_entry_that_goes_is_told_of(stage: Stage) -> None:
    async with stage.operator():
        await stage.up(cluster(dags=[git(), git("etl")]))
        await stage.quiet()
        await stage.edit_spec(dags=[git()])
        await stage.ready()

        async def told() -> bool:
            return ("Warning", "DagSourceRemoved") in await stage.events()

        await stage.until(told)
        assert [row["name"] for row in dig(await stage.ready(), "status", "dags")] == ["dags-folder"]


def fails_for(word: str) -> Any:
    """A play of the dag-processor: git-sync cannot fetch what has this word among its settings."""
    words = json.dumps({"msg": "too many failures, aborting", "error": f"fatal: couldn't find remote ref {word}"})

    def play(pod: Live) -> Play:
        settings = [item.get("value") for item in dig(pod, "spec", "initContainers", 0, "env", default=[])]
        return CrashLoop(words, container="git-sync-init") if word in settings else Run()

    return play


async def test_a_wrong_ref_does_not_reach_the_template_of_tasks(stage: Stage) -> None:
    stage.player.play(f"{CLUSTER}-dag-processor-*", fails_for("wrong"))
    async with stage.operator():
        await stage.up(cluster(dags=[git(ref="main")]))
        await stage.quiet()
        before = await stage.templates()
        await stage.edit_spec(dags=[git(ref="wrong")])
        told = await stage.says("DagsSynced", "False", "GitSyncFailed")
        assert "couldn't find remote ref wrong" in told["message"]
        await stage.quiet()
        now = await stage.templates()
        assert {name for name in now if now[name] != before[name]} == {f"{CLUSTER}-dag-processor"}
        processor = await stage.must_get(DEPLOYMENT, f"{CLUSTER}-dag-processor")
        assert dig(processor, "status", "readyReplicas") == 1
        await stage.edit_spec(dags=[git(ref="release")])
        await stage.ready()
        now = await stage.templates()
        assert {name for name in now if now[name] != before[name]} == {
            f"{CLUSTER}-{name}" for name in ("dag-processor", "scheduler", "triggerer")
        }


async def test_known_hosts_stay_as_long_as_a_template_of_tasks_names_them(stage: Stage) -> None:
    def entry(hosts: str) -> dict[str, Any]:
        return git(repo=SSH, credentialsSecretRef={"name": "git"}, knownHosts=hosts)

    async with stage.operator():
        await stage.secret("git", **{"ssh-privatekey": PEM})
        await stage.up(cluster(dags=[entry("git.example ssh-ed25519 AAAA")]))
        await stage.quiet()
        first = await _known_hosts(stage)
        stage.player.play(f"{CLUSTER}-scheduler-*", CrashLoop("not now"))
        await stage.edit_spec(dags=[entry("git.example ssh-ed25519 BBBB")])

        async def both() -> bool:
            return len(await _known_hosts(stage)) == 2

        await stage.until(both)
        assert first <= await _known_hosts(stage)
        stage.player.play(f"{CLUSTER}-scheduler-*", Run())
        await stage.ready()

        async def old_is_gone() -> bool:
            return len(await _known_hosts(stage)) == 1

        await stage.until(old_is_gone)
        assert not first & await _known_hosts(stage)


async def _known_hosts(stage: Stage) -> set[str]:
    names = [item["metadata"]["name"] for item in await stage.children(CONFIG_MAP)]
    return {name for name in names if name.startswith(f"{CLUSTER}-known-hosts-")}
