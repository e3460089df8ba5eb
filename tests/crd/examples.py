"""Resources that the API server and the models must refuse, each with the sentence that says why."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from airflow_operator.api import AirflowBase, AirflowCluster, parse_base, parse_cluster
from airflow_operator.domain.kinds import API_VERSION
from tests.crd.server import ROOT

SAMPLES = sorted((ROOT / "manifests" / "samples").glob("*.yaml"))

CLUSTER: Mapping[str, Any] = {
    "apiVersion": "airflow-operator.dev/v1alpha1",
    "kind": "AirflowCluster",
    "metadata": {"name": "example", "namespace": "default"},
    "spec": {"baseRef": {"name": "platform"}, "version": "3.3.2"},
}
BASE: Mapping[str, Any] = {
    "apiVersion": "airflow-operator.dev/v1alpha1",
    "kind": "AirflowBase",
    "metadata": {"name": "example", "namespace": "default"},
    "spec": {"database": {"postgres": {}}},
}


def cluster(spec: Mapping[str, Any] | None = None, name: str = "example") -> dict[str, Any]:
    """A valid AirflowCluster with fields of its spec added."""
    return _with(CLUSTER, spec or {}, name)


def base(spec: Mapping[str, Any] | None = None, name: str = "example") -> dict[str, Any]:
    """A valid AirflowBase with fields of its spec added."""
    return _with(BASE, spec or {}, name)


def parse(document: Mapping[str, Any]) -> AirflowBase | AirflowCluster:
    """The model of a document of either kind."""
    return parse_base(document) if document["kind"] == "AirflowBase" else parse_cluster(document)


def ours(sample: Path) -> list[dict[str, Any]]:
    """The AirflowBases and AirflowClusters in a file."""
    return [document for document in yaml.safe_load_all(sample.read_text()) if document["apiVersion"] == API_VERSION]


def git(**fields: Any) -> dict[str, Any]:
    """A spec with one git entry."""
    return {"dags": [{"git": {"repo": "https://git.example.com/etl.git", **fields}}]}


def _with(resource: Mapping[str, Any], spec: Mapping[str, Any], name: str) -> dict[str, Any]:
    made: dict[str, Any] = copy.deepcopy(dict(resource))
    made["metadata"]["name"] = name
    made["spec"].update(spec)
    return made


@dataclass(frozen=True)
class Refused:
    """A resource, the field that is wrong, and the words that must be in the answer of both judges."""

    id: str
    resource: dict[str, Any]
    field: str
    sentence: str
    server_sentence: str = ""
    """Where the API server's own validation speaks before a rule can."""

    @property
    def from_server(self) -> str:
        """The words of the API server."""
        return self.server_sentence or self.sentence


def _external(**fields: Any) -> dict[str, Any]:
    """A base on a server that others run."""
    return base({"database": {"external": {"host": "db.example.com", "adminSecretRef": {"name": "admin"}, **fields}}})


def _owned(section: str, option: str, sentence: str) -> list[Refused]:
    variable = f"AIRFLOW__{section}__{option}".upper()
    return [
        Refused(f"config {section}.{option}", cluster({"config": {section: {option: "x"}}}), f"spec.config.{section}.{option}", sentence),
        Refused(f"env {variable}", cluster({"env": [{"name": variable, "value": "x"}]}), "spec.env[0].name", f"{variable} {sentence}"),
    ]


_CA = {"configMapKeyRef": {"name": "ca", "key": "ca.crt"}}
_SET = "is set by the operator: "

