"""One namespace with everything: a git server with DAGs, an AirflowBase and an AirflowCluster made from the shipped samples."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from typing import Any

import yaml

from tests.e2e import git_server
from tests.e2e.airflow_client import UNREACHABLE, Airflow2Client, AirflowClient
from tests.e2e.diagnose import diagnose
from tests.e2e.git_server import GitRepository
from tests.e2e.kubectl import Kubectl, Object, condition, is_true
from tests.e2e.prepare import ROOT
from tests.e2e.reach import Reach
from tests.e2e.waiting import until

SAMPLES = ROOT / "manifests" / "samples"
DAGS = ROOT / "examples" / "dags"
BASE, CLUSTER = "platform", "etl"
VERSION = "3.3.2"
GIT_SECRET = "git"
LOGIN = "/auth/token"
PERIOD = 5
"""Seconds between git-sync's looks."""

READY_WITHIN = 420.0
"""Seconds for a first start on a busy machine; a quiet one takes about 60."""


def dag_file(text: str, version: str) -> str:
    """A DAG file that was written for Airflow 3, for another version."""
    return text.replace("from airflow.sdk import", "from airflow.decorators import") if version.startswith("2.") else text


def example_dags(version: str = VERSION) -> dict[str, str]:
    """The DAG files of examples/dags by their path in the repository."""
    return {f"dags/{path.name}": dag_file(path.read_text(), version) for path in sorted(DAGS.glob("*.py"))}


def sample(name: str, kind: str) -> Object:
    """The resource of one kind in a shipped sample."""
    return next(item for item in yaml.safe_load_all((SAMPLES / name).read_text()) if item["kind"] == kind)


def namespace(name: str) -> Object:
    """A namespace that accepts only pods of Pod Security's restricted level."""
    levels = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": levels}}


CHILDREN = "serviceaccounts,rolebindings,secrets,configmaps,persistentvolumeclaims,services,jobs,statefulsets,deployments"
DIGEST = re.compile(r"-[0-9a-f]{8,12}(?=$|-)")
TOLD = ("succeeded", "failed", "readyReplicas", "updatedReplicas", "phase")


class Reached(AirflowClient):
    """The client, over a way that is opened again when the API server's pod has gone."""

    def __init__(self, reach: Reach, username: str, password: str) -> None:
        super().__init__("", username, password, timeout=60.0)
        self._reach = reach

    def _send(self, method: str, path: str, body: object, headers: Mapping[str, str]) -> Any:
        try:
            return self._send_once(method, path, body, headers)
        except UNREACHABLE:
            # Of a request that changes something nobody knows whether it arrived.
            if method != "GET" and path != LOGIN:
                raise
        return self._send_once(method, path, body, headers)

    def _send_once(self, method: str, path: str, body: object, headers: Mapping[str, str]) -> Any:
        self.url = self._reach.url
        try:
            return super()._send(method, path, body, headers)
        except UNREACHABLE:
            # The way led to a pod that has gone.
            self._reach.close()
            raise


class ReachedAirflow2(Reached, Airflow2Client):
    """The same for Airflow 2."""


