"""`python -m tests.e2e.prepare`: a cluster with every image and the operator of this checkout; quick when all is there."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from devcluster import DevclusterError, Provider, packages, provider
from devcluster.images import IMAGES, build, engine
from devcluster.progress import progress, say
from tests.e2e.kubectl import Kubectl, KubectlError

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / ".build"
NEEDED = ("airflow-3.3.2", "airflow-2.11.2", "postgres", "git-sync", "git-server", "servers", "operator")
KINDS = ("airflowbases", "airflowclusters")
OPERATOR_NAMESPACE = "airflow-operator"
OPERATOR = "airflow-operator"
LOADED = "devcluster-images"
"""ConfigMap in kube-system: which archive of each image the nodes have. It goes with the cluster, as the images do."""


def prepare() -> Kubectl:
    """Bring everything up that a test needs and return kubectl for it; DevclusterError with a sentence when it cannot be."""
    cluster = provider()
    cluster.up()
    kubectl = Kubectl(cluster.kubectl, cluster.kubeconfig)
    archives = load_images(cluster, kubectl, NEEDED)
    _install(kubectl, archives["operator"])
    return kubectl


def chromium() -> Path:
    """Debian's Chromium, installed when it is missing and we are root."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return Path(found)
    packages.install(["chromium"], "The browser test")
    return chromium()


def load_images(cluster: Provider, kubectl: Kubectl, needed: Sequence[str]) -> dict[str, str]:
    """Build and load what the nodes lack; return the archive's name of each image, which carries the hash of its sources."""
    if cluster.name == "kubeconfig":
        say("Images: a cluster of somebody else pulls them from its registry.")
        return dict.fromkeys(needed, "")
    system = kubectl.within("kube-system")
    loaded = (system.get("configmap", LOADED) or {}).get("data") or {}
    archives = engine.archives(needed) if cluster.name == "kind" else build(needed)
    for name, archive in archives.items():
        if loaded.get(name) != archive.name:
            cluster.load_image(archive, [IMAGES[name].tag])
    names = {name: archive.name for name, archive in archives.items()}
    if names.items() - loaded.items():
        system.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": LOADED}, "data": {**loaded, **names}})
    return names


def _install(kubectl: Kubectl, archive: str) -> None:
    """Apply CRDs and the install for all namespaces; a new image under the same name restarts the operator."""
    kubectl("apply", "--server-side", "--force-conflicts", f"--kustomize={ROOT / 'crds'}")
    kubectl("wait", "--for=condition=Established", "--timeout=30s", *(f"crd/{name}.airflow-operator.dev" for name in KINDS))
    overlay = BUILD / "install"
    overlay.mkdir(parents=True, exist_ok=True)
    (overlay / "kustomization.yaml").write_text(yaml.safe_dump(_overlay(overlay, archive), sort_keys=False))
    kubectl("apply", "--server-side", "--force-conflicts", f"--kustomize={overlay}")
    operator = kubectl.within(OPERATOR_NAMESPACE)
    with progress("waiting for the operator"):
        try:
            operator("rollout", "status", f"deployment/{OPERATOR}", "--timeout=180s", timeout=200)
        except KubectlError as error:
            words = operator("logs", f"deployment/{OPERATOR}", "--tail=20")
            raise DevclusterError(f"The operator does not start: {error}\n{words}") from error


def _overlay(directory: Path, archive: str) -> dict[str, Any]:
    """The shipped install, with the archive of the image as an annotation of the pods."""
    annotations = {"airflow-operator.dev/image-archive": archive}
    patch = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": OPERATOR, "namespace": OPERATOR_NAMESPACE},
        "spec": {"template": {"metadata": {"annotations": annotations}}},
    }
    return {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [os.path.relpath(ROOT / "manifests" / "install" / "cluster-wide", directory)],
        "patches": [{"patch": yaml.safe_dump(patch)}],
    }


def main() -> int:
    """Exit code 2 and one sentence for what a person can put right."""
    try:
        kubectl = prepare()
    except (DevclusterError, KubectlError) as error:
        print(error, file=sys.stderr)
        return 2
    say(f"Ready. Try: export KUBECONFIG={kubectl.kubeconfig} PATH={kubectl.binary.parent}:$PATH")
    return 0


if __name__ == "__main__":
    sys.exit(main())