_OWNED = [
    *_owned("core", "executor", _SET + "use spec.executors"),
    *_owned("core", "dags_folder", _SET + "use spec.dags"),
    *_owned("dag_processor", "dag_bundle_config_list", _SET + "use spec.dags"),
    *_owned("scheduler", "standalone_dag_processor", _SET + "use spec.dagProcessor"),
    *_owned("kubernetes_executor", "pod_template_file", _SET + "use spec.taskPods.podTemplate"),
    *_owned("kubernetes", "namespace", _SET + "task pods run in the namespace of the AirflowCluster"),
    *_owned("core", "base_log_folder", _SET + "use spec.logs"),
    *_owned("webserver", "web_server_port", _SET + "probes and Services rely on it"),
    *_owned("kubernetes_executor", "worker_container_tag", _SET + "use spec.image"),
    *_owned("kubernetes_executor", "namespace", _SET + "task pods run in the namespace of the AirflowCluster"),
    *_owned("core", "auth_manager", _SET + "use spec.auth"),
    *_owned("core", "simple_auth_manager_users", _SET + "use spec.auth"),
    *_owned("fab", "config_file", _SET + "use spec.auth"),
    *_owned("webserver", "config_file", _SET + "use spec.auth"),
    *_owned("api", "base_url", _SET + "use spec.externalURL"),
    *_owned("webserver", "base_url", _SET + "use spec.externalURL"),
    *_owned("logging", "base_log_folder", _SET + "use spec.logs"),
    *_owned("logging", "remote_base_log_folder", _SET + "use spec.logs"),
    *_owned("core", "remote_log_conn_id", _SET + "use spec.logs"),
    *_owned("core", "execution_api_server_url", _SET + "components find the API server by its Service"),
    *_owned("api", "port", _SET + "components find the API server by its Service"),
    *_owned("scheduler", "enable_health_check", _SET + "probes and Services rely on it"),
    *_owned("database", "sql_alchemy_conn", _SET + "the database is that of spec.baseRef"),
    *_owned("database", "sql_alchemy_conn_async", _SET + "the database is that of spec.baseRef"),
    *_owned("database", "sql_alchemy_conn_cmd", _SET + "the database is that of spec.baseRef"),
    *_owned("database", "sql_alchemy_conn_secret", _SET + "the database is that of spec.baseRef"),
    *_owned("core", "sql_alchemy_conn", _SET + "the database is that of spec.baseRef"),
    *_owned("core", "fernet_key", _SET + "it makes the keys and keeps them in a Secret; to bring your own, use spec.keys"),
    *_owned("core", "fernet_key_cmd", _SET + "it makes the keys and keeps them in a Secret; to bring your own, use spec.keys"),
    *_owned("api", "secret_key", _SET + "it makes the keys and keeps them in a Secret; to bring your own, use spec.keys"),
    *_owned("webserver", "secret_key_secret", _SET + "it makes the keys and keeps them in a Secret; to bring your own, use spec.keys"),
    *_owned("api_auth", "jwt_secret", _SET + "it makes the keys and keeps them in a Secret; to bring your own, use spec.keys"),
    *_owned("api_auth", "jwt_private_key_path", _SET + "it makes the keys and keeps them in a Secret; to bring your own, use spec.keys"),
    *_owned("api_auth", "trusted_jwks_url", _SET + "it makes the keys and keeps them in a Secret; to bring your own, use spec.keys"),
    *_owned("api_auth", "jwt_kid", _SET + "it makes the keys and keeps them in a Secret; to bring your own, use spec.keys"),
    *_owned("celery", "broker_url", "belongs to CeleryExecutor, which does not work in this version of the operator"),
    *_owned("celery", "result_backend_cmd", "belongs to CeleryExecutor, which does not work in this version of the operator"),
]

_URL = "https://airflow.example.com"
_ACCESS = [
    Refused("URL without scheme", cluster({"externalURL": "airflow.example.com"}), "spec.externalURL", "must be a URL such as https://"),
    Refused("URL with a query", cluster({"externalURL": f"{_URL}/?a=b"}), "spec.externalURL", "must be a URL such as https://"),
    Refused("ingress without URL", cluster({"ingress": {}}), "spec.ingress", "ingress needs externalURL: set it too"),
    Refused(
        "ingress host",
        cluster({"externalURL": _URL, "ingress": {"host": _URL}}),
        "spec.ingress.host",
        "must be a host name such as airflow.example.com",
    ),
    Refused(
        "ingress path", cluster({"externalURL": _URL, "ingress": {"path": "a"}}), "spec.ingress.path", "must be a path such as /airflow"
    ),
    Refused("gateway without URL", cluster({"gateway": {"parentRefs": [{"name": "a"}]}}), "spec.gateway", "gateway needs externalURL"),
    Refused(
        "gateway of nobody",
        cluster({"externalURL": _URL, "gateway": {"parentRefs": []}}),
        "spec.gateway.parentRefs",
        "at least 1",
        "should have at least 1 items",
    ),
    Refused(
        "ingress annotation of ours",
        cluster({"externalURL": _URL, "ingress": {"annotations": {"app.kubernetes.io/name": "a"}}}),
        "spec.ingress.annotations",
        "keys below airflow-operator.dev/ and app.kubernetes.io/ are set by the operator",
    ),
]

