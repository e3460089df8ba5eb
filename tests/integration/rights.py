"""The operator of the scenarios acts as the account of a shipped install, and with its rights alone.

The objects are those of `manifests/install`, under names of their own: tests of the installs themselves come and go beside them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from devcluster.control_plane import ControlPlane

INSTALLS = Path(__file__).parents[2] / "manifests" / "install"
INSTALL = os.environ.get("INSTALL", "cluster-wide")
"""The install whose rights the operator has: `cluster-wide`, `opt-in` or `single-namespace`."""
OPT_IN, SINGLE = INSTALL == "opt-in", INSTALL == "single-namespace"

ACCOUNT = "airflow-operator"
HOME = "suite"
"""The namespace of the account, and what the names of its roles begin with."""
_RIGHTS = ("ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding")


@dataclass
class Account:
    """Whom the operator of one namespace is."""

    control_plane: ControlPlane
    user: str
    kubeconfig: Path

    @contextmanager
    def refused_nothing(self) -> Iterator[None]:
        """Fails after the block where something was asked for in it that the account has no right to."""
        since = len(self.control_plane.audit())
        yield
        refused = {
            f"{entry['verb']} {entry['requestURI']}"
            for entry in self.control_plane.audit(since)
            if entry["user"].get("username") == self.user and entry.get("annotations", {}).get("authorization.k8s.io/decision") == "forbid"
        }
        assert not refused, f"without the right to it {self.user} asked for {sorted(refused)}"


class Rights:
    """The rights of one install in one control plane."""

    def __init__(self, control_plane: ControlPlane, folder: Path) -> None:
        """Kubeconfigs are written to `folder`. Nothing is granted yet."""
        self._control_plane = control_plane
        self._folder = folder
        self._accounts: dict[str, Account] = {}

    def account(self, namespace: str) -> Account:
        """The operator's account for a namespace, which is granted what the install grants."""
        home = namespace if SINGLE else HOME
        if home not in self._accounts:
            if not SINGLE:
                self._control_plane.kubectl("create", "namespace", home)
            self._apply(INSTALLS / INSTALL, home, home)
            user = f"system:serviceaccount:{home}:{ACCOUNT}"
            kubeconfig = kubeconfig_of(self._control_plane, f"{home}:{ACCOUNT}", self._folder)
            self._accounts[home] = Account(self._control_plane, user, kubeconfig)
        if OPT_IN:
            self._apply(INSTALLS / "grant", namespace, home)
        return self._accounts[home]

    def _apply(self, install: Path, namespace: str, home: str) -> None:
        documents = list(yaml.safe_load_all(self._control_plane.kubectl("kustomize", str(install)).stdout))
        found = [_moved(document, namespace, home) for document in documents if document["kind"] in _RIGHTS]
        self._control_plane.kubectl("apply", "--server-side", "-f", "-", input=yaml.safe_dump_all(found))


def kubeconfig_of(control_plane: ControlPlane, account: str, folder: Path) -> Path:
    """A kubeconfig with the rights of a service account, NAMESPACE:NAME, and no other."""
    namespace, _, name = account.partition(":")
    token = control_plane.kubectl("-n", namespace, "create", "token", name, "--duration=12h").stdout.strip()
    config: dict[str, Any] = yaml.safe_load(control_plane.kubeconfig.read_text())
    config["users"] = [{"name": user["name"], "user": {"token": token}} for user in config["users"]]
    path = folder / f"{namespace}.kubeconfig"
    path.write_text(yaml.safe_dump(config))
    return path


def _moved(document: dict[str, Any], namespace: str, home: str) -> dict[str, Any]:
    """The object in another namespace, for the account of another, or with another name where it is in none."""
    meta = document["metadata"]
    moved = {**document, "metadata": {**meta, "namespace": namespace}}
    if document["kind"].startswith("Cluster"):
        moved["metadata"] = {**{key: value for key, value in meta.items() if key != "namespace"}, "name": f"{HOME}-{meta['name']}"}
    role = document.get("roleRef", {})
    if role.get("kind") == "ClusterRole":
        moved["roleRef"] = {**role, "name": f"{HOME}-{role['name']}"}
    if "subjects" in document:
        moved["subjects"] = [{**subject, "namespace": home} for subject in document["subjects"]]
    return moved
