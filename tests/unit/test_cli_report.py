"""`report --security`: what an approver has to know stands there, and nothing secret."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from airflow_operator.cli import main
from airflow_operator.reconcile.offline import STAND_IN, render
from airflow_operator.reconcile.security_report import KUBERNETES, PodFacts, hosts, pods_of
from tests.unit import factory
from tests.unit.strategies import resource

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "manifests" / "samples"


def facts(end: str, **spec) -> PodFacts:
    """Of the one pod of a cluster whose title ends so."""
    made = render([resource("AirflowCluster", factory.NAME, "team", factory.spec(**spec))])
    (found,) = [pod for pod in pods_of(made) if pod.title.endswith(end)]
    return found


def test_it_is_printed_pod_by_pod_without_a_cluster(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "--security", str(SAMPLES / "private-git.yaml")]) == 0
    printed = capsys.readouterr().out
    assert "git: username as a variable, password as a file" in printed
    assert "https://git.example.com" in printed
    assert not [value for value in STAND_IN.data.values() if value in printed], "values stay out, stand-ins too"


def test_what_cannot_be_read_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "--security", str(tmp_path / "absent.yaml")]) == 1
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("apiVersion: airflow-operator.dev/v1alpha1\nkind: AirflowCluster\nmetadata: {name: c}\nspec: {version: 3.3.2}\n")
    assert main(["report", "--security", str(wrong)]) == 1
    assert "baseRef" in capsys.readouterr().err


def test_a_pod_that_is_not_restricted_says_why() -> None:
    host = {"volumes": [{"name": "node", "hostPath": {"path": "/"}}]}
    found = facts("-scheduler", scheduler=host, apiServer={"securityContext": {"runAsNonRoot": False}})
    assert (found.level, found.faults) == ("privileged", ("volume node: hostPath",))
    other = facts("-api-server", apiServer={"securityContext": {"runAsNonRoot": False}})
    assert (other.level, other.faults) == ("baseline", ("api-server: runAsNonRoot is not true",))


def test_rights_are_those_of_the_roles_that_the_account_is_bound_to() -> None:
    found = facts("-scheduler", executors=["KubernetesExecutor"])
    assert "pods: create, delete, get, list, patch, watch" in found.rights
    assert found.token
    assert KUBERNETES in found.reaches
    assert facts("-triggerer", executors=["KubernetesExecutor"]).rights == ()


def test_of_an_account_that_others_made_it_says_that_it_does_not_know() -> None:
    assert facts("-scheduler", serviceAccount={"name": "powerful"}).brought
    assert not facts("-scheduler").brought


def test_a_token_that_a_volume_brings_is_one() -> None:
    token = {"name": "t", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}
    assert facts("-dag-processor", dagProcessor={"volumes": [token]}).token
    assert not facts("-dag-processor").token


SECRET_VOLUMES = [
    {"name": "a", "secret": {"secretName": "hidden"}},
    {"name": "a", "projected": {"sources": [{"secret": {"name": "hidden"}}]}},
    {"name": "a", "csi": {"driver": "d", "nodePublishSecretRef": {"name": "hidden"}}},
    {"name": "a", "azureFile": {"secretName": "hidden", "shareName": "s"}},
    {"name": "a", "cephfs": {"monitors": ["m"], "secretRef": {"name": "hidden"}}},
]


@pytest.mark.parametrize("volume", SECRET_VOLUMES, ids=lambda item: sorted(item)[0])
def test_every_way_in_which_a_volume_names_a_secret_is_seen(volume) -> None:
    assert facts("-scheduler", scheduler={"volumes": [volume]}).secrets["hidden"] == ("as files",)


@pytest.mark.parametrize("sample", sorted(SAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_no_secret_of_a_sample_is_left_out(sample: Path) -> None:
    documents = list(yaml.safe_load_all(sample.read_text()))
    told = {name for pod in pods_of(render(documents)) for name in pod.secrets}
    assert named(documents) - told == COPIED.get(sample.stem, set())


COPIED = {"git-bundle": {"git"}}
"""What no pod has itself: the operator makes a connection of it, in a Secret of the deployment."""


def named(part) -> set[str]:
    """What any field whose name speaks of a Secret names, but for the Ingress's certificate, which no pod has."""
    if isinstance(part, list):
        return set().union(*map(named, part))
    if not isinstance(part, dict) or part.get("kind") == "Secret":
        return set()
    found = {
        value.get("secretName") or value.get("name") for key, value in part.items() if "secret" in key.lower() and isinstance(value, dict)
    }
    # Behind a Secret of a list there are several.
    found |= {item["name"] for item in part.get("pullSecrets", [])}
    return (found - {None}).union(*(named(value) for value in part.values()))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("https://user:word@git.example/team/dags.git", ["https://git.example"]),
        ("git@git.example:team/dags.git", ["ssh://git.example"]),
        ("postgresql+psycopg2://u:p%40@db.example:5432/x", ["postgresql://db.example:5432"]),
        ('{"repo_url":"https://git.example/x","a":"s3://bucket/y"}', ["https://git.example", "s3://bucket"]),
        ("postgresql:///?sslmode=require", []),
        ("nothing of the kind: a@b", []),
    ],
)
def test_addresses_are_hosts_without_what_is_secret(text: str, found: list[str]) -> None:
    assert list(hosts(text)) == found