_OIDC = {"issuerURL": "https://login.example.com", "clientSecretRef": {"name": "oidc"}}


def _auth(id: str, auth: dict[str, Any], field: str, sentence: str, server_sentence: str = "", **spec: Any) -> Refused:
    return Refused(id, cluster({"auth": auth, **spec}), field, sentence, server_sentence)


_AUTH = [
    _auth("two ways to log in", {"fab": {}, "simple": {}}, "spec.auth", "set exactly one of fab, simple, manager"),
    _auth(
        "two API servers with simple auth",
        {"simple": {}},
        "spec.apiServer.replicas",
        "auth.simple is for development and knows one API server alone: set apiServer.replicas to 1, or use auth.fab",
        apiServer={"replicas": 2},
    ),
    _auth(
        "users and all",
        {"simple": {"users": [{"name": "a", "role": "op"}], "allAdmins": True}},
        "spec.auth.simple",
        "set only one of users",
    ),
    _auth("simple auth on Airflow 2", {"simple": {}}, "spec.auth", "auth.simple needs Airflow 3: use auth.fab", version="2.11.2"),
    _auth("no users", {"simple": {"users": []}}, "spec.auth.simple.users", "at least 1", "should have at least 1 items"),
    _auth("user name", {"simple": {"users": [{"name": "a:b", "role": "op"}]}}, "spec.auth.simple.users[0].name", "must be letters, digits"),
    _auth(
        "role of a user",
        {"simple": {"users": [{"name": "a", "role": "Admin"}]}},
        "spec.auth.simple.users[0].role",
        "must be 'viewer', 'user', 'op' or 'admin'",
        'supported values: "viewer", "user", "op", "admin"',
    ),
    _auth("class of a manager", {"manager": {"className": "Manager"}}, "spec.auth.manager.className", "must be a class with its module"),
    _auth(
        "OIDC and a file of one's own",
        {"fab": {"oidc": _OIDC, "webserverConfigRef": {"secretKeyRef": {"name": "a", "key": "b"}}}},
        "spec.auth.fab",
        "set only one of oidc, webserverConfigRef",
    ),
    _auth("file from nowhere", {"fab": {"webserverConfigRef": {}}}, "spec.auth.fab.webserverConfigRef", "set exactly one of secretKeyRef"),
    _auth("issuer", {"fab": {"oidc": {**_OIDC, "issuerURL": "login"}}}, "spec.auth.fab.oidc.issuerURL", "must be a URL such as https://"),
    _auth("OIDC name", {"fab": {"oidc": {**_OIDC, "name": "My SSO"}}}, "spec.auth.fab.oidc.name", "must be lower-case letters"),
]

_LOGS = [
    Refused(
        "remote and volume", cluster({"logs": {"volume": {"size": "1Gi"}, "remote": {"url": "s3://a"}}}), "spec.logs", "set exactly one of"
    ),
    Refused("store of logs", cluster({"logs": {"remote": {"url": "ftp://a"}}}), "spec.logs.remote.url", "must begin with s3://, gs://"),
    Refused("password in a store's URL", cluster({"logs": {"remote": {"url": "s3://a:b@c"}}}), "spec.logs.remote.url", "hold no password"),
    Refused(
        "connection without a name",
        cluster({"logs": {"remote": {"url": "s3://a", "connectionSecretRef": {"name": "a", "key": "b"}}}}),
        "spec.logs.remote.connectionSecretRef",
        "connectionSecretRef needs connectionId: set it too",
    ),
    Refused(
        "retention of remote logs",
        cluster({"logs": {"remote": {"url": "s3://a"}, "retention": "720h"}}),
        "spec.logs.retention",
        "retention cleans a volume: for remote logs set a lifecycle rule in their store",
    ),
    Refused(
        "retention in days",
        cluster({"logs": {"volume": {"size": "1Gi"}, "retention": "30d"}}),
        "spec.logs.retention",
        "must be a duration from 1h to 87600h (ten years); days are hours",
    ),
    Refused("no certificates", cluster({"trustedCA": {}}), "spec.trustedCA", "set exactly one of secretKeyRef, configMapKeyRef"),
    Refused("no mapping file", cluster({"metrics": {"mappingsRef": {}}}), "spec.metrics.mappingsRef", "set exactly one of secretKeyRef"),
    Refused("no local settings", cluster({"localSettingsRef": {}}), "spec.localSettingsRef", "set exactly one of secretKeyRef"),
]

