"""Mistakes that only real pods can show: each is told in a condition, what runs goes on, and taking it back heals all."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.e2e import git_server
from tests.e2e.conftest import leave
from tests.e2e.deployment import CLUSTER, Deployment
from tests.e2e.git_keys import generate
from tests.e2e.kubectl import Kubectl, Object, condition
from tests.e2e.waiting import Stopwatch, until

pytestmark = [pytest.mark.e2e_all, pytest.mark.timeout(900)]

COMPONENTS = ("api-server", "scheduler", "dag-processor", "triggerer")
PROVIDER = "the path of the executor's provider in the image"
FIND = "import airflow.providers.cncf.kubernetes as it, pathlib; print(pathlib.Path(it.__file__).parent)"


@dataclass(frozen=True)
class Mistake:
    """A change of the spec, and what must be said of it."""

    id: str
    spec: dict[str, Any] = field(default_factory=dict)
    """Merged into the spec."""
    git: dict[str, Any] = field(default_factory=dict)
    """Merged into the one entry of spec.dags."""
    type: str = "DagsSynced"
    words: str = ""
    """Part of the condition's message."""


OTHER_KEY = generate(git_server.NAME, git_server.SSH_PORT)["known_hosts"]
MISTAKES = (
    Mistake("ref", git={"ref": "no-such-branch"}, words="no-such-branch"),
    Mistake("repository", git={"repo": f"http://{git_server.NAME}:{git_server.PORT}/gone.git"}, words="gone.git"),
    Mistake("password", git={"credentialsSecretRef": {"name": "wrong-login"}}, words="Authentication failed"),
    Mistake(
        "host-key",
        git={
            "repo": f"{git_server.SSH_URL}/{git_server.REPOSITORY}",
            "credentialsSecretRef": {"name": "git-ssh"},
            "knownHosts": OTHER_KEY,
        },
        words="Host key verification failed",
    ),
    Mistake("image-gone", {"image": {"tag": "no-such-tag"}}, type="MigrationsApplied", words="no-such-tag"),
    Mistake("not-airflow", {"image": {"repository": "docker.io/library/postgres", "tag": "17"}}, type="MigrationsApplied", words="python"),
    Mistake("other-version", {"image": {"tag": "2.11.2"}}, type="MigrationsApplied", words="2.11.2"),
    Mistake(
        "no-provider",
        {
            "scheduler": {
                "volumes": [{"name": "nothing", "emptyDir": {}}],
                "volumeMounts": [{"name": "nothing", "mountPath": PROVIDER}],
            }
        },
        type="SchedulersAvailable",
        words="airflow.providers.cncf",
    ),
)


class Mistaken(Deployment):
    """A deployment whose spec is changed and put back."""

    provider = ""

    def bring_up(self) -> None:
        self.make_namespace()
        key = {"ssh-privatekey": self.git.keys["ssh-privatekey"]}
        wrong = {"username": git_server.USERNAME, "password": "wrong"}
        self.kubectl.apply(
            {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "git-ssh"}, "type": "kubernetes.io/ssh-auth", "stringData": key},
            {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "wrong-login"}, "stringData": wrong},
        )
        self.apply()
        self.wait_until_ready()
        self.wait_until_settled()
        (pod, *_) = self.pods("scheduler")
        self.provider = self.kubectl.execute(pod["metadata"]["name"], "python", "-c", FIND).split()[-1]

    def make(self, mistake: Mistake) -> None:
        """Change the spec as the mistake says."""
        spec: Object = json.loads(json.dumps(mistake.spec).replace(PROVIDER, self.provider))
        if mistake.git:
            (entry,) = self.cluster["spec"]["dags"]
            spec["dags"] = [{**entry, "git": {**entry["git"], **mistake.git}}]
        self.kubectl("patch", "afc", CLUSTER, "--type=merge", f"--patch={json.dumps({'spec': spec})}")

    def take_back(self, before: Object, mistake: Mistake) -> None:
        """Put the spec back."""
        spec: Object = {name: {key: (before["spec"].get(name) or {}).get(key) for key in changed} for name, changed in mistake.spec.items()}
        if mistake.git:
            spec["dags"] = before["spec"]["dags"]
        self.kubectl("patch", "afc", CLUSTER, "--type=merge", f"--patch={json.dumps({'spec': spec})}")

    def serving(self) -> dict[str, set[str]]:
        """Component -> UIDs of its ready pods."""
        return {name: {pod["metadata"]["uid"] for pod in self.pods(name) if _ready(pod)} for name in COMPONENTS}


def _ready(pod: Object) -> bool:
    return any(row["type"] == "Ready" and row["status"] == "True" for row in pod.get("status", {}).get("conditions", []))


@pytest.fixture(scope="module")
def mistaken(kubectl: Kubectl) -> Iterator[Mistaken]:
    made = Mistaken(kubectl, f"e2e-{secrets.token_hex(3)}", modest=True)
    try:
        made.bring_up()
        yield made
    finally:
        leave(made)


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.id)
def test_a_mistake_is_told_and_stops_nothing(mistaken: Mistaken, mistake: Mistake) -> None:
    before, serving = mistaken.cluster, mistaken.serving()
    assert all(serving.values()), f"something is missing before the test: {serving}"
    clock = Stopwatch()
    mistaken.make(mistake)

    def told() -> bool:
        row = condition(mistaken.cluster, mistake.type)
        return row.get("status") == "False" and mistake.words in row["message"]

    until(f"{mistake.type} says {mistake.words!r}", told, within=240, saying=lambda: str(mistaken.cluster["status"]["conditions"]))
    print(f"told after {clock.seconds:.1f} s: {condition(mistaken.cluster, mistake.type)['message']}")
    assert not mistaken.ready
    # Tasks that begin meanwhile run as before: the last good DAGs, by the pods of before.
    mistaken.airflow().run_dag("hello")
    now = mistaken.serving()
    assert {name: serving[name] <= now[name] for name in COMPONENTS} == dict.fromkeys(COMPONENTS, True)

    clock = Stopwatch()
    mistaken.take_back(before, mistake)
    mistaken.wait_until_ready()
    mistaken.wait_until_settled()
    print(f"healed after {clock.seconds:.1f} s")
    assert mistaken.serving() == serving
