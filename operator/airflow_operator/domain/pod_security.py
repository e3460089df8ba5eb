"""The levels of Kubernetes' Pod Security Standards, as its own admission decides them (Linux pods).

https://kubernetes.io/docs/concepts/security/pod-security-standards/
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

from airflow_operator.domain.manifest import dig

Level = Literal["restricted", "baseline", "privileged"]

RESTRICTED_VOLUMES = frozenset(
    {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim", "projected", "secret"}
)
BASELINE_CAPABILITIES = frozenset(
    {
        "AUDIT_WRITE",
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "MKNOD",
        "NET_BIND_SERVICE",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_CHROOT",
    }
)
SAFE_SYSCTLS = frozenset(
    {
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.ping_group_range",
        "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
        "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_rmem",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.tcp_wmem",
    }
)
_SELINUX_TYPES = frozenset({"", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"})

Pod = Mapping[str, Any]
"""The spec of a pod."""


def level(pod: Pod) -> tuple[Level, tuple[str, ...]]:
    """The strictest level that admits a pod, and what keeps it from `restricted`."""
    broken = tuple(beyond_baseline(pod))
    return "privileged" if broken else "restricted" if not (missing := tuple(beyond_restricted(pod))) else "baseline", broken or missing


def violations(pod: Pod) -> list[str]:
    """All that the restricted level refuses of a pod, `baseline` included."""
    return [*beyond_baseline(pod), *beyond_restricted(pod)]


def containers(pod: Pod) -> list[Mapping[str, Any]]:
    """Every container of a pod."""
    return [item for field in ("initContainers", "containers", "ephemeralContainers") for item in pod.get(field) or ()]


def beyond_baseline(pod: Pod) -> Iterator[str]:
    """What the baseline level refuses."""
    yield from (field for field in ("hostNetwork", "hostPID", "hostIPC") if pod.get(field))
    yield from (f"volume {item['name']}: hostPath" for item in pod.get("volumes") or () if "hostPath" in item)
    security = dig(pod, "securityContext", default={})
    yield from (f"sysctl {item['name']}" for item in security.get("sysctls") or () if item["name"] not in SAFE_SYSCTLS)
    yield from _of_either(security)
    for item in containers(pod):
        yield from (f"{item['name']}: {fault}" for fault in _container_beyond_baseline(item))


def _container_beyond_baseline(item: Mapping[str, Any]) -> Iterator[str]:
    own = dig(item, "securityContext", default={})
    if own.get("privileged"):
        yield "privileged"
    yield from _added(own, BASELINE_CAPABILITIES)
    if own.get("procMount", "Default") != "Default":
        yield "procMount"
    if any(port.get("hostPort") for port in item.get("ports") or ()):
        yield "hostPort"
    handlers = [dig(item, probe) for probe in ("startupProbe", "livenessProbe", "readinessProbe")]
    handlers += [dig(item, "lifecycle", hook) for hook in ("preStop", "postStart")]
    if any(dig(handler, kind, "host") for handler in handlers for kind in ("httpGet", "tcpSocket")):
        yield "host of a probe"
    yield from _of_either(own)


def _of_either(security: Mapping[str, Any]) -> Iterator[str]:
    """What pod and container both have."""
    selinux = dig(security, "seLinuxOptions", default={})
    if selinux.get("type", "") not in _SELINUX_TYPES or selinux.get("user") or selinux.get("role"):
        yield "seLinuxOptions"
    if dig(security, "windowsOptions", "hostProcess"):
        yield "hostProcess"
    for profile in ("seccompProfile", "appArmorProfile"):
        if dig(security, profile, "type") == "Unconfined":
            yield f"{profile} Unconfined"


def beyond_restricted(pod: Pod) -> Iterator[str]:
    """What the restricted level refuses and the baseline level takes."""
    for volume in pod.get("volumes") or ():
        if kinds := sorted(set(volume) - {"name", "hostPath"} - RESTRICTED_VOLUMES):
            yield f"volume {volume['name']}: {', '.join(kinds)}"
    shared = dig(pod, "securityContext", default={})
    if shared.get("runAsUser") == 0:
        yield "runAsUser 0"
    for item in containers(pod):
        yield from (f"{item['name']}: {fault}" for fault in _container_beyond_restricted(item, shared))


def _container_beyond_restricted(item: Mapping[str, Any], shared: Mapping[str, Any]) -> Iterator[str]:
    own = dig(item, "securityContext", default={})
    if own.get("allowPrivilegeEscalation") is not False:
        yield "allowPrivilegeEscalation is not false"
    if own.get("runAsNonRoot", shared.get("runAsNonRoot")) is not True:
        yield "runAsNonRoot is not true"
    if own.get("runAsUser") == 0:
        yield "runAsUser 0"
    if not (own.get("seccompProfile") or shared.get("seccompProfile")):
        yield "no seccompProfile"
    if "ALL" not in dig(own, "capabilities", "drop", default=[]):
        yield "capabilities.drop lacks ALL"
    # What baseline refuses is told there.
    yield from (fault for fault in _added(own, {"NET_BIND_SERVICE"}) if fault not in _added(own, BASELINE_CAPABILITIES))


def _added(security: Mapping[str, Any], allowed: Iterable[str]) -> list[str]:
    return [f"capabilities.add {name}" for name in dig(security, "capabilities", "add", default=[]) if name not in allowed]
