"""A policy of the cluster's administrator that refuses what the test says."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Self

from tests.integration.scenario import Stage

TRIAL = "on-trial"


class Policy:
    """A ValidatingAdmissionPolicy for the test's namespace, in force within the block or until it is lifted."""

    def __init__(self, stage: Stage, group: str, resource: str, rule: str, message: str, reason: str = "Invalid") -> None:
        """`reason`: Invalid is answered as 422, Forbidden as 403."""
        self._stage = stage
        name = f"policy.{stage.namespace}"
        rules = [
            {"apiGroups": [group], "apiVersions": ["*"], "resources": [resource], "operations": ["CREATE", "UPDATE"]},
            {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"], "operations": ["CREATE"]},
        ]
        validation = {"expression": f"object.metadata.name != '{TRIAL}' && ({rule})", "message": message, "reason": reason}
        here = {"matchLabels": {"kubernetes.io/metadata.name": stage.namespace}}
        bound = {"policyName": name, "validationActions": ["Deny"], "matchResources": {"namespaceSelector": here}}
        spec = {"failurePolicy": "Fail", "matchConstraints": {"resourceRules": rules}, "validations": [validation]}
        self._objects = [
            {"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": name}, "spec": content}
            for kind, content in (("ValidatingAdmissionPolicy", spec), ("ValidatingAdmissionPolicyBinding", bound))
        ]

    async def __aenter__(self) -> Self:
        await self._kubectl("create", *self._objects)
        trial = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": TRIAL, "namespace": self._stage.namespace}}

        async def in_force() -> bool:
            return await self._kubectl("create", trial, "--dry-run=server", check=False) != 0

        await self._stage.until(in_force)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.lift()

    async def lift(self) -> None:
        """Take it away."""
        await self._kubectl("delete", *self._objects, "--ignore-not-found", "--wait=false")

    async def _kubectl(self, verb: str, *what: Any, check: bool = True) -> int:
        objects = json.dumps({"apiVersion": "v1", "kind": "List", "items": [item for item in what if not isinstance(item, str)]})
        flags = [item for item in what if isinstance(item, str)]
        done = await asyncio.to_thread(self._stage.control_plane.kubectl, verb, "-f", "-", *flags, input=objects, check=check)
        return int(done.returncode)
