"""A database server that others run, over TLS that checks its name, shared with a namespace that is deleted and made again."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping

import pytest

from devcluster.images import IMAGES
from tests.e2e.conftest import leave
from tests.e2e.deployment import BASE, CLUSTER, Deployment, namespace, sample
from tests.e2e.git_keys import generate
from tests.e2e.kubectl import Kubectl, Object, condition
from tests.e2e.test_retained import CONNECTION, PASSWORD, stored_password
from tests.e2e.waiting import until

pytestmark = [pytest.mark.e2e_all, pytest.mark.timeout(1200)]

SERVER, PORT = "postgres", 5432
ADMIN = "airflow_admin"

LOOK = """
import os

print(dict(os.environ))
for line in open("/proc/self/mounts"):
    _, path, kind, *_ = line.split()
    if path == "/" or path.startswith(("/proc", "/sys", "/dev")):
        continue
    for folder, _, names in os.walk(path):
        for name in names:
            try:
                print(name, open(os.path.join(folder, name), errors="replace").read(65536))
            except OSError as error:
                print(name, error)
    if os.path.isfile(path):
        print(path, open(path, errors="replace").read(65536))
"""
"""Prints what a container was given: its environment and every file that is mounted into it."""


def server(keys: Mapping[str, str], password: str) -> list[Object]:
    """PostgreSQL that takes TLS, with an administrator who may make databases and roles, and no more."""
    role = f"CREATE ROLE {ADMIN} LOGIN CREATEDB CREATEROLE PASSWORD '{password}';\n"
    files = {"tls.crt": keys["tls.crt"], "tls.key": keys["tls.key"], "admin.sql": role}
    container = {
        "name": SERVER,
        "image": IMAGES["postgres"].tag,
        "args": ["-c", "ssl=on", "-c", "ssl_cert_file=/etc/server/tls.crt", "-c", "ssl_key_file=/etc/server/tls.key"],
        "env": [
            {"name": "POSTGRES_PASSWORD", "value": secrets.token_hex(8)},
            {"name": "PGDATA", "value": "/var/lib/postgresql/data/pgdata"},
        ],
        "ports": [{"containerPort": PORT}],
        "readinessProbe": {"exec": {"command": ["pg_isready", "-h", "127.0.0.1"]}, "periodSeconds": 1, "timeoutSeconds": 5},
        "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [
            {"name": "data", "mountPath": "/var/lib/postgresql/data"},
            {"name": "files", "mountPath": "/etc/server"},
            {"name": "files", "mountPath": "/docker-entrypoint-initdb.d/admin.sql", "subPath": "admin.sql"},
        ],
    }
    pod = {
        "automountServiceAccountToken": False,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 999, "fsGroup": 999, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
        # The server refuses a key that others may read.
        "volumes": [{"name": "data", "emptyDir": {}}, {"name": "files", "secret": {"secretName": "server", "defaultMode": 0o440}}],
    }
    labels = {"app": SERVER}
    return [
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "server"}, "stringData": files},
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": SERVER},
            "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}},
        },
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": SERVER}, "spec": {"selector": labels, "ports": [{"port": PORT}]}},
    ]


class Tenant(Deployment):
    """A deployment on a base of another namespace, whose server is external."""

    def __init__(self, kubectl: Kubectl, name: str) -> None:
        super().__init__(kubectl, name, modest=True)
        self.platform = kubectl.within(f"{name}-platform")
        self.admin_password = f"canary-{secrets.token_hex(12)}"

    def resources(self) -> list[Object]:
        _, cluster = super().resources()
        cluster["spec"]["baseRef"] = {"name": BASE, "namespace": self.platform.namespace}
        return [cluster]

    def make_platform(self) -> None:
        """The namespace with the server, and the sample's base pointed at it."""
        self.root.apply(namespace(self.platform.namespace))
        host = f"{SERVER}.{self.platform.namespace}.svc"
        keys = generate(host, PORT)
        self.platform.apply(*server(keys, self.admin_password))
        login = sample("external-postgres.yaml", "Secret") | {"stringData": {"username": ADMIN, "password": self.admin_password}}
        authority = sample("external-postgres.yaml", "ConfigMap") | {"data": {"ca.crt": keys["ca.crt"]}}
        base = sample("external-postgres.yaml", "AirflowBase")
        base["metadata"]["name"] = BASE
        base["spec"]["database"]["external"] |= {"host": host, "port": PORT}
        base["spec"]["allowedClusters"] = {"namespaces": {"names": [self.namespace]}}
        self.platform("rollout", "status", f"deployment/{SERVER}", "--timeout=120s", timeout=130)
        self.platform.apply(login, authority, base)

    def sessions(self) -> list[list[str]]:
        """Of every session that came over the network: role, application, whether it is encrypted."""
        query = (
            "SELECT usename, application_name, ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)"
            " WHERE client_addr IS NOT NULL AND NOT client_addr <<= '127.0.0.0/8'"
        )
        psql = ("psql", "-h", "/var/run/postgresql", "-U", "postgres", "-AtF,", "-c", query)
        return [line.split(",") for line in self.platform.execute(f"deployment/{SERVER}", *psql).splitlines() if line]

    def remove(self) -> None:
        super().remove()
        self.root("delete", "namespace", self.platform.namespace, "--ignore-not-found", "--wait=false")


