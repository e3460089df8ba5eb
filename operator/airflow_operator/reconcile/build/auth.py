"""How users log in: what airflow.cfg says of it, and the files that the API server reads for it."""

from __future__ import annotations

import json
from typing import Any

from airflow_operator.airflow.config import Config
from airflow_operator.airflow.facts import AIRFLOW_HOME
from airflow_operator.api.auth import Auth, FabAuth, Oidc, SimpleAuth, SimpleUser
from airflow_operator.domain import names
from airflow_operator.domain.manifest import Manifest
from airflow_operator.jobs.sources import airflow_file
from airflow_operator.reconcile import keys as key_members
from airflow_operator.reconcile.build import files, meta, pods
from airflow_operator.reconcile.keys import Keys
from airflow_operator.reconcile.validate import ValidatedCluster

WEBSERVER_DIR = f"{AIRFLOW_HOME}/webserver"
WEBSERVER_CONFIG = "webserver_config.py"
CLIENT_DIR = f"{AIRFLOW_HOME}/oidc-client"
PASSWORDS_DIR = f"{AIRFLOW_HOME}/simple-auth"
PASSWORDS_SOURCE = "/run/secrets/simple-auth"
PASSWORDS_FILE = "passwords.json"
SIMPLE = "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager"


def settings(cluster: ValidatedCluster) -> Config:
    """Options of airflow.cfg that follow from spec.auth."""
    auth = cluster.spec.auth
    if auth.manager:
        return {"core": {"auth_manager": auth.manager.class_name}}
    if auth.simple:
        users = ",".join(f"{user.name}:{user.role}" for user in simple_users(auth.simple))
        options = {
            "auth_manager": SIMPLE,
            "simple_auth_manager_users": users,
            "simple_auth_manager_all_admins": str(bool(auth.simple.all_admins)),
            "simple_auth_manager_passwords_file": f"{PASSWORDS_DIR}/{PASSWORDS_FILE}",
        }
        return {"core": options}
    made: Config = {"core": {"auth_manager": cluster.release.auth_manager_fab}}
    if _pages(auth):
        section, option = cluster.release.webserver_config
        made[section] = {option: f"{WEBSERVER_DIR}/{WEBSERVER_CONFIG}"}
    return made


def objects(cluster: ValidatedCluster, keys: Keys) -> list[Manifest]:
    """What the API server's files come from, as far as the operator makes it."""
    made = []
    if cluster.spec.auth.fab and cluster.spec.auth.fab.oidc:
        made.append(_oidc_config(cluster, cluster.spec.auth.fab.oidc))
    if cluster.spec.auth.simple and not cluster.spec.auth.simple.all_admins:
        made.append(_passwords(cluster, cluster.spec.auth.simple, keys))
    return made


def volumes(cluster: ValidatedCluster) -> list[dict[str, Any]]:
    """Volumes of the API server."""
    auth, made = cluster.spec.auth, []
    if auth.fab and auth.fab.webserver_config_ref:
        made.append(files.volume("webserver", auth.fab.webserver_config_ref, WEBSERVER_CONFIG))
    if auth.fab and auth.fab.oidc:
        made.append(pods.config_map_volume("webserver", meta.name_of(_oidc_config(cluster, auth.fab.oidc))))
        items = [{"key": key, "path": key} for key in ("client-id", "client-secret")]
        secret = {"secretName": auth.fab.oidc.client_secret_ref.name, "items": items, "defaultMode": 0o440}
        made.append({"name": "oidc-client", "secret": secret})
    if auth.simple:
        made.append({"name": "simple-auth", "emptyDir": {}})
        if not auth.simple.all_admins:
            items = [{"key": PASSWORDS_FILE, "path": PASSWORDS_FILE}]
            made.append({"name": "passwords", "secret": {"secretName": names.users(cluster.name), "items": items, "defaultMode": 0o440}})
    return made


def mounts(cluster: ValidatedCluster) -> list[dict[str, Any]]:
    """Mounts of the API server's container."""
    auth, made = cluster.spec.auth, []
    if _pages(auth):
        made.append({"name": "webserver", "mountPath": WEBSERVER_DIR, "readOnly": True})
    if auth.fab and auth.fab.oidc:
        made.append({"name": "oidc-client", "mountPath": CLIENT_DIR, "readOnly": True})
    if auth.simple:
        made.append({"name": "simple-auth", "mountPath": PASSWORDS_DIR})
    return made


def init_containers(cluster: ValidatedCluster) -> list[dict[str, Any]]:
    """Airflow opens its passwords for writing, which a mounted Secret does not allow (apache/airflow#54069): so they are copied."""
    if not cluster.spec.auth.simple or cluster.spec.auth.simple.all_admins:
        return []
    container = {
        "name": "passwords",
        "image": cluster.image,
        "imagePullPolicy": cluster.spec.image.pull_policy,
        "args": ["bash", "-c", f"install -m 0600 {PASSWORDS_SOURCE}/{PASSWORDS_FILE} {PASSWORDS_DIR}/{PASSWORDS_FILE}"],
        "resources": pods.resources("copy"),
        "securityContext": pods.container_security(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [
            {"name": "passwords", "mountPath": PASSWORDS_SOURCE, "readOnly": True},
            {"name": "simple-auth", "mountPath": PASSWORDS_DIR},
        ],
    }
    return [container]


def simple_users(simple: SimpleAuth) -> tuple[SimpleUser, ...]:
    """The users of the simple auth manager: an administrator where none is named."""
    return simple.users or (SimpleUser(name="admin", role="admin"),)


def _pages(auth: Auth) -> bool:
    fab = auth.fab or FabAuth()
    return bool(fab.oidc or fab.webserver_config_ref)


def _oidc_config(cluster: ValidatedCluster, oidc: Oidc) -> Manifest:
    shown = {
        "name": oidc.name,
        "issuerURL": oidc.issuer_url,
        "clientDirectory": CLIENT_DIR,
        "scopes": list(oidc.scopes),
        "usernameClaim": oidc.username_claim,
        "rolesClaim": oidc.roles_claim,
        "roleMapping": dict(oidc.role_mapping),
        "defaultRole": oidc.default_role,
    }
    data = {WEBSERVER_CONFIG: airflow_file(WEBSERVER_CONFIG), "oidc.json": json.dumps(shown, indent=2, sort_keys=True)}
    return meta.config_map(cluster, "webserver", data)


def _passwords(cluster: ValidatedCluster, simple: SimpleAuth, keys: Keys) -> Manifest:
    """Passwords that follow from the cluster's keys and so stay the same: each under its user's name, and all as Airflow reads them."""
    passwords = {user.name: keys.checksum(["simple-auth", user.name], 24) for user in simple_users(simple)}
    data = {**passwords, PASSWORDS_FILE: json.dumps(passwords, sort_keys=True)}
    return meta.child(cluster, "v1", "Secret", "users", type="Opaque", data=key_members.encode(data))