_CLUSTERS = [
    Refused("name too long", cluster(name="a" * 64), "", "metadata.name must have at most 63 characters"),
    Refused("name with a dot", cluster(name="a.b"), "", "metadata.name must have at most 63 characters"),
    Refused("name starts with a digit", cluster(name="1st"), "", "start with a letter"),
    Refused("version", cluster({"version": "2.0.0"}), "spec.version", "must be '2.10.5'", 'supported values: "2.10.5"'),
    Refused("patch", cluster({"version": "3.1.7"}), "spec.version", "or '3.3.2'", '"3.3.2"'),
    Refused("executor", cluster({"executors": ["KubernetesExecutor", "CeleryExecutor"]}), "spec.executors", "CeleryExecutor and others do"),
    Refused("bundle on Airflow 2", cluster({"version": "2.11.2", **git(delivery="Bundle")}), "spec.dags", "needs Airflow 3"),
    Refused(
        "bundle with a password on 3.0",
        cluster({"version": "3.0.6", **git(delivery="Bundle", credentialsSecretRef={"name": "git"})}),
        "spec.dags",
        "delivery: Bundle with credentials needs Airflow 3.1: use delivery: Sidecar",
    ),
    *(
        Refused(
            f"bundle from {repo} on 3.1",
            cluster({"version": "3.1.8", **git(repo=repo, delivery="Bundle", credentialsSecretRef={"name": "git"})}),
            "spec.dags",
            "delivery: Bundle over SSH needs Airflow 3.2: use delivery: Sidecar",
        )
        for repo in ("ssh://git@git.example.com/etl.git", "git@git.example.com:etl.git")
    ),
    Refused("no executor", cluster({"executors": []}), "spec.executors", "name at least one executor, or leave the field out"),
    Refused("an executor twice", cluster({"executors": ["LocalExecutor"] * 2}), "spec.executors", "name each executor once"),
    Refused("template of pods that nobody makes", cluster({"taskPods": {"podTemplate": {}}}), "spec.taskPods", "add it to spec.executors"),
    Refused("drain", cluster({"scheduler": {"drainTimeout": "10s"}}), "spec.scheduler.drainTimeout", "a duration from 30s to 168h"),
    Refused("plain variable", cluster({"env": [{"name": "AIRFLOW_HOME", "value": "/"}]}), "spec.env[0].name", "AIRFLOW_HOME is set by"),
    Refused(
        "variable of a component",
        cluster({"scheduler": {"env": [{"name": "AIRFLOW_CONFIG", "value": "/"}]}}),
        "spec.scheduler.env[0].name",
        "AIRFLOW_CONFIG is set by the operator: it knows where Airflow lives in the image",
    ),
    Refused(
        "value and source",
        cluster({"env": [{"name": "A", "value": "x", "valueFrom": {"secretKeyRef": {"name": "a", "key": "b"}}}]}),
        "spec.env[0]",
        "set only one of value, valueFrom",
    ),
    Refused(
        "no source",
        cluster({"env": [{"name": "A", "valueFrom": {}}]}),
        "spec.env[0].valueFrom",
        "set exactly one of secretKeyRef, configMapKeyRef, fieldRef",
    ),
    Refused("name of a variable", cluster({"env": [{"name": "1A"}]}), "spec.env[0].name", "must match ^[-._a-zA-Z]", "match '^[-._a-zA-Z]"),
    Refused("variable twice", cluster({"env": [{"name": "A"}, {"name": "A"}]}), "spec.env[1]", "name A stands twice", "uplicate"),
    Refused(
        "envFrom of nothing", cluster({"envFrom": [{"prefix": "A_"}]}), "spec.envFrom[0]", "set exactly one of secretRef, configMapRef"
    ),
    Refused(
        "two sources without a name",
        cluster({"dags": [git()["dags"][0], git()["dags"][0]]}),
        "spec.dags[1]",
        "name dags-folder stands twice",
        "uplicate",
    ),
    Refused("a source of nothing", cluster({"dags": [{"name": "a"}]}), "spec.dags[0]", "set exactly one of git, volume, image"),
    Refused(
        "two kinds of a source",
        cluster({"dags": [{**git()["dags"][0], "image": {"path": "/dags"}}]}),
        "spec.dags[0]",
        "set exactly one of git, volume, image",
    ),
    Refused("relative image path", cluster({"dags": [{"image": {"path": "dags"}}]}), "spec.dags[0].image.path", "must be an absolute path"),
    Refused("image path that leaves", cluster({"dags": [{"image": {"path": "/a/../b"}}]}), "spec.dags[0].image.path", "leave out .."),
    Refused(
        "volume path",
        cluster({"dags": [{"volume": {"claimName": "a", "subPath": "/b"}}]}),
        "spec.dags[0].volume.subPath",
        "without a slash",
    ),
    Refused("depth of a bundle", cluster(git(delivery="Bundle", depth=5)), "spec.dags[0].git.depth", "with delivery: Bundle"),
    Refused("submodules of a bundle", cluster(git(delivery="Bundle", submodules="Shallow")), "spec.dags[0].git.submodules", "must be Off"),
    Refused("ca of a bundle", cluster(git(delivery="Bundle", ca=_CA)), "spec.dags[0].git.ca", "use delivery: Sidecar"),
    Refused("bundle once", cluster(git(delivery="Bundle", period="Once")), "spec.dags[0].git.period", "cannot be Once"),
    Refused(
        "delivery",
        cluster(git(delivery="Push")),
        "spec.dags[0].git.delivery",
        "must be 'Sidecar' or 'Bundle'",
        'supported values: "Sidecar", "Bundle"',
    ),
    Refused(
        "connection of a bundle",
        cluster({"env": [{"name": "AIRFLOW_CONN_AIRFLOW_OPERATOR_DAGS_ETL", "value": "x"}]}),
        "spec.env[0].name",
        "is set by the operator: use spec.dags",
    ),
    Refused(
        "ssh without a key",
        cluster(git(repo="ssh://git@git.example.com/etl.git", knownHosts="x")),
        "spec.dags[0].git",
        "a repository over SSH needs credentialsSecretRef",
    ),
    Refused(
        "scp without a key", cluster(git(repo="git@git.example.com:etl.git")), "spec.dags[0].git", "over SSH needs credentialsSecretRef"
    ),
    Refused(
        "file", cluster(git(repo="file:///etc")), "spec.dags[0].git.repo", "must be an https://, http:// or ssh:// URL, or USER@HOST:PATH"
    ),
    Refused("path", cluster(git(repo="/etc")), "spec.dags[0].git.repo", "must be an https://, http:// or ssh:// URL, or USER@HOST:PATH"),
    Refused(
        "password for ssh",
        cluster(git(repo="ssh://git:secret@git.example.com/etl.git", credentialsSecretRef={"name": "git"})),
        "spec.dags[0].git.repo",
        "must not hold a password",
    ),
    Refused("known hosts of https", cluster(git(knownHosts="x")), "spec.dags[0].git.knownHosts", "belongs to a repository over SSH"),
    Refused(
        "ca of ssh",
        cluster(
            git(repo="git@git.example.com:etl.git", credentialsSecretRef={"name": "g"}, ca={"secretKeyRef": {"name": "a", "key": "b"}})
        ),
        "spec.dags[0].git.ca",
        "belongs to an https:// repository",
    ),
    Refused("ca of http", cluster(git(repo="http://git/a.git", ca=_CA)), "spec.dags[0].git.ca", "belongs to an https:// repository"),
    Refused("ca of nothing", cluster(git(ca={})), "spec.dags[0].git.ca", "set exactly one of secretKeyRef, configMapKeyRef"),
    Refused(
        "submodules",
        cluster(git(submodules="on")),
        "spec.dags[0].git.submodules",
        "must be 'Recursive', 'Shallow' or 'Off'",
        'supported values: "Recursive", "Shallow", "Off"',
    ),
    Refused("another word for a period", cluster(git(period="once")), "spec.dags[0].git.period", "or Once"),
    Refused(
        "password in the URL",
        cluster(git(repo="https://user:secret@git.example.com/etl.git")),
        "spec.dags[0].git.repo",
        "must not hold a password, nor a user name but that of SSH: put them in a Secret and name it in credentialsSecretRef",
    ),
    Refused(
        "token in the URL", cluster(git(repo="https://token@git.example.com/etl")), "spec.dags[0].git.repo", "must not hold a password"
    ),
    Refused("option as a ref", cluster(git(ref="--upload-pack=x")), "spec.dags[0].git.ref", "must be a branch, a tag or a commit"),
    Refused("space in a ref", cluster(git(ref="a b")), "spec.dags[0].git.ref", "must be a branch, a tag or a commit"),
    Refused("line after a ref", cluster(git(ref="main\n")), "spec.dags[0].git.ref", "must be a branch, a tag or a commit"),
    Refused("line after a size", cluster({"logs": {"volume": {"size": "1Gi\n"}}}), "spec.logs.volume.size", "must be a size such as 10Gi"),
    Refused("absolute path", cluster(git(subPath="/dags")), "spec.dags[0].git.subPath", "without a slash at its start"),
    Refused("path that leaves", cluster(git(subPath="dags/../../x")), "spec.dags[0].git.subPath", "must stay within it"),
    Refused("period in days", cluster(git(period="1d")), "spec.dags[0].git.period", "must be a duration from 1s to 24h"),
    Refused("period too short", cluster(git(period="999ms")), "spec.dags[0].git.period", "must be a duration from 1s to 24h"),
    Refused("period too long", cluster(git(period="24h1s")), "spec.dags[0].git.period", "must be a duration from 1s to 24h"),
    Refused("no auth", cluster({"auth": {}}), "spec.auth", "set exactly one of fab, simple, manager"),
    Refused("logs to nowhere", cluster({"logs": {}}), "spec.logs", "set exactly one of volume, remote"),
    Refused("log volume of nothing", cluster({"logs": {"volume": {}}}), "spec.logs.volume", "set exactly one of size, claimName"),
    Refused(
        "log volume twice",
        cluster({"logs": {"volume": {"size": "1Gi", "claimName": "x"}}}),
        "spec.logs.volume",
        "set exactly one of size, claimName",
    ),
    Refused(
        "class of a claim",
        cluster({"logs": {"volume": {"storageClassName": "a", "claimName": "x"}}}),
        "spec.logs.volume",
        "set only one of storageClassName, claimName",
    ),
    Refused("no size", cluster({"logs": {"volume": {"size": "big"}}}), "spec.logs.volume.size", "must be a size such as 10Gi"),
    Refused("size 0", cluster({"logs": {"volume": {"size": "0"}}}), "spec.logs.volume.size", "must be a size such as 10Gi"),
    Refused(
        "label of ours",
        cluster({"pods": {"labels": {"app.kubernetes.io/component": "x"}}}),
        "spec.pods.labels",
        "keys below airflow-operator.dev/ and app.kubernetes.io/ are set by the operator",
    ),
    Refused(
        "annotation of ours",
        cluster({"triggerer": {"annotations": {"airflow-operator.dev/checksum": "x"}}}),
        "spec.triggerer.annotations",
        "keys below airflow-operator.dev/",
    ),
    Refused(
        "mount twice",
        cluster({"pods": {"volumeMounts": [{"mountPath": "/a", "name": "x"}, {"mountPath": "/a", "name": "y"}]}}),
        "spec.pods.volumeMounts[1]",
        "mountPath /a stands twice",
        "uplicate",
    ),
    Refused(
        "template twice",
        cluster({"executors": ["KubernetesExecutor"], "taskPods": {"templates": [{"name": "a", "podTemplate": {}}] * 2}}),
        "spec.taskPods.templates[1]",
        "name a stands twice",
        "uplicate",
    ),
    Refused(
        "pods that no executor makes",
        cluster({"taskPods": {"nodeSelector": {"a": "b"}}}),
        "spec.taskPods",
        "task pods are those of KubernetesExecutor: add it to spec.executors, or leave taskPods out",
    ),
    Refused(
        "an account twice",
        cluster({"scheduler": {"serviceAccount": {"name": "mine", "annotations": {"a": "b"}}}}),
        "spec.scheduler.serviceAccount",
        "set only one of name, annotations",
    ),
    Refused(
        "permission",
        cluster({"taskPods": {"permissions": ["Everything"]}}),
        "spec.taskPods.permissions[0]",
        "must be 'Pods', 'Jobs', 'SparkApplications' or 'ArgoWorkflows'",
        'supported values: "Pods", "Jobs", "SparkApplications", "ArgoWorkflows"',
    ),
    Refused(
        "a Pod as an overlay",
        cluster({"taskPods": {"podTemplate": {"kind": "Pod"}}}),
        "spec.taskPods.podTemplate.kind",
        "there is no such field",
        "field not declared in schema",
    ),
    Refused(
        "name of an overlay",
        cluster({"triggerer": {"podTemplate": {"metadata": {"name": "x"}}}}),
        "spec.triggerer.podTemplate.metadata.name",
        "there is no such field",
        "field not declared in schema",
    ),
    Refused("digest", cluster({"image": {"digest": "sha256:1"}}), "spec.image.digest", "must be sha256: and 64 hexadecimal digits"),
    Refused("negative", cluster({"scheduler": {"replicas": -1}}), "spec.scheduler.replicas", "greater than or equal to 0"),
    Refused("unknown field", cluster({"worker": {}}), "spec.worker", "there is no such field", "field not declared in schema"),
]

