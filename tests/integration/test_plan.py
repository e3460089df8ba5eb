"""`airflow-operator plan` and `status` against a real API server, beside a deployment that runs."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from airflow_operator.cli import main
from airflow_operator.domain.kinds import AIRFLOW_CLUSTER, SECRET
from airflow_operator.domain.manifest import Manifest
from airflow_operator.settings import RELEASED_IMAGE
from tests.integration.audit import Audit
from tests.integration.scenario import CLUSTER, Stage, base, cluster

pytestmark = pytest.mark.integration

CLI = "airflow-operator-cli"


class Plan:
    """The command in a user's hands."""

    def __init__(self, stage: Stage, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._stage, self._folder, self._capsys = stage, folder, capsys

    async def __call__(self, *documents: Manifest) -> tuple[int, str]:
        path = self._folder / "resources.yaml"
        path.write_text(yaml.safe_dump_all(documents))
        return await self.run("plan", str(path), f"--operator-namespace={self._stage.namespace}")

    async def run(self, *arguments: str) -> tuple[int, str]:
        self._capsys.readouterr()
        where = ["-n", self._stage.namespace, "--kubeconfig", str(self._stage.control_plane.kubeconfig)]
        code = await asyncio.to_thread(main, [*arguments, *where])
        shown = self._capsys.readouterr()
        return code, shown.out + shown.err


@pytest.fixture
async def plan(stage: Stage, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Plan:
    """With the Deployment of the operator where its settings are read."""
    pod = {"containers": [{"name": "operator", "image": RELEASED_IMAGE, "args": ["run"]}]}
    marks = {"app": "operator"}
    template = {"metadata": {"labels": marks}, "spec": pod}
    spec = {"replicas": 0, "selector": {"matchLabels": marks}, "template": template}
    await stage.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "airflow-operator"}, "spec": spec})
    return Plan(stage, tmp_path, capsys)


def restarted(text: str) -> list[str]:
    (line,) = [line for line in text.splitlines() if "Pods are replaced" in line]
    return line.rpartition(": ")[2].split(", ")


async def test_plan_tells_what_the_operator_then_does_and_writes_nothing(stage: Stage, plan: Plan) -> None:
    asked = Audit(stage.control_plane, stage.namespace, CLI)
    code, text = await plan(base(), cluster())
    assert (code, "new" in text) == (3, True)
    assert f"create  Deployment {stage.namespace}/{CLUSTER}-scheduler" in text
    assert "DatabaseReady=False WaitingForBase" in text
    assert await stage.get(AIRFLOW_CLUSTER, CLUSTER) is None

    async with stage.operator():
        await stage.up()
        await stage.quiet()
        code, text = await plan(base(), cluster())
        assert code == 0
        assert not re.search(r"^  (create|change|restart|remove|refuse) ", text, re.MULTILINE), text

        code, text = await plan(cluster(scheduler={"replicas": 3}))
        assert code == 0
        assert "spec.scheduler.replicas: 1 -> 3" in text
        assert f"change  Deployment {stage.namespace}/{CLUSTER}-scheduler" in text
        assert "  spec.replicas: 1 -> 3" in text
        assert "Pods are replaced" not in text

        changed = cluster(config={"core": {"parallelism": 7}}, env=[{"name": "REGION", "value": "north"}])
        code, text = await plan(changed)
        assert code == 0
        assert restarted(text) == [f"{CLUSTER}-{name}" for name in ("api-server", "scheduler", "dag-processor", "triggerer")]
        assert "airflow.cfg: +parallelism = 7" in text
        assert "spec.template.spec.containers[scheduler].env[REGION]: added" in text
        assert "No migration" in text
        before = await stage.templates()
        await stage.apply(changed)
        await stage.ready()
        after = await stage.templates()
        assert sorted(name for name in before if before[name] != after[name]) == sorted(restarted(text))

        moved = [{"git": {"repo": "https://git.example/other.git"}}]
        code, text = await plan(cluster(dags=moved, config=changed["spec"]["config"], env=changed["spec"]["env"]))
        assert restarted(text) == [f"{CLUSTER}-{name}" for name in ("dag-processor", "scheduler", "triggerer")]

        code, text = await plan(cluster(image={"tag": "3.3.2-python3.13"}))
        assert "compares the database with docker.io/apache/airflow:3.3.2-python3.13 first" in text

        passwords = [value for item in await stage.admin.list(SECRET, stage.namespace) for value in (item.get("data") or {}).values()]
        assert passwords
        assert not [value for value in passwords if value in text]
    assert asked.requests()
    assert [request for request in asked.writes() if not request.endswith("(dry run)")] == []


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"version": "3.2"}, "spec.version"),
        ({"schedulr": {}}, "schedulr"),
        ({"scheduler": {"podTemplate": {"spec": {"containers": [{"name": "scheduler", "imag": "x"}]}}}}, "imag"),
    ],
    ids=["value", "field", "opaque"],
)
async def test_what_is_refused_is_told_in_the_api_servers_words(stage: Stage, plan: Plan, spec: dict[str, Any], words: str) -> None:
    await stage.apply(base())
    code, text = await plan(cluster(**spec))
    assert code == 1
    assert words in text
    assert "efused" in text


async def test_what_others_own_stays_and_what_a_file_no_longer_says_goes(stage: Stage, plan: Plan) -> None:
    """As client-side apply does, and as the manager of a GitOps tool does."""
    await stage.apply(base())
    declared = cluster(env=[{"name": "A", "value": "1"}], triggerer={"replicas": 2})
    for apply in (["apply", "-f", "-"], ["apply", "--server-side", "--field-manager=argocd-controller", "-f", "-"]):
        stage.kubectl(*apply, input=yaml.safe_dump(declared))
        stage.kubectl("scale", f"airflowcluster/{CLUSTER}", "--replicas=4")
        code, text = await plan(cluster(triggerer={"replicas": 2}))
        assert code == 3, text
        assert "scheduler" not in text.split("Held")[0].split("create")[0]
        assert "spec.env: " in text
        assert "triggerer" not in text.split("create")[0]
        stage.kubectl("delete", "airflowcluster", CLUSTER)


async def test_secret_of_the_same_file_counts_as_there(stage: Stage, plan: Plan) -> None:
    await stage.apply(base())
    private = cluster(dags=[{"git": {"repo": "https://git.example/dags.git", "credentialsSecretRef": {"name": "git"}}}])
    _, text = await plan(private)
    assert "SecretNotFound" in text
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "git"},
        "stringData": {"username": "me", "password": "hidden-word"},
    }
    _, text = await plan(secret, private)
    assert "SecretNotFound" not in text
    assert "hidden-word" not in text


async def test_status_of_a_cluster_says_what_to_do_next(stage: Stage, plan: Plan) -> None:
    code, text = await plan.run("status", CLUSTER)
    assert (code, f"AirflowCluster {stage.namespace}/{CLUSTER} does not exist" in text) == (1, True)
    async with stage.operator():
        await stage.apply(cluster())
        await stage.says("BaseReady", "False", "BaseNotFound")
        code, text = await plan.run("status", CLUSTER)
        assert code == 3
        assert "-> Create the AirflowBase, or correct the name." in text
        await stage.up()
        code, text = await plan.run("status", CLUSTER)
        assert code == 0
        assert ["scheduler", "1/1"] in [line.split() for line in text.splitlines()]
        assert f"get secret {CLUSTER}-admin" in text
        code, text = await plan.run("status", "afb/platform")
        assert (code, "PostgreSQL 17" in text) == (0, True)
