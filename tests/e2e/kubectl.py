"""kubectl as the tests use it: the tool that users have, so that what they would see is what is tested."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

Object = dict[str, Any]

TIMEOUT = 120.0
"""Seconds after which a kubectl call is given up; waiting is done elsewhere."""


class KubectlError(Exception):
    """kubectl ended with an error: its own words."""


@dataclass(frozen=True)
class Kubectl:
    """kubectl for one kubeconfig, and for one namespace where `namespace` is set."""

    binary: Path
    kubeconfig: Path
    namespace: str = ""

    def within(self, namespace: str) -> Kubectl:
        """The same for one namespace."""
        return replace(self, namespace=namespace)

    def command(self, *arguments: str) -> list[str]:
        """The whole command line."""
        scope = ["--namespace", self.namespace] if self.namespace else []
        return [str(self.binary), f"--kubeconfig={self.kubeconfig}", *scope, *arguments]

    def __call__(self, *arguments: str, stdin: str | None = None, timeout: float = TIMEOUT) -> str:
        """Run it and return what it printed; KubectlError when it fails."""
        # Nothing of the caller's own kubectl settings, cache apart.
        environment = {key: value for key, value in os.environ.items() if key not in {"KUBECONFIG", "KUBECTL_EXTERNAL_DIFF"}}
        try:
            done = subprocess.run(
                self.command(*arguments), input=stdin, capture_output=True, text=True, check=False, timeout=timeout, env=environment
            )
        except subprocess.TimeoutExpired as error:
            raise KubectlError(f"kubectl {' '.join(arguments)}: no end within {timeout:g} s") from error
        if done.returncode != 0:
            raise KubectlError(f"kubectl {' '.join(arguments)}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def apply(self, *objects: Mapping[str, Any], **flags: str) -> str:
        """`kubectl apply` of manifests."""
        options = [f"--{name.replace('_', '-')}={value}" for name, value in flags.items()]
        return self("apply", *options, "--filename=-", stdin=yaml.safe_dump_all(objects, sort_keys=False))

    def get(self, kind: str, name: str) -> Object | None:
        """One object, or None when it is not there."""
        answer = self("get", kind, name, "--ignore-not-found", "--output=json")
        return dict(json.loads(answer)) if answer.strip() else None

    def list(self, kinds: str, *, selector: str = "") -> list[Object]:
        """Objects of some kinds, such as `pods` or `jobs,deployments`."""
        chosen = [f"--selector={selector}"] if selector else []
        return list(json.loads(self("get", kinds, *chosen, "--output=json"))["items"])

    def secret(self, name: str) -> dict[str, str]:
        """The members of a Secret as text; KeyError when it is not there."""
        found = self.get("secret", name)
        if found is None:
            raise KeyError(name)
        return {key: base64.b64decode(value).decode() for key, value in found.get("data", {}).items()}

    def execute(self, pod: str, *command: str, container: str = "", stdin: str | None = None) -> str:
        """Run a command in a pod."""
        chosen = [f"--container={container}"] if container else []
        interactive = ["--stdin"] if stdin is not None else []
        return self("exec", *interactive, *chosen, pod, "--", *command, stdin=stdin)


def condition(resource: Mapping[str, Any] | None, kind: str) -> Object:
    """One condition of a resource's status; empty when it has none of that type."""
    rows: Sequence[Object] = ((resource or {}).get("status") or {}).get("conditions") or []
    return next((row for row in rows if row["type"] == kind), {})


def is_true(resource: Mapping[str, Any] | None, kind: str = "Ready") -> bool:
    """Whether a condition is True for the newest spec."""
    row = condition(resource, kind)
    newest = (resource or {}).get("metadata", {}).get("generation")
    return row.get("status") == "True" and row.get("observedGeneration", newest) == newest