_BASES = [
    Refused("base name", base(name="a.b"), "", "metadata.name must have at most 63 characters"),
    Refused(
        "PostgreSQL 14",
        base({"database": {"postgres": {"version": 14}}}),
        "spec.database.postgres.version",
        "must be 15, 16, 17 or 18",
        'supported values: "15", "16", "17", "18"',
    ),
    Refused(
        "case of a setting",
        base({"database": {"postgres": {"parameters": {"Max_connections": 10}}}}),
        "spec.database.postgres.parameters",
        "names of PostgreSQL settings are lower case",
    ),
    Refused(
        "setting of ours",
        base({"database": {"postgres": {"parameters": {"port": 10}}}}),
        "spec.database.postgres.parameters",
        "set by the operator: leave out config_file",
    ),
    Refused(
        "size of the data",
        base({"database": {"postgres": {"storage": {"size": "ten"}}}}),
        "spec.database.postgres.storage.size",
        "must be a size such as 10Gi",
    ),
    Refused(
        "two databases",
        base({"database": {"postgres": {}, "external": {"host": "db", "provisioning": "None"}}}),
        "spec.database",
        "set exactly one of postgres, external",
    ),
    Refused("no database", base({"database": {}}), "spec.database", "set exactly one of postgres, external"),
    Refused(
        "another engine",
        _external(engine="mysql"),
        "spec.database.external.engine",
        "must be 'postgresql'",
        'supported values: "postgresql"',
    ),
    Refused("a URL as host", _external(host="postgresql://db"), "spec.database.external.host", "must be a host name or an IPv4 address"),
    Refused(
        "no administrator",
        base({"database": {"external": {"host": "db"}}}),
        "spec.database.external.adminSecretRef",
        "set adminSecretRef with provisioning: Managed, and only then",
    ),
    Refused(
        "an administrator for nothing",
        _external(provisioning="None"),
        "spec.database.external.adminSecretRef",
        "set adminSecretRef with provisioning: Managed, and only then",
    ),
    Refused(
        "a database for nobody",
        base({"database": {"external": {"host": "db", "provisioning": "None", "adminDatabase": "postgres"}}}),
        "spec.database.external.adminDatabase",
        "adminDatabase is for provisioning: Managed",
    ),
    Refused(
        "checks without certificates",
        _external(tls={"mode": "verify-full"}),
        "spec.database.external.tls.ca",
        "set ca with verify-ca or verify-full, and only then",
    ),
    Refused(
        "certificates without checks",
        _external(tls={"ca": {"secretKeyRef": {"name": "a", "key": "b"}}}),
        "spec.database.external.tls.ca",
        "set ca with verify-ca or verify-full, and only then",
    ),
    Refused(
        "other namespaces",
        base({"allowedClusters": {"namespaces": {"from": "Others"}}}),
        "spec.allowedClusters.namespaces.from",
        "must be 'Same', 'All' or 'Selector'",
        'supported values: "Same", "All", "Selector"',
    ),
    Refused(
        "selector without its word",
        base({"allowedClusters": {"namespaces": {"from": "All", "selector": {}}}}),
        "spec.allowedClusters.namespaces.selector",
        "set selector with from: Selector, and only then",
    ),
    Refused(
        "word without its selector",
        base({"allowedClusters": {"namespaces": {"from": "Selector"}}}),
        "spec.allowedClusters.namespaces.selector",
        "set selector with from: Selector, and only then",
    ),
    Refused(
        "expression without values",
        base({"allowedClusters": {"namespaces": {"from": "Selector", "selector": {"matchExpressions": [{"key": "a", "operator": "In"}]}}}}),
        "spec.allowedClusters.namespaces.selector.matchExpressions[0]",
        "In and NotIn need values; Exists and DoesNotExist take none",
    ),
    Refused(
        "one namespace adopted twice",
        base({"allowedClusters": {"adopt": [{"namespace": "team", "uid": "1"}, {"namespace": "team", "uid": "2"}]}}),
        "spec.allowedClusters.adopt[1]",
        "namespace team stands twice",
        "duplicate entries for key",
    ),
]

