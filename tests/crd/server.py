"""kubectl against an API server that knows the CRDs."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from kubernetes.client import ApiException, CustomObjectsApi
from kubernetes.config import new_client_from_config

from airflow_operator.domain.kinds import GROUP, VERSION, kind_of
from devcluster.control_plane import ControlPlane

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Server:
    """An API server on which the CRDs are established."""

    control_plane: ControlPlane

    def kubectl(self, *arguments: str, document: Any = None, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run kubectl; `document` goes to its stdin as JSON."""
        return self.control_plane.kubectl(*arguments, input=None if document is None else json.dumps(document), check=check)

    def apply(self, document: Any, *flags: str) -> subprocess.CompletedProcess[str]:
        """Server-side apply with strict validation; the result tells whether it was refused."""
        return self.kubectl("apply", "--server-side", "--validate=strict", *flags, "-f", "-", document=document, check=False)

    def get(self, *arguments: str) -> Any:
        """An object as JSON."""
        return json.loads(self.kubectl("get", *arguments, "-o", "json").stdout)

    def complaint(self, document: Any) -> str:
        """What is said against a resource of ours; empty when it is taken. In namespace default whatever it says, and nothing is kept."""
        body = {**document, "metadata": {**document["metadata"], "namespace": "default"}}
        try:
            self._resources.create_namespaced_custom_object(
                GROUP, VERSION, "default", kind_of(body).plural, body, dry_run="All", field_validation="Strict"
            )
        except ApiException as refused:
            return str(json.loads(refused.body)["message"])
        return ""

    @cached_property
    def _resources(self) -> CustomObjectsApi:
        return CustomObjectsApi(new_client_from_config(str(self.control_plane.kubeconfig)))
