"""What every sample renders to is accepted by a real API server, and a second apply of it writes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from airflow_operator.cli import main
from airflow_operator.domain.kinds import API_VERSION, CHILD_KINDS, kind_of
from airflow_operator.domain.manifest import Live, Manifest, dig, key_of
from airflow_operator.kube.protocol import Kube
from airflow_operator.reconcile.apply import Desired, apply
from tests.integration import children
from tests.integration.audit import Audit
from tests.integration.eventually import eventually
from tests.integration.players import PodPlayer

pytestmark = pytest.mark.integration

SAMPLES = sorted((Path(__file__).parents[2] / "manifests" / "samples").glob("*.yaml"))


def rendered(sample: Path, owner: Live, capsys: pytest.CaptureFixture[str]) -> tuple[Manifest, ...]:
    """All children of a sample's resources, moved to the namespace of `owner` and owned by it."""
    assert main(["render", str(sample)]) == 0
    manifests = [manifest for manifest in yaml.safe_load_all(capsys.readouterr().out) if manifest]
    for manifest in manifests:
        manifest["metadata"]["namespace"] = owner["metadata"]["namespace"]
        for reference in manifest["metadata"].get("ownerReferences", []):
            reference |= {
                "apiVersion": owner["apiVersion"],
                "kind": owner["kind"],
                "name": owner["metadata"]["name"],
                "uid": owner["metadata"]["uid"],
            }
    return tuple(manifest for manifest in manifests if manifest["apiVersion"] != API_VERSION and kind_of(manifest) in CHILD_KINDS)


def accounts_of(sample: Path) -> list[Manifest]:
    """The ServiceAccounts that a sample brings itself: its pods cannot be made without."""
    return [document for document in yaml.safe_load_all(sample.read_text()) if document["kind"] == "ServiceAccount"]


@pytest.mark.parametrize("sample", SAMPLES, ids=[path.stem for path in SAMPLES])
async def test_a_second_apply_writes_nothing(
    kube: Kube, namespace: str, audit: Audit, player: PodPlayer, sample: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    owner = await kube.create(children.owner_manifest(namespace))
    for account in accounts_of(sample):
        await kube.create({**account, "metadata": {**account["metadata"], "namespace": namespace}})
    manifests = rendered(sample, owner, capsys)
    first = await apply(kube, Desired(manifests), [], owner=owner)
    assert first.refused == ()
    assert set(first.changed) == {key_of(manifest) for manifest in manifests}

    async def played() -> list[Live] | None:
        found = [child for kind in CHILD_KINDS for child in await kube.list(kind, namespace) if key_of(child) in first.live]
        workloads = [child for child in found if child["kind"] in ("Deployment", "StatefulSet")]
        ready = all(dig(child, "status", "readyReplicas") == dig(child, "spec", "replicas") for child in workloads)
        return found if workloads and ready else None

    live = await eventually(played, within=60)
    audit.reset()
    second = await apply(kube, Desired(manifests), live, owner=owner)
    assert (second.changed, second.refused) == ((), ())
    assert audit.writes() == []