_OWN = [
    Refused(
        "key of another Airflow",
        cluster({"keys": {"webserverSecret": {"name": "a"}}}),
        "spec.keys.webserverSecret",
        "webserverSecret belongs to Airflow 2: use apiSecret",
    ),
    Refused(
        "name of a database",
        cluster({"database": {"name": "a b", "credentialsSecretRef": {"name": "s"}}}),
        "spec.database.name",
        "must be letters, digits, and _ . - within",
    ),
]

REFUSED = [*_OWN, *_CLUSTERS, *_ACCESS, *_AUTH, *_LOGS, *_BASES, *_OWNED]


@dataclass(frozen=True)
class RefusedChange:
    """A resource that is fine, a change of it that is not, and why."""

    id: str
    before: dict[str, Any]
    after: dict[str, Any]
    field: str
    sentence: str


def _postgres(**fields: Any) -> dict[str, Any]:
    return base({"database": {"postgres": fields}}, "changing")


def _logs(**volume: Any) -> dict[str, Any]:
    return cluster({"logs": {"volume": volume}}, "changing")


_STORAGE = "spec.database.postgres.storage"
_CLASS = "the StorageClass of an existing volume cannot change"
_SHRINK = "a volume cannot shrink: keep or raise the size"

REFUSED_CHANGES = [
    RefusedChange(
        "base",
        cluster(name="changing"),
        cluster({"baseRef": {"name": "other"}}, "changing"),
        "spec.baseRef.name",
        "the base cannot change, since the database lives there: make another AirflowCluster",
    ),
    RefusedChange(
        "the base's namespace",
        cluster(name="changing"),
        cluster({"baseRef": {"name": "platform", "namespace": "elsewhere"}}, "changing"),
        "spec.baseRef",
        "the base cannot change, since the database lives there: make another AirflowCluster",
    ),
    RefusedChange(
        "PostgreSQL's version",
        _postgres(version=16),
        _postgres(version=17),
        "spec.database.postgres.version",
        "the major version cannot change in place: make another AirflowBase and move the data",
    ),
    RefusedChange(
        "kind of server",
        base(name="changing"),
        base({"database": {"external": {"host": "db", "provisioning": "None"}}}, "changing"),
        "spec.database",
        "the kind of server cannot change, since the data lives there: make another AirflowBase and move the data",
    ),
    RefusedChange("smaller data", _postgres(storage={"size": "2Gi"}), _postgres(storage={"size": "2047Mi"}), f"{_STORAGE}.size", _SHRINK),
    RefusedChange("back to the default size", _postgres(storage={"size": "20Gi"}), _postgres(), f"{_STORAGE}.size", _SHRINK),
    RefusedChange("class of the data", _postgres(storage={}), _postgres(storage={"storageClassName": "fast"}), _STORAGE, _CLASS),
    RefusedChange("smaller logs", _logs(size="2Gi"), _logs(size="1Gi"), "spec.logs.volume.size", _SHRINK),
    RefusedChange(
        "class of the logs",
        _logs(size="1Gi", storageClassName="slow"),
        _logs(size="1Gi", storageClassName="fast"),
        "spec.logs.volume",
        _CLASS,
    ),
]

_THERE = {"key": "team", "operator": "Exists"}

ALLOWED_CHANGES = [
    ("larger data", _postgres(storage={"size": "2Gi"}), _postgres(storage={"size": "2049Mi"})),
    ("other unit", _postgres(storage={"size": "2Gi"}), _postgres(storage={"size": "2048Mi"})),
    ("own claim for logs", _logs(size="2Gi"), _logs(claimName="shared")),
    ("logs off", _logs(size="2Gi"), cluster(name="changing")),
    (
        "namespaces by a label that is there",
        base(name="changing"),
        base({"allowedClusters": {"namespaces": {"from": "Selector", "selector": {"matchExpressions": [_THERE]}}}}, "changing"),
    ),
    ("deletion policy", base(name="changing"), base({"deletionPolicy": "Delete"}, "changing")),
    ("replicas", cluster(name="changing"), cluster({"scheduler": {"replicas": 0}}, "changing")),
]
