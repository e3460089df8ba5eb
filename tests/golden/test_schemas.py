"""Kubernetes takes everything that the samples render to."""

from __future__ import annotations

import pytest

from tests.golden.rendering import NAMES, pod_templates, rendered
from tests.golden.schemas import NEWEST, OLDEST, faults


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@pytest.mark.parametrize("name", NAMES)
def test_kubernetes_takes_every_manifest(name, version):
    manifests = rendered(name)
    tasks = [pod for title, pod in pod_templates(manifests).items() if title == "task"]
    assert [fault for manifest in [*manifests, *tasks] for fault in faults(manifest, version)] == []


def test_a_wrong_field_is_found():
    manifests = rendered("quickstart")
    service = next(manifest for manifest in manifests if manifest["kind"] == "Service")
    service["spec"]["selectr"] = {}
    assert "selectr" in " ".join(faults(service, NEWEST))
