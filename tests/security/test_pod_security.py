"""Every pod that a sample or an install starts is admitted where Pod Security enforces `restricted`, by Kubernetes' own admission."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from airflow_operator.domain.kinds import POD, SERVICE_ACCOUNT
from airflow_operator.domain.manifest import Live, dig
from airflow_operator.domain.pod_security import level
from airflow_operator.kube.errors import Forbidden
from airflow_operator.kube.protocol import Kube
from airflow_operator.reconcile.offline import render
from airflow_operator.reconcile.security_report import templates
from devcluster.control_plane import ControlPlane
from tests.integration.eventually import eventually

pytestmark = pytest.mark.security

MANIFESTS = Path(__file__).parents[2] / "manifests"
SAMPLES = sorted((MANIFESTS / "samples").glob("*.yaml"))
INSTALLS = ("cluster-wide", "opt-in", "single-namespace")


def pods_of(sample: Path) -> dict[str, Any]:
    """The specs of its pods by sample and by what makes them."""
    made = render(yaml.safe_load_all(sample.read_text(encoding="utf-8")))
    return {f"{sample.stem}: {title}": {**pod["spec"], "volumes": volumes_of(maker, pod)} for title, maker, pod in templates(made)}


def volumes_of(maker: Live, template: Live) -> list[Any]:
    """As the StatefulSet controller fills in the claims."""
    claims = [item["metadata"]["name"] for item in dig(maker, "spec", "volumeClaimTemplates", default=[])]
    return [*template["spec"].get("volumes", []), *({"name": name, "persistentVolumeClaim": {"claimName": name}} for name in claims)]


async def refusal(admin: Kube, namespace: str, spec: Live) -> str:
    """Why admission refuses a pod; empty where it takes it. Nothing is made."""
    pod = {"apiVersion": "v1", "kind": POD.kind, "metadata": {"name": "trial", "namespace": namespace}, "spec": dict(spec)}
    try:
        await admin.apply(pod, dry_run=True)
    except Forbidden as error:
        if "violates PodSecurity" not in error.message:
            raise
        return error.message
    return ""


@pytest.fixture
async def strict(control_plane: ControlPlane, namespace: str, admin: Kube) -> str:
    """A namespace that enforces the newest `restricted`."""
    control_plane.kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce-version=latest")
    await default_account(admin, namespace)
    return namespace


async def default_account(admin: Kube, namespace: str) -> None:
    async def there() -> bool:
        return await admin.get(SERVICE_ACCOUNT, namespace, "default") is not None

    await eventually(there)


async def prepare(control_plane: ControlPlane, admin: Kube, namespace: str, pods: Iterable[Live]) -> None:
    """Make what admission asks of a pod beside Pod Security: its account and its class of priority."""
    for name in {spec.get("serviceAccountName", "default") for spec in pods} - {"default"}:
        await admin.create({"apiVersion": "v1", "kind": SERVICE_ACCOUNT.kind, "metadata": {"name": name, "namespace": namespace}})
    for name in {spec["priorityClassName"] for spec in pods if "priorityClassName" in spec}:
        made = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name}, "value": 1}
        control_plane.kubectl("apply", "-f", "-", input=json.dumps(made))


async def test_every_pod_of_every_sample_is_admitted(control_plane: ControlPlane, strict: str, admin: Kube) -> None:
    pods = {title: spec for sample in SAMPLES for title, spec in pods_of(sample).items()}
    assert len(pods) > 7 * len(SAMPLES)
    await prepare(control_plane, admin, strict, pods.values())
    said = await asyncio.gather(*(refusal(admin, strict, spec) for spec in pods.values()))
    assert {title: words for title, words in zip(pods, said, strict=True) if words} == {}


async def test_the_operators_own_pods_are_admitted(control_plane: ControlPlane, strict: str, admin: Kube) -> None:
    specs = {}
    for install in INSTALLS:
        built = control_plane.kubectl("kustomize", str(MANIFESTS / "install" / install)).stdout
        (deployment,) = [item for item in yaml.safe_load_all(built) if item["kind"] == "Deployment"]
        specs[install] = deployment["spec"]["template"]["spec"]
    await prepare(control_plane, admin, strict, specs.values())
    assert {install: await refusal(admin, strict, spec) for install, spec in specs.items()} == dict.fromkeys(INSTALLS, "")


SOUND: dict[str, Any] = {
    "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
    "containers": [{"name": "c", "image": "x", "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}}],
}


def pod(**changes: Any) -> Callable[[dict[str, Any]], None]:
    return lambda spec: spec.update(changes)


def shared(**changes: Any) -> Callable[[dict[str, Any]], None]:
    return lambda spec: spec["securityContext"].update(changes)


def own(**changes: Any) -> Callable[[dict[str, Any]], None]:
    return lambda spec: spec["containers"][0]["securityContext"].update(changes)


def container(**changes: Any) -> Callable[[dict[str, Any]], None]:
    return lambda spec: spec["containers"][0].update(changes)


def volume(**source: Any) -> Callable[[dict[str, Any]], None]:
    return lambda spec: spec.update(volumes=[{"name": "v", **source}])


PODS: dict[str, Callable[[dict[str, Any]], None]] = {
    "sound": pod(),
    "host network": pod(hostNetwork=True),
    "host processes": pod(hostPID=True),
    "host memory": pod(hostIPC=True),
    "root group": shared(runAsGroup=0),
    "root": shared(runAsUser=0),
    "own root": own(runAsUser=0),
    "may be root": own(runAsNonRoot=False),
    "no seccomp": lambda spec: spec["securityContext"].pop("seccompProfile"),
    "unconfined": own(seccompProfile={"type": "Unconfined"}),
    "unconfined pod": shared(seccompProfile={"type": "Unconfined"}),
    "local profile": own(seccompProfile={"type": "Localhost", "localhostProfile": "p"}),
    "unconfined by AppArmor": own(appArmorProfile={"type": "Unconfined"}),
    "AppArmor": own(appArmorProfile={"type": "RuntimeDefault"}),
    "escalates": own(allowPrivilegeEscalation=True),
    "says nothing of escalation": lambda spec: spec["containers"][0]["securityContext"].pop("allowPrivilegeEscalation"),
    "privileged": own(privileged=True, allowPrivilegeEscalation=True),
    "drops nothing": own(capabilities={}),
    "binds low ports": own(capabilities={"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}),
    "changes owners": own(capabilities={"drop": ["ALL"], "add": ["CHOWN"]}),
    "administers": own(capabilities={"drop": ["ALL"], "add": ["SYS_ADMIN"]}),
    "SELinux level": shared(seLinuxOptions={"level": "s0:c1,c2"}),
    "SELinux container": own(seLinuxOptions={"type": "container_t"}),
    "SELinux type": own(seLinuxOptions={"type": "spc_t"}),
    "SELinux user": shared(seLinuxOptions={"user": "root"}),
    "safe sysctl": shared(sysctls=[{"name": "net.ipv4.tcp_keepalive_time", "value": "60"}]),
    "sysctl": shared(sysctls=[{"name": "kernel.msgmax", "value": "1"}]),
    "host port": container(ports=[{"containerPort": 80, "hostPort": 80}]),
    "port": container(ports=[{"containerPort": 80}]),
    "probe of another host": container(livenessProbe={"httpGet": {"host": "127.0.0.1", "port": 80}}),
    "hook to another host": container(lifecycle={"preStop": {"httpGet": {"host": "127.0.0.1", "port": 80}}}),
    "host path": volume(hostPath={"path": "/"}),
    "NFS": volume(nfs={"server": "s", "path": "/"}),
    "image volume": volume(image={"reference": "x"}),
    "ephemeral": volume(emptyDir={}),
    "init container": lambda spec: spec.update(initContainers=[{"name": "i", "image": "x"}]),
}
"""Pods at and beyond the borders of the levels."""


async def test_the_report_judges_pods_as_admission_does(control_plane: ControlPlane, strict: str, admin: Kube) -> None:
    lenient = f"{strict}-baseline"
    control_plane.kubectl("create", "namespace", lenient)
    control_plane.kubectl("label", "namespace", lenient, "pod-security.kubernetes.io/enforce=baseline")
    await default_account(admin, lenient)
    judged, ours = {}, {}
    for name, spoil in PODS.items():
        spec = deepcopy(SOUND)
        spoil(spec)
        refused = [bool(await refusal(admin, place, spec)) for place in (strict, lenient)]
        judged[name] = {(False, False): "restricted", (True, False): "baseline", (True, True): "privileged"}[refused[0], refused[1]]
        ours[name] = level(spec)[0]
    assert ours == judged
    assert set(judged.values()) == {"restricted", "baseline", "privileged"}