@pytest.fixture(scope="module")
def tenant(kubectl: Kubectl) -> Iterator[Tenant]:
    made = Tenant(kubectl, f"e2e-{secrets.token_hex(3)}")
    try:
        made.make_platform()
        made.make_namespace()
        made.apply()
        made.wait_until_ready()
        yield made
    finally:
        leave(made)


def test_every_session_is_encrypted_and_checks_the_servers_name(tenant: Tenant) -> None:
    tenant.airflow().run_dag("hello")
    found = tenant.sessions()
    assert found
    assert {row[2] for row in found} == {"t"}
    for component in ("api-server", "scheduler", "dag-processor", "triggerer"):
        (pod, *_) = tenant.pods(component)
        environment = tenant.kubectl.execute(pod["metadata"]["name"], "env")
        urls = [line for line in environment.splitlines() if line.startswith("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN")]
        assert len(urls) == 2, "for the driver that waits and for the one that does not"
        assert all("verify-full" in url for url in urls)


def test_nothing_that_a_tenant_runs_is_given_the_administrators_password(tenant: Tenant) -> None:
    own = tenant.kubectl.secret(f"{CLUSTER}-keys")["database-password"]
    seen = ""
    for component in ("api-server", "scheduler", "dag-processor", "triggerer"):
        for pod in tenant.pods(component):
            seen += tenant.kubectl.execute(pod["metadata"]["name"], "python", "-c", LOOK)
    assert own in seen, "the look finds what is there"
    assert tenant.admin_password not in seen
    for secret in tenant.kubectl.list("secrets"):
        assert tenant.admin_password not in tenant.kubectl.secret(secret["metadata"]["name"]).values()
    named = {ref for pod in tenant.kubectl.list("pods") for ref in _secrets_of(pod)}
    assert f"{CLUSTER}-connection" in named
    assert "database-admin" not in named


def _secrets_of(pod: Object) -> Iterator[str]:
    """Names of the Secrets that a pod mounts or reads into its environment."""
    spec = pod["spec"]
    for volume in spec.get("volumes", []):
        if "secret" in volume:
            yield volume["secret"]["secretName"]
        for source in volume.get("projected", {}).get("sources", []):
            if "secret" in source:
                yield source["secret"]["name"]
    for container in [*spec["containers"], *spec.get("initContainers", [])]:
        for variable in container.get("env", []):
            if "secretKeyRef" in variable.get("valueFrom", {}):
                yield variable["valueFrom"]["secretKeyRef"]["name"]


def test_a_namespace_that_is_made_again_gets_its_data_back_once_the_bases_owner_approves(tenant: Tenant) -> None:
    tenant.airflow().add_connection(CONNECTION, PASSWORD)
    tenant.root("delete", "namespace", tenant.namespace, "--wait=true", "--timeout=300s", timeout=310)
    again = Tenant(tenant.root, tenant.namespace)
    try:
        again.make_namespace()
        again.apply()

        def reasons() -> set[str]:
            return {row["reason"] for row in again.cluster.get("status", {}).get("conditions", [])}

        until("the new namespace waits", lambda: "OwnershipConflict" in reasons(), within=180, saying=lambda: str(reasons()))
        assert condition(again.cluster, "Ready")["status"] == "False"
        made = again.root.get("namespace", again.namespace)
        assert made
        entry = {"namespace": again.namespace, "uid": made["metadata"]["uid"]}
        patch = json.dumps({"spec": {"allowedClusters": {"adopt": [entry]}}})
        again.platform("patch", "airflowbase", BASE, "--type=merge", f"--patch={patch}")
        again.wait_until_ready()
        assert stored_password(again) == PASSWORD
    finally:
        again.close()
