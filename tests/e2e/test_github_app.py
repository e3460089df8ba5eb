"""Airflow 2 with two repositories, one of them read as a GitHub App; and a history that is rewritten by a forced push."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from tests.e2e import git_server, servers
from tests.e2e.conftest import leave
from tests.e2e.deployment import GIT_SECRET, PERIOD, Deployment, dag_file
from tests.e2e.git_server import GitRepository
from tests.e2e.kubectl import Kubectl
from tests.e2e.test_dag_sources import dag_file as says
from tests.e2e.waiting import until

pytestmark = [pytest.mark.e2e_all, pytest.mark.timeout(1200)]

APP, INSTALLATION = 4711, 815
APP_SECRET = "github-app"
MORE = "versions"


@pytest.fixture
def deployment(kubectl: Kubectl) -> Iterator[Deployment]:
    made = Deployment(kubectl, f"e2e-{secrets.token_hex(3)}", modest=True, version="2.11.2", executors=["LocalExecutor"])
    try:
        made.make_namespace()
        yield made
    finally:
        leave(made)


def test_two_repositories_and_a_github_app(deployment: Deployment) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    servers.run_github(deployment.kubectl, app=APP, installation=INSTALLATION, public_key=public, token=deployment.git.password)
    told = {
        "githubAppID": str(APP),
        "githubAppInstallationID": str(INSTALLATION),
        "githubAppPrivateKey": key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode(),
        "githubAppBaseURL": f"http://{servers.GITHUB}:{servers.PORT}/",
    }
    deployment.kubectl.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": APP_SECRET}, "stringData": told})
    more = GitRepository(deployment.kubectl, deployment.git.password, f"{MORE}.git")

    def written(words: str) -> dict[str, str]:
        return {f"dags/{MORE}.py": dag_file(says(MORE, words), deployment.version)}

    try:
        more.serve(written("first words"))
        base, cluster = deployment.resources()
        cluster["spec"]["dags"][0]["git"]["credentialsSecretRef"] = {"name": APP_SECRET}
        repository = f"http://{git_server.NAME}:{git_server.PORT}/{MORE}.git"
        git = {"repo": repository, "ref": "main", "subPath": "dags", "period": f"{PERIOD}s", "credentialsSecretRef": {"name": GIT_SECRET}}
        cluster["spec"]["dags"].append({"name": MORE, "git": git})
        deployment.kubectl.apply(base, cluster)
        deployment.wait_until_ready()

        def commits() -> dict[str, str]:
            return {row["name"]: row.get("commit", "") for row in deployment.cluster["status"]["dags"]}

        def both_told() -> bool:
            return sorted(commits().values()) == sorted([deployment.git.newest, more.newest])

        until("status.dags names both commits", both_told, within=120, saying=lambda: str(commits()))
        airflow = deployment.airflow()
        airflow.run_dag("hello")
        first = airflow.run_dag(MORE)["dag_run_id"]
        assert "first words" in airflow.log(MORE, first, "say")

        old = more.newest
        more.commit(written("other words"), "as if the first had never been", instead=True)
        assert more.newest != old
        until("status.dags names the commit of the forced push", both_told, within=120, saying=lambda: str(commits()))
        second = airflow.run_dag(MORE)["dag_run_id"]
        assert "other words" in airflow.log(MORE, second, "say")
        assert not airflow.import_errors()
    finally:
        more.close()
