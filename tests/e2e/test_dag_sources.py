"""One deployment with five sources of DAGs: a password, SSH, a private certificate authority, a bundle of Airflow's own, a volume."""

from __future__ import annotations

import secrets
import textwrap
from collections.abc import Iterator

import pytest

from devcluster.images import IMAGES
from tests.e2e import git_server
from tests.e2e.conftest import leave
from tests.e2e.deployment import GIT_SECRET, PERIOD, Deployment
from tests.e2e.git_server import GitRepository
from tests.e2e.kubectl import Kubectl, Object
from tests.e2e.waiting import Stopwatch, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]

SSH, TLS, BUNDLE, VOLUME = "over-ssh", "over-tls", "versions", "on-volume"


def dag_file(dag_id: str, words: str) -> str:
    return textwrap.dedent(f"""
        from airflow.sdk import dag, task


        @dag(dag_id="{dag_id}", schedule=None)
        def says():
            @task
            def say():
                print("{words}")

            say()


        says()
    """).lstrip()


def volume_with(path: str, text: str) -> list[Object]:
    """A claim, and a Job that writes a file to it."""
    claim = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}}
    container = {
        "name": "write",
        "image": IMAGES["git-server"].tag,
        "command": ["sh", "-c", 'mkdir -p "$(dirname "/dags/$FILE")" && printf %s "$TEXT" > "/dags/$FILE"'],
        "env": [{"name": "FILE", "value": path}, {"name": "TEXT", "value": text}],
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [{"name": "dags", "mountPath": "/dags"}],
    }
    pod = {
        "restartPolicy": "Never",
        "securityContext": {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
        "volumes": [{"name": "dags", "persistentVolumeClaim": {"claimName": VOLUME}}],
    }
    return [
        {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": VOLUME}, "spec": claim},
        {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": VOLUME}, "spec": {"template": {"spec": pod}}},
    ]


class Sources(Deployment):
    """A deployment whose DAGs come from four repositories of one server, and from a volume."""

    def __init__(self, kubectl: Kubectl, name: str) -> None:
        super().__init__(kubectl, name, modest=True)
        self.repositories = {entry: GitRepository(self.kubectl, self.git.password, f"{entry}.git") for entry in (SSH, TLS, BUNDLE)}

    def bring_up(self) -> None:
        self.make_namespace()
        for entry, repository in self.repositories.items():
            repository.serve({f"dags/{entry}.py": dag_file(entry, f"first words {entry}")})
        keys = {"ssh-privatekey": self.git.keys["ssh-privatekey"]}
        self.kubectl.apply(
            {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "git-ssh"}, "type": "kubernetes.io/ssh-auth", "stringData": keys},
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "git-ca"}, "data": {"ca.crt": self.git.keys["ca.crt"]}},
        )
        self.kubectl.apply(*volume_with(f"etl/{VOLUME}.py", dag_file(VOLUME, f"first words {VOLUME}")))
        base, cluster = self.resources()
        cluster["spec"]["dags"] += self.more_entries(self.git.keys["known_hosts"])
        self.kubectl.apply(base, cluster)
        self.wait_until_ready()

    def more_entries(self, known_hosts: str) -> list[Object]:
        usual = {"ref": "main", "subPath": "dags", "period": f"{PERIOD}s"}
        password = {"name": GIT_SECRET}
        ssh = {"repo": f"{git_server.SSH_URL}/{SSH}.git", "credentialsSecretRef": {"name": "git-ssh"}, "knownHosts": known_hosts}
        ca = {"configMapKeyRef": {"name": "git-ca", "key": "ca.crt"}}
        tls = {"repo": f"{git_server.TLS_URL}/{TLS}.git", "credentialsSecretRef": password, "ca": ca}
        bundle = {
            "repo": f"http://{git_server.NAME}:{git_server.PORT}/{BUNDLE}.git",
            "credentialsSecretRef": password,
            "delivery": "Bundle",
        }
        repositories = [{"name": name, "git": {**usual, **git}} for name, git in ((SSH, ssh), (TLS, tls), (BUNDLE, bundle))]
        return [*repositories, {"name": VOLUME, "volume": {"claimName": VOLUME, "subPath": "etl"}}]

    def commits(self) -> dict[str, str]:
        """Entry -> commit, as the status has them."""
        return {row["name"]: row["commit"] for row in self.cluster["status"].get("dags", []) if "commit" in row}

    def close(self) -> None:
        for repository in self.repositories.values():
            repository.close()
        super().close()


@pytest.fixture(scope="module")
def sources(kubectl: Kubectl) -> Iterator[Sources]:
    deployment = Sources(kubectl, f"e2e-{secrets.token_hex(3)}")
    try:
        clock = Stopwatch()
        deployment.bring_up()
        print(f"ready after {clock.seconds:.1f} s")
        yield deployment
    finally:
        leave(deployment)


def test_dags_of_every_source_run(sources: Sources) -> None:
    airflow = sources.airflow()
    wanted = {"dags-folder": sources.git.newest, SSH: sources.repositories[SSH].newest, TLS: sources.repositories[TLS].newest}
    until("status.dags names every commit", lambda: sources.commits() == wanted, within=120, saying=lambda: str(sources.commits()))
    ids = ("hello", SSH, TLS, BUNDLE, VOLUME)
    for dag_id in ids:
        airflow.wait_for_dag(dag_id)
        airflow.unpause(dag_id)
    runs = {dag_id: airflow.trigger(dag_id) for dag_id in ids}
    for dag_id, run in runs.items():
        airflow.wait_for_run(dag_id, run)
    for dag_id in ids[1:]:
        assert f"first words {dag_id}" in airflow.log(dag_id, runs[dag_id], "say")


def test_a_run_is_repeated_with_the_code_that_it_began_with(sources: Sources) -> None:
    airflow, repository = sources.airflow(), sources.repositories[BUNDLE]
    old, first = repository.newest, airflow.run_dag(BUNDLE)["dag_run_id"]
    new = repository.commit({f"dags/{BUNDLE}.py": dag_file(BUNDLE, "second words")}, "other words")

    def version() -> str:
        return str(airflow.wait_for_dag(BUNDLE).get("bundle_version"))

    until("Airflow has the new version", lambda: version() == new, within=120, saying=version)
    second = airflow.run_dag(BUNDLE)["dag_run_id"]
    assert "second words" in airflow.log(BUNDLE, second, "say")
    airflow.repeat(BUNDLE, first)
    airflow.wait_for_run(BUNDLE, first)
    assert airflow.task_instances(BUNDLE, first)[0]["try_number"] == 2
    assert f"first words {BUNDLE}" in airflow.log(BUNDLE, first, "say", try_number=2)
    assert airflow.run(BUNDLE, first)["bundle_version"] == old
