"""The provisioner behind StorageClass `standard`: a directory of the host for each claim, writable by any user.

Runs as a process of its own (`python -m devcluster.storage KUBECONFIG DIRECTORY NODE`). The controller-manager's own hostpath provisioner
makes directories that only root can write, and hostPath ignores fsGroup.
"""

import base64
import http.client
import json
import shutil
import ssl
import sys
import tempfile
import threading
import time
import urllib.parse
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from devcluster.certs import write_private

PROVISIONER = "devcluster/hostpath"
SELECTED_NODE = "volume.kubernetes.io/selected-node"
PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
CLAIMS, VOLUMES, CLASSES = "/api/v1/persistentvolumeclaims", "/api/v1/persistentvolumes", "/apis/storage.k8s.io/v1/storageclasses"
# A watch tells of a change at once; this is how long a lost watch can go unnoticed.
RESYNC = 20.0
TIMEOUT = 30.0
BACKOFF = 1.0

Object = dict[str, Any]


class Api:
    """The few requests that a provisioner makes, with the client certificate of a kubeconfig."""

    def __init__(self, kubeconfig: Path) -> None:
        """Read server, authority and client certificate from a self-contained kubeconfig."""
        config = yaml.safe_load(kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        url = urllib.parse.urlsplit(cluster["server"])
        self._host, self._port = url.hostname or "", url.port or 443
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        self._tls = ssl.create_default_context(cadata=authority)
        with tempfile.TemporaryDirectory() as directory:
            # ssl takes certificates from files only.
            cert = write_private(Path(directory, "cert"), base64.b64decode(user["client-certificate-data"]))
            key = write_private(Path(directory, "key"), base64.b64decode(user["client-key-data"]))
            self._tls.load_cert_chain(cert, key)

    def connect(self) -> http.client.HTTPSConnection:
        """A new connection to the API server."""
        return http.client.HTTPSConnection(self._host, self._port, timeout=TIMEOUT, context=self._tls)

    def request(self, method: str, path: str, body: Object | None = None) -> Object:
        """One request; raises OSError unless it is done, already done (409) or pointless (404)."""
        connection = self.connect()
        try:
            connection.request(method, path, json.dumps(body) if body else None, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        if answer.status >= 300 and answer.status not in (404, 409):
            raise OSError(f"{method} {path}: {answer.status} {content.decode(errors='replace')[:300]}")
        return dict(json.loads(content or b"{}"))

    def items(self, path: str) -> list[Object]:
        """All objects of a kind in all namespaces."""
        return list(self.request("GET", path).get("items", []))


def wanted(claim: Object, classes: set[str], node: str) -> bool:
    """Whether a claim waits for a volume from us on this node; the scheduler names the node once a pod uses the claim."""
    annotations = claim["metadata"].get("annotations", {})
    pending = claim.get("status", {}).get("phase") == "Pending" and not claim["spec"].get("volumeName")
    ours = claim["spec"].get("storageClassName") in classes and claim["spec"].get("volumeMode", "Filesystem") == "Filesystem"
    return bool(pending and ours and annotations.get(SELECTED_NODE) == node and "deletionTimestamp" not in claim["metadata"])


def volume(claim: Object, directory: Path, node: str) -> Object:
    """The PersistentVolume for a claim, bound to it beforehand and to the node that has the directory."""
    meta, spec = claim["metadata"], claim["spec"]
    on_node = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}]}
    claim_ref = {"apiVersion": "v1", "kind": "PersistentVolumeClaim"} | {key: meta[key] for key in ("namespace", "name", "uid")}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": directory.name, "annotations": {PROVISIONED_BY: PROVISIONER}},
        "spec": {
            "capacity": {"storage": spec["resources"]["requests"]["storage"]},
            "accessModes": spec["accessModes"],
            "volumeMode": "Filesystem",
            "persistentVolumeReclaimPolicy": "Delete",
            "storageClassName": spec["storageClassName"],
            "claimRef": claim_ref,
            "hostPath": {"path": str(directory), "type": "Directory"},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [on_node]}},
        },
    }


def released(pv: Object) -> bool:
    """Whether a volume of ours is no longer claimed and is to be deleted."""
    ours = pv["metadata"].get("annotations", {}).get(PROVISIONED_BY) == PROVISIONER
    delete = pv["spec"].get("persistentVolumeReclaimPolicy") == "Delete"
    return bool(ours and delete and pv.get("status", {}).get("phase") == "Released")


def make_directory(directory: Path) -> None:
    """Make a directory that any user of any pod can write."""
    directory.mkdir(parents=True, exist_ok=True)
    # Apart from mkdir, whose mode the umask would cut.
    directory.chmod(0o777)


def sync(api: Api, root: Path, node: str) -> None:
    """Make what is asked for and remove what is given back; safe to repeat."""
    classes = {each["metadata"]["name"] for each in api.items(CLASSES) if each["provisioner"] == PROVISIONER}
    for claim in api.items(CLAIMS):
        if wanted(claim, classes, node):
            directory = root / f"pvc-{claim['metadata']['uid']}"
            make_directory(directory)
            api.request("POST", VOLUMES, volume(claim, directory, node))
    for pv in api.items(VOLUMES):
        if released(pv):
            directory = Path(pv["spec"]["hostPath"]["path"])
            if directory.parent == root:
                shutil.rmtree(directory, ignore_errors=True)
            api.request("DELETE", f"{VOLUMES}/{pv['metadata']['name']}")


def watch(api: Api, path: str, changed: threading.Event) -> None:
    """Set `changed` at every change of a kind, for ever; the end of a watch counts as a change."""
    while True:
        with suppress(OSError, http.client.HTTPException):
            connection = api.connect()
            connection.request("GET", f"{path}?watch=1&timeoutSeconds={int(RESYNC)}")
            answer = connection.getresponse()
            while answer.readline():
                changed.set()
        time.sleep(BACKOFF)
        changed.set()


def main(kubeconfig: str, directory: str, node: str) -> None:
    """Provision until killed."""
    api, root, changed = Api(Path(kubeconfig)), Path(directory), threading.Event()
    for path in (CLAIMS, VOLUMES):
        threading.Thread(target=watch, args=(api, path, changed), daemon=True).start()
    while True:
        changed.clear()
        try:
            sync(api, root, node)
        except (OSError, http.client.HTTPException) as error:
            print(error, file=sys.stderr, flush=True)
            time.sleep(BACKOFF)
            continue
        changed.wait(RESYNC)


if __name__ == "__main__":
    main(*sys.argv[1:])
