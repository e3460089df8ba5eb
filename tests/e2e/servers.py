"""An OpenID Connect provider, an S3-compatible store and GitHub's tokens in a deployment's own namespace."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from devcluster.images import IMAGES
from tests.e2e.kubectl import Kubectl, Object

PORT = 8080
OIDC = "oidc"
INSECURE = {"name": "AUTHLIB_INSECURE_TRANSPORT", "value": "1"}
"""Lets Authlib, which both sides are made of, speak without TLS."""
STORE = "store"
GITHUB = "github"


def run_oidc(kubectl: Kubectl, users: Mapping[str, Mapping[str, Any]]) -> None:
    """Start the provider; `users` are claims by subject. Its issuer is http://oidc:8080, for pods and for a browser that is told where."""
    variables = [{"name": "USERS", "value": json.dumps(users)}, INSECURE]
    _run(kubectl, OIDC, ["python", "/opt/servers/oidc.py"], variables, "/.well-known/openid-configuration")


def run_store(kubectl: Kubectl) -> None:
    """Start the store, empty, at http://store:8080."""
    _run(kubectl, STORE, ["moto_server", "-H", "0.0.0.0", "-p", str(PORT)], [], "/moto-api/")


def run_github(kubectl: Kubectl, *, app: int, installation: int, public_key: str, token: str) -> None:
    """Start what gives the App's installation this token, at http://github:8080."""
    told = {"APP": str(app), "INSTALLATION": str(installation), "PUBLIC_KEY": public_key, "TOKEN": token}
    variables = [{"name": name, "value": value} for name, value in told.items()]
    _run(kubectl, GITHUB, ["python", "/opt/servers/github.py"], variables, "/healthz")


def _run(kubectl: Kubectl, name: str, arguments: list[str], variables: list[Object], path: str) -> None:
    kubectl.apply(*_manifests(name, arguments, variables, path))
    kubectl("rollout", "status", f"deployment/{name}", "--timeout=120s", timeout=130)


def _manifests(name: str, arguments: list[str], variables: list[Object], path: str) -> list[Object]:
    container = {
        "name": name,
        "image": IMAGES["servers"].tag,
        "args": arguments,
        "env": variables,
        "ports": [{"containerPort": PORT}],
        "readinessProbe": {"httpGet": {"path": path, "port": PORT}, "periodSeconds": 1, "timeoutSeconds": 5},
        "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    pod = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
    }
    labels = {"app": name}
    deployment = {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}}
    return [
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": deployment},
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"selector": labels, "ports": [{"port": PORT}]}},
    ]
