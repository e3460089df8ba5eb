"""Pod Security's restricted level, by the controls that Kubernetes documents for it (Linux pods).

https://kubernetes.io/docs/concepts/security/pod-security-standards/
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret", "image"}
SYSCTLS: set[str] = set()
"""The safe ones are allowed; the operator sets none."""


def containers(spec: dict[str, Any]) -> list[dict[str, Any]]:
    """Every container of a pod."""
    return [item for field in ("initContainers", "containers", "ephemeralContainers") for item in spec.get(field, [])]


def violations(spec: dict[str, Any]) -> list[str]:
    """What the restricted level refuses of a pod."""
    return [*_of_pod(spec), *(f"{item['name']}: {fault}" for item in containers(spec) for fault in _of_container(item, spec))]


def _of_pod(spec: dict[str, Any]) -> Iterator[str]:
    security = spec.get("securityContext", {})
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(field):
            yield field
    for volume in spec.get("volumes", []):
        if not set(volume) - {"name"} <= VOLUMES:
            yield f"volume {volume['name']}"
    if {item["name"] for item in security.get("sysctls", [])} - SYSCTLS:
        yield "sysctls"
    if security.get("runAsUser") == 0:
        yield "runAsUser"
    if security.get("windowsOptions", {}).get("hostProcess"):
        yield "hostProcess"
    if security.get("seLinuxOptions"):
        yield "seLinuxOptions"


def _of_container(item: dict[str, Any], spec: dict[str, Any]) -> Iterator[str]:
    own = item.get("securityContext", {})
    pod = spec.get("securityContext", {})
    if own.get("privileged"):
        yield "privileged"
    if own.get("allowPrivilegeEscalation") is not False:
        yield "allowPrivilegeEscalation"
    if own.get("runAsNonRoot", pod.get("runAsNonRoot")) is not True:
        yield "runAsNonRoot"
    if own.get("runAsUser") == 0:
        yield "runAsUser"
    seccomp = own.get("seccompProfile") or pod.get("seccompProfile") or {}
    if seccomp.get("type") not in ("RuntimeDefault", "Localhost"):
        yield "seccompProfile"
    yield from _of_capabilities(own.get("capabilities", {}))
    if own.get("procMount", "Default") != "Default":
        yield "procMount"
    if own.get("seLinuxOptions") or own.get("appArmorProfile", {}).get("type") == "Unconfined":
        yield "seLinuxOptions or appArmorProfile"
    yield from _of_ports_and_probes(item)


def _of_capabilities(capabilities: dict[str, Any]) -> Iterator[str]:
    if "ALL" not in capabilities.get("drop", []):
        yield "capabilities.drop"
    if set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"}:
        yield "capabilities.add"


def _of_ports_and_probes(item: dict[str, Any]) -> Iterator[str]:
    if any(port.get("hostPort") for port in item.get("ports", [])):
        yield "hostPort"
    handlers = [item.get(probe, {}) for probe in ("startupProbe", "livenessProbe", "readinessProbe")]
    handlers += [item.get("lifecycle", {}).get(hook, {}) for hook in ("preStop", "postStart")]
    if any(handler.get(kind, {}).get("host") for handler in handlers for kind in ("httpGet", "tcpSocket")):
        yield "host of a probe"
