"""Which claims are served, what the volumes look like, and which are taken back."""

import os
import stat

import pytest

from devcluster.storage import PROVISIONED_BY, PROVISIONER, SELECTED_NODE, make_directory, released, volume, wanted


def claim(**changes):
    annotations = changes.pop("annotations", {SELECTED_NODE: "here"})
    metadata = {"namespace": "a", "name": "data", "uid": "u-1", "annotations": annotations} | changes.pop("metadata", {})
    spec = {"storageClassName": "standard", "accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}}
    return {"metadata": metadata, "spec": spec | changes.pop("spec", {}), "status": {"phase": changes.pop("phase", "Pending")}}


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (claim(), True),
        (claim(annotations={}), False),
        (claim(annotations={SELECTED_NODE: "elsewhere"}), False),
        (claim(phase="Bound"), False),
        (claim(spec={"volumeName": "chosen-by-hand"}), False),
        (claim(spec={"storageClassName": "fast"}), False),
        (claim(spec={"volumeMode": "Block"}), False),
        (claim(metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"}), False),
    ],
    ids=["waiting", "no pod yet", "other node", "bound", "named volume", "other class", "block", "being deleted"],
)
def test_only_claims_that_a_pod_of_this_node_waits_for_are_served(asked, expected):
    assert wanted(asked, {"standard"}, "here") is expected


def test_a_volume_is_reserved_for_its_claim_and_for_the_node_with_the_directory(tmp_path):
    made = volume(claim(), tmp_path / "pvc-u-1", "here")
    assert made["metadata"]["name"] == "pvc-u-1"
    assert made["spec"]["claimRef"]["uid"] == "u-1"
    assert made["spec"]["accessModes"] == ["ReadWriteMany"]
    assert made["spec"]["hostPath"] == {"path": str(tmp_path / "pvc-u-1"), "type": "Directory"}
    terms = made["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"]
    assert terms == [{"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["here"]}]}]


@pytest.mark.parametrize(
    ("by", "policy", "phase", "expected"),
    [
        (PROVISIONER, "Delete", "Released", True),
        (PROVISIONER, "Delete", "Bound", False),
        (PROVISIONER, "Retain", "Released", False),
        ("somebody/else", "Delete", "Released", False),
    ],
)
def test_only_our_own_released_volumes_are_removed(by, policy, phase, expected):
    pv = {"metadata": {"annotations": {PROVISIONED_BY: by}}, "spec": {"persistentVolumeReclaimPolicy": policy}, "status": {"phase": phase}}
    assert released(pv) is expected


def test_any_user_can_write_a_volume_whatever_the_umask(tmp_path):
    before = os.umask(0o077)
    try:
        make_directory(tmp_path / "volume")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "volume").stat().st_mode) == 0o777