class Deployment:
    """What a test does with the deployment of one namespace."""

    def __init__(
        self, kubectl: Kubectl, name: str, *, modest: bool = False, logs: bool = True, version: str = VERSION, **fields: Any
    ) -> None:
        """Nothing is made yet. `modest`: it asks for little CPU, so that it fits beside others on two cores; `logs`: on a volume.

        `fields` are those of the AirflowCluster's spec.
        """
        self.namespace = name
        self.version = version
        self._fields = fields
        self._modest, self._logs = modest, logs
        self.root = kubectl
        self.kubectl = kubectl.within(name)
        self.git = GitRepository(self.kubectl, secrets.token_urlsafe(12))
        self._reach = Reach(self.kubectl, f"{CLUSTER}-api-server", 8080)
        self.first_state: dict[str, list[Object]] = {}
        """`end_state` after an undisturbed first roll-out, where a fixture took it."""

    def make_namespace(self) -> None:
        """The namespace, and the git server with the example DAGs and its password."""
        self.root.apply(namespace(self.namespace))
        self.git.serve(example_dags(self.version))
        self.write_git_secret()

    def write_git_secret(self) -> None:
        """The Secret that git-sync logs in with: the server's password of now."""
        secret = sample("private-git.yaml", "Secret")
        secret["metadata"]["name"] = GIT_SECRET
        secret["stringData"] = {"username": git_server.USERNAME, "password": self.git.password}
        self.kubectl.apply(secret)

    def resources(self) -> list[Object]:
        """The samples' AirflowBase and AirflowCluster, pointed at this namespace's git server."""
        base = sample("quickstart.yaml", "AirflowBase")
        base["metadata"]["name"] = BASE
        cluster = sample("private-git.yaml", "AirflowCluster")
        cluster["metadata"]["name"] = CLUSTER
        cluster["spec"]["baseRef"]["name"] = BASE
        cluster["spec"]["dags"][0]["git"] |= {"repo": git_server.URL, "period": f"{PERIOD}s", "credentialsSecretRef": {"name": GIT_SECRET}}
        if self._logs:
            cluster["spec"]["logs"] = {"volume": {"size": "1Gi"}}
        cluster["spec"] |= {"version": self.version, **self._fields}
        if self._modest:
            cluster["spec"]["pods"] = {"resources": {"requests": {"cpu": "20m"}}}
        return [base, cluster]

    def apply(self) -> None:
        """`kubectl apply` of the resources."""
        self.kubectl.apply(*self.resources())

    @property
    def cluster(self) -> Object:
        """The AirflowCluster as it is now."""
        found = self.kubectl.get("airflowcluster", CLUSTER)
        assert found is not None, f"AirflowCluster {CLUSTER} is not there"
        return found

    @property
    def ready(self) -> bool:
        """Whether Ready is True for the newest spec."""
        return is_true(self.kubectl.get("airflowcluster", CLUSTER))

    def wait_until_ready(self, *, within: float = READY_WITHIN) -> None:
        """Until Ready is True; AssertionError with all there is to know."""
        until(f"AirflowCluster {self.namespace}/{CLUSTER} Ready", lambda: self.ready, within=within, saying=lambda: diagnose(self.kubectl))

    def admin(self) -> tuple[str, str]:
        """User name and password of the generated administrator, found as a user finds them."""
        secret = self.kubectl.secret(self.cluster["status"]["auth"]["adminSecretRef"]["name"])
        return secret["username"], secret["password"]

    def airflow(self) -> Reached:
        """Airflow's API, as the generated administrator."""
        speaker = ReachedAirflow2 if self.version.startswith("2.") else Reached
        return speaker(self._reach, *self.admin())

    @property
    def url(self) -> str:
        """Airflow's address on this host, for a browser."""
        return self._reach.url

    def commit_in_status(self) -> str:
        """The commit that status.dags names."""
        rows = self.cluster["status"].get("dags", [])
        return str(rows[0].get("commit", "")) if rows else ""

    def pods(self, component: str) -> list[Object]:
        """The pods of one component that are not on their way out."""
        found = self.kubectl.list("pods", selector=f"airflow-operator.dev/cluster={CLUSTER},app.kubernetes.io/component={component}")
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def children(self) -> list[Object]:
        """Every object that the operator made in the namespace, pods apart."""
        return self.kubectl.list(CHILDREN, selector="app.kubernetes.io/managed-by=airflow-operator")

    def wait_until_settled(self, *, within: float = 120.0) -> None:
        """Until every pod of every workload is ready and the status names the commit, which Ready does not wait for."""

        def settled() -> bool:
            workloads = [child for child in self.children() if child["kind"] in ("Deployment", "StatefulSet")]
            ready = all(item["status"].get("readyReplicas", 0) == item["spec"]["replicas"] for item in workloads)
            return ready and self.commit_in_status() == self.git.newest

        until(f"{self.namespace} settled", settled, within=within, saying=lambda: f"commit in status: {self.commit_in_status() or 'none'}")

    def end_state(self) -> dict[str, list[Object]]:
        """The children in a form that does not depend on the namespace: kind and name without its digest -> what was done to each."""
        found: dict[str, list[Object]] = {}
        for child in self.children():
            name = DIGEST.sub("-DIGEST", child["metadata"]["name"])
            status = child.get("status", {})
            seen = {"generation": child["metadata"].get("generation")} | {key: status[key] for key in TOLD if key in status}
            found.setdefault(f"{child['kind']} {name}", []).append(seen)
        return dict(sorted(found.items()))

    def reason(self) -> str:
        """Why it is not ready, for messages."""
        row = condition(self.kubectl.get("airflowcluster", CLUSTER), "Ready")
        return f"{row.get('status', 'no condition')} {row.get('reason', '')}: {row.get('message', '')}"

    def close(self) -> None:
        """End what runs on this host for it; the namespace stays."""
        self._reach.close()
        self.git.close()

    def remove(self) -> None:
        """Delete the namespace with all that is in it."""
        self.close()
        self.root("delete", "namespace", self.namespace, "--ignore-not-found", "--wait=false")
