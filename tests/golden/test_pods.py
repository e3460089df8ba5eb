"""What holds for every pod that the operator starts."""

from __future__ import annotations

from copy import deepcopy

import pytest

from airflow_operator.domain.pod_security import containers, violations
from tests.golden.rendering import NAMES, pod_templates, rendered

SECRETS = ("SQL_ALCHEMY_CONN", "FERNET", "JWT", "SECRET_KEY", "PASSWORD")


@pytest.fixture(params=NAMES)
def pods(request):
    return pod_templates(rendered(request.param))


def test_every_pod_keeps_to_the_restricted_level(pods):
    assert {name: found for name, pod in pods.items() if (found := violations(pod["spec"]))} == {}


def test_every_container_asks_for_cpu_and_memory(pods):
    without = [
        f"{name}: {item['name']}"
        for name, pod in pods.items()
        for item in containers(pod["spec"])
        if not {"cpu", "memory"} <= set(item.get("resources", {}).get("requests", {}))
    ]
    assert without == []


def test_services_leave_no_variables_in_pods(pods):
    assert [name for name, pod in pods.items() if pod["spec"].get("enableServiceLinks") is not False] == []


@pytest.mark.parametrize("name", [name for name in NAMES if name != "permissions"])
def test_only_api_server_and_scheduler_speak_to_kubernetes(name):
    pods = pod_templates(rendered(name))
    mounted = {name for name, pod in pods.items() if pod["spec"].get("automountServiceAccountToken") is not False}
    assert all(name.endswith(("-api-server", "-scheduler")) for name in mounted), mounted
    tokens = [
        name
        for name, pod in pods.items()
        for volume in pod["spec"].get("volumes", [])
        for source in volume.get("projected", {}).get("sources", [])
        if "serviceAccountToken" in source
    ]
    assert tokens == []


def test_failed_containers_leave_their_last_words(pods):
    silent = [
        f"{name}: {item['name']}"
        for name, pod in pods.items()
        for item in containers(pod["spec"])
        if item["name"] not in ("base", "postgres") and item.get("terminationMessagePolicy") != "FallbackToLogsOnError"
    ]
    assert silent == []


@pytest.mark.parametrize("name", [name for name in NAMES if name != "airflow-2" and "task" in pod_templates(rendered(name))])
def test_a_task_pod_holds_no_key(name):
    pod = pod_templates(rendered(name))["task"]["spec"]
    own = [variable for item in containers(pod) for variable in item.get("env", []) if variable["name"].startswith("AIRFLOW__")]
    ours = [variable["name"] for variable in own if not variable["name"].startswith("AIRFLOW__SMTP__")]
    assert [variable for variable in ours if any(secret in variable for secret in SECRETS)] == []
    sources = [item.get("secret", {}).get("secretName", "") for item in pod["volumes"]]
    sources += [
        item["valueFrom"]["secretKeyRef"]["name"]
        for container in containers(pod)
        for item in container.get("env", [])
        if "valueFrom" in item
    ]
    assert not [source for source in sources if source.endswith(("-keys", "-connection", "-admin"))]


BAD = (
    ("hostNetwork", lambda spec: spec.update(hostNetwork=True)),
    ("volume host", lambda spec: spec["volumes"].append({"name": "host", "hostPath": {"path": "/"}})),
    ("allowPrivilegeEscalation", lambda spec: spec["containers"][0]["securityContext"].pop("allowPrivilegeEscalation")),
    (
        "capabilities.add",
        lambda spec: spec["containers"][0]["securityContext"].update(capabilities={"drop": ["ALL"], "add": ["SYS_ADMIN"]}),
    ),
    ("capabilities.drop", lambda spec: spec["containers"][0]["securityContext"].pop("capabilities")),
    ("privileged", lambda spec: spec["containers"][0]["securityContext"].update(privileged=True)),
    ("runAsUser", lambda spec: spec["securityContext"].update(runAsUser=0)),
    ("runAsNonRoot", lambda spec: spec["containers"][0]["securityContext"].update(runAsNonRoot=False)),
    ("seccompProfile", lambda spec: spec["containers"][0]["securityContext"].update(seccompProfile={"type": "Unconfined"})),
    ("hostPort", lambda spec: spec["containers"][0].setdefault("ports", []).append({"containerPort": 1, "hostPort": 1})),
)


@pytest.mark.parametrize(("fault", "spoil"), BAD, ids=[fault for fault, _ in BAD])
def test_the_checker_finds(fault, spoil):
    spec = deepcopy(pod_templates(rendered("quickstart"))["Deployment demo-scheduler"]["spec"])
    assert violations(spec) == []
    spoil(spec)
    assert any(fault in found for found in violations(spec))
