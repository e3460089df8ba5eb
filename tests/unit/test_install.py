"""The install manifests: current, complete, and no more powerful than they must be."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from airflow_operator import installgen
from airflow_operator.api.pods import Permission
from airflow_operator.domain import permissions
from airflow_operator.domain.kinds import ALL_CHILD_KINDS, POD
from airflow_operator.generated import stale
from airflow_operator.settings import RELEASED_IMAGE, variable

ROOT = Path(__file__).parents[2]
INSTALL = ROOT / "manifests" / "install"
SOURCE = ROOT / "operator" / "airflow_operator"


MAY_EXEC = {permissions.LAUNCHER_ROLES["Pods"], permissions.LAUNCHER_ROLES["Jobs"]}
"""Tasks that were permitted to start pods fetch their results that way; the operator itself never does."""


def documents(folder: Path) -> Iterator[dict[str, Any]]:
    """Everything that a kustomization takes in, bases included."""
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
    for resource in kustomization["resources"]:
        path = folder / resource
        if path.is_dir():
            yield from documents(path)
        else:
            yield from yaml.safe_load_all(path.read_text())


def of_kind(folder: str, kind: str) -> list[dict[str, Any]]:
    return [document for document in documents(INSTALL / folder) if document["kind"] == kind]


SHIPPED = {*permissions.BOUND_ROLES, permissions.GRANTED_ROLE}
"""The ClusterRoles that somebody may bind, and no other."""


def operator_pod(folder: str) -> Any:
    (deployment,) = of_kind(folder, "Deployment")
    return deployment["spec"]["template"]["spec"]


def test_generated_files_are_current() -> None:
    assert stale(installgen.generated(), ROOT) == []


def test_stale_file_is_found_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert installgen.main(["--check", "--root", str(tmp_path)]) == 1
    assert "manifests/install/cluster-wide/rbac.yaml" in capsys.readouterr().err
    assert installgen.main(["--root", str(tmp_path)]) == 0
    assert installgen.main(["--check", "--root", str(tmp_path)]) == 0


def test_every_file_belongs_to_an_install() -> None:
    files = {path.relative_to(INSTALL).as_posix() for path in INSTALL.rglob("*.yaml")}
    used = {path.relative_to(INSTALL).as_posix() for path in INSTALL.rglob("kustomization.yaml")}
    for path in INSTALL.rglob("kustomization.yaml"):
        used |= {f"{path.parent.name}/{name}" for name in yaml.safe_load(path.read_text())["resources"] if name.endswith(".yaml")}
    assert files == used


INSTALLS = ("cluster-wide", "opt-in", "single-namespace")


def bound_everywhere(folder: str) -> list[dict[str, Any]]:
    """The rules that the operator holds in every namespace."""
    roles = {role["metadata"]["name"]: role["rules"] for role in of_kind(folder, "ClusterRole")}
    return [rule for binding in of_kind(folder, "ClusterRoleBinding") for rule in roles[binding["roleRef"]["name"]]]


def test_opting_in_means_that_nothing_but_our_resources_is_seen_elsewhere() -> None:
    rules = bound_everywhere("opt-in")
    seen = {resource for rule in rules for resource in rule["resources"] if {"get", "list", "watch"} & set(rule["verbs"])}
    assert seen == {"airflowbases", "airflowclusters", "namespaces"}
    (namespaces,) = [rule for rule in rules if "namespaces" in rule["resources"]]
    assert namespaces["verbs"] == ["get"]
    assert {verb for rule in rules for verb in rule["verbs"]} <= {"get", "list", "watch", "patch", "update", "create"}


def test_what_a_namespace_grants_is_the_rest_of_what_the_operator_does() -> None:
    (granted,) = [role for role in of_kind("opt-in", "ClusterRole") if role["metadata"]["name"] == permissions.GRANTED_ROLE]
    whole = [rule.manifest() for rule in permissions.OPERATOR]
    assert all(rule in bound_everywhere("opt-in") or rule in granted["rules"] for rule in whole)
    (grant,) = of_kind("grant", "RoleBinding")
    assert grant["roleRef"]["name"] == permissions.GRANTED_ROLE
    assert grant["subjects"] == [{"kind": "ServiceAccount", "name": "airflow-operator", "namespace": "airflow-operator"}]


def test_opt_in_is_switched_on() -> None:
    (patch,) = yaml.safe_load((INSTALL / "opt-in" / "kustomization.yaml").read_text())["patches"]
    (change,) = yaml.safe_load(patch["patch"])
    assert change["value"] == {"name": variable("opt_in"), "value": "true"}


@pytest.mark.parametrize("folder", INSTALLS)
class TestEveryInstall:
    def test_pod_is_restricted(self, folder: str) -> None:
        pod = operator_pod(folder)
        (container,) = pod["containers"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {mount["mountPath"] for mount in container["volumeMounts"]} == {"/tmp"}
        assert set(container["resources"]) == {"requests", "limits"}
        assert {"startupProbe", "livenessProbe", "readinessProbe"} <= set(container)

    def test_of_two_operators_one_works(self, folder: str) -> None:
        (deployment,) = of_kind(folder, "Deployment")
        assert deployment["spec"]["replicas"] == 2
        (container,) = operator_pod(folder)["containers"]
        env = {item["name"]: item.get("value") for item in container["env"]}
        assert env["AIRFLOW_OPERATOR_LEADER_ELECTION"] == "true"
        assert {"POD_NAME", "POD_NAMESPACE", "POD_IP"} <= set(env)
        (budget,) = of_kind(folder, "PodDisruptionBudget")
        # The kustomization adds the label to the pods.
        assert budget["spec"]["selector"]["matchLabels"] == {"app.kubernetes.io/name": "airflow-operator"}
        assert budget["spec"]["maxUnavailable"] == 1
        (role,) = [item for item in of_kind(folder, "Role") if item["metadata"]["name"] == "airflow-operator-leader"]
        assert {resource for rule in role["rules"] for resource in rule["resources"]} == {"leases"}

    def test_runs_the_released_image(self, folder: str) -> None:
        (container,) = operator_pod(folder)["containers"]
        assert container["image"] == RELEASED_IMAGE

    def test_ships_the_roles_that_the_operator_binds_and_holds_no_crd(self, folder: str) -> None:
        names = {role["metadata"]["name"] for role in of_kind(folder, "ClusterRole")}
        assert set(permissions.BOUND_ROLES) <= names
        assert of_kind(folder, "CustomResourceDefinition") == []

    def test_operator_escalates_nothing(self, folder: str) -> None:
        for role in [*of_kind(folder, "ClusterRole"), *of_kind(folder, "Role")]:
            for rule in role["rules"]:
                assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
                assert not {"escalate", "impersonate"} & set(rule["verbs"])
                assert ("bind" not in rule["verbs"]) or set(rule["resourceNames"]) <= SHIPPED
                assert "pods/exec" not in rule["resources"] or role["metadata"]["name"] in MAY_EXEC
                assert not {"nodes", "persistentvolumes", "clusterrolebindings", "roles"} & set(rule["resources"])


def test_single_namespace_has_no_right_outside_it() -> None:
    assert of_kind("single-namespace", "ClusterRoleBinding") == []
    assert of_kind("single-namespace", "Namespace") == []


def test_namespace_of_the_operator_enforces_restricted() -> None:
    for folder in ("cluster-wide", "opt-in"):
        (namespace,) = of_kind(folder, "Namespace")
        assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_operator_may_do_what_it_does_with_every_child() -> None:
    for kind in ALL_CHILD_KINDS:
        (rule,) = [rule for rule in permissions.OPERATOR if kind.plural in rule.resources and rule.group == permissions.group_of(kind)]
        assert set(rule.verbs) == {"get", "list", "watch", "create", "patch", "delete"}
    (rule,) = [rule for rule in permissions.OPERATOR if POD.plural in rule.resources]
    assert set(rule.verbs) == {"get", "list", "watch"}


def test_roles_that_are_bound_have_their_names_from_the_table_of_rights() -> None:
    for path in (SOURCE / "reconcile").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert not node.value.startswith("airflow-operator-"), path


def test_every_permission_has_a_role_with_rights() -> None:
    assert set(permissions.LAUNCHERS) == set(permissions.LAUNCHER_ROLES) == set(get_args(Permission))
    assert all(rules for rules in permissions.LAUNCHERS.values())
