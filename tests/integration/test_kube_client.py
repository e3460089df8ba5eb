"""The client of the API server against a real one."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
import yaml

from airflow_operator.domain.kinds import CONFIG_MAP, DEPLOYMENT, NAMESPACE, SERVICE_ACCOUNT, STATEFUL_SET
from airflow_operator.domain.manifest import Kind, Manifest, dig
from airflow_operator.kube import client as kube_client
from airflow_operator.kube import errors
from airflow_operator.kube.client import connect
from airflow_operator.kube.protocol import Kube, WatchEvent
from devcluster.control_plane import ControlPlane
from tests.integration import children
from tests.integration.audit import Audit

pytestmark = pytest.mark.integration


def config_map(namespace: str, name: str, **data: str) -> Manifest:
    metadata = {"name": name, "namespace": namespace, "labels": {"app": "test"}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def deployment(namespace: str) -> Manifest:
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "none", "namespace": namespace, "uid": "0"}}
    manifest = children.deployment(owner)
    del manifest["metadata"]["ownerReferences"]
    return manifest


async def test_what_is_absent_is_none_and_a_kind_that_is_not_installed_is_an_error(kube: Kube, namespace: str) -> None:
    assert await kube.get(CONFIG_MAP, namespace, "absent") is None
    assert await kube.get(CONFIG_MAP, "no-such-namespace", "absent") is None
    with pytest.raises(errors.NotFound):
        await kube.get(Kind("example.com/v1", "Widget", "widgets"), namespace, "absent")


async def test_apply_makes_and_changes_and_a_dry_run_does_neither(kube: Kube, namespace: str, audit: Audit) -> None:
    assert (await kube.apply(config_map(namespace, "a", x="1"), dry_run=True))["data"] == {"x": "1"}
    assert await kube.get(CONFIG_MAP, namespace, "a") is None
    first = await kube.apply(config_map(namespace, "a", x="1", y="1"))
    second = await kube.apply(config_map(namespace, "a", x="2"))
    assert second["data"] == {"x": "2"}
    again = await kube.apply(config_map(namespace, "a", x="2"))
    assert first["metadata"]["resourceVersion"] != second["metadata"]["resourceVersion"] == again["metadata"]["resourceVersion"]
    assert audit.writes()[0] == "patch configmaps/a (dry run)"
    (entry,) = second["metadata"]["managedFields"]
    assert (entry["manager"], entry["operation"]) == ("airflow-operator", "Apply")


async def test_apply_of_what_must_be_new_changes_nothing_that_is_there(kube: Kube, namespace: str) -> None:
    made = await kube.apply(config_map(namespace, "a", x="1"), new=True)
    assert made["data"] == {"x": "1"}
    for manifest in (config_map(namespace, "a", x="1"), config_map(namespace, "a", x="2")):
        for dry_run in (False, True):
            with pytest.raises(errors.AlreadyExists):
                await kube.apply(manifest, new=True, dry_run=dry_run)
    assert await kube.get(CONFIG_MAP, namespace, "a") == made
    await kube.apply(config_map(namespace, "b", x="1"), new=True, dry_run=True)
    assert await kube.get(CONFIG_MAP, namespace, "b") is None


async def test_status_is_applied_apart(kube: Kube, namespace: str) -> None:
    await kube.apply(deployment(namespace))
    status = {"conditions": [{"type": "Available", "status": "True", "reason": "Test", "message": "said by a test"}]}
    manifest: Manifest = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "demo-scheduler", "namespace": namespace}}
    applied = await kube.apply_status(manifest | {"status": status})
    managers = {(entry["manager"], entry.get("subresource", "")) for entry in applied["metadata"]["managedFields"]}
    assert ("airflow-operator-status", "status") in managers
    assert dig(applied, "spec", "replicas") == 1


async def test_create_refuses_what_exists_already(kube: Kube, namespace: str) -> None:
    await kube.create(config_map(namespace, "a", x="1"))
    with pytest.raises(errors.AlreadyExists):
        await kube.create(config_map(namespace, "a", x="2"))
    with pytest.raises(errors.Invalid, match="unknown field"):
        await kube.create(config_map(namespace, "b") | {"dada": {}})


async def test_a_patch_of_an_old_version_is_a_conflict(kube: Kube, namespace: str) -> None:
    made = await kube.create(config_map(namespace, "a", x="1"))
    version = made["metadata"]["resourceVersion"]
    guard = {"op": "replace", "path": "/metadata/resourceVersion", "value": version}
    changed = await kube.patch(CONFIG_MAP, namespace, "a", [guard, {"op": "replace", "path": "/data/x", "value": "2"}])
    assert changed["data"] == {"x": "2"}
    with pytest.raises(errors.Conflict):
        await kube.patch(CONFIG_MAP, namespace, "a", [guard, {"op": "remove", "path": "/data/x"}])


async def test_delete_means_that_very_object(kube: Kube, namespace: str) -> None:
    made = await kube.create(config_map(namespace, "a"))
    await kube.delete(CONFIG_MAP, namespace, "a", uid="00000000-0000-0000-0000-000000000000")
    assert await kube.get(CONFIG_MAP, namespace, "a")
    await kube.delete(CONFIG_MAP, namespace, "a", uid=made["metadata"]["uid"])
    assert await kube.get(CONFIG_MAP, namespace, "a") is None
    await kube.delete(CONFIG_MAP, namespace, "a")


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("hostNet", True, "field not declared in schema"),
        ("volumes", [{"name": "a", "emptyDir": {}}, {"name": "a", "emptyDir": {}}], "duplicate entries"),
        ("restartPolicy", "Sometimes", "restartPolicy"),
        ("containers", "none", "containers"),
    ],
)
async def test_what_the_object_itself_is_refused_for_is_invalid(kube: Kube, namespace: str, path: str, value: Any, words: str) -> None:
    manifest = deployment(namespace)
    manifest["spec"]["template"]["spec"][path] = value
    with pytest.raises(errors.Invalid, match=words):
        await kube.apply(manifest)


async def test_what_is_not_allowed_is_forbidden(kube: Kube, namespace: str, control_plane: ControlPlane) -> None:
    pod: Manifest = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "root", "namespace": namespace},
        "spec": {"containers": [{"name": "a", "image": "a", "securityContext": {"privileged": True}}]},
    }
    with pytest.raises(errors.Forbidden, match="PodSecurity"):
        await kube.create(pod)


async def test_lists_come_in_chunks_with_kind_and_selector(
    kube: Kube, namespace: str, audit: Audit, monkeypatch: pytest.MonkeyPatch
) -> None:
    await asyncio.gather(*(kube.create(config_map(namespace, f"a{number}")) for number in range(5)))
    monkeypatch.setattr(kube_client, "CHUNK", 2)
    audit.reset()
    found = await kube.list(CONFIG_MAP, namespace, labels="app=test")
    assert [item["metadata"]["name"] for item in found] == [f"a{number}" for number in range(5)]
    assert all((item["apiVersion"], item["kind"]) == ("v1", "ConfigMap") for item in found)
    assert audit.requests() == ["list configmaps"] * 3
    assert await kube.list(CONFIG_MAP, namespace, labels="app=other") == []


async def test_lists_of_all_namespaces_and_of_kinds_outside_them(kube: Kube, namespace: str) -> None:
    await kube.create(config_map(namespace, "here"))
    assert (namespace, "here") in {(item["metadata"]["namespace"], item["metadata"]["name"]) for item in await kube.list(CONFIG_MAP, "")}
    assert namespace in {item["metadata"]["name"] for item in await kube.list(NAMESPACE, "")}
    assert dig(await kube.get(NAMESPACE, "", namespace), "metadata", "name") == namespace


async def test_a_watch_tells_first_what_is_there_and_then_what_changes(kube: Kube, namespace: str) -> None:
    await kube.create(config_map(namespace, "old", secret="data"))
    async with aclosing(_generator(kube, namespace)) as events:
        seen = [await anext(events)]
        while seen[-1][1]["metadata"]["name"] != "old":
            seen.append(await anext(events))
        _, item = seen[-1]
        assert seen[-1][0] == "ADDED"
        assert (item["apiVersion"], item["kind"]) == ("v1", "ConfigMap")
        assert "data" not in item
        assert "managedFields" not in item["metadata"]
        await kube.create(config_map(namespace, "new"))
        await kube.apply(config_map(namespace, "new", x="1"))
        await kube.delete(CONFIG_MAP, namespace, "new")
        told: list[tuple[str, str]] = []
        while len(told) < 3:
            kind, item = await anext(events)
            if item["metadata"]["name"] == "new":
                told.append((kind, item["kind"]))
        assert told == [("ADDED", "ConfigMap"), ("MODIFIED", "ConfigMap"), ("DELETED", "ConfigMap")]


async def test_a_watch_goes_on_when_the_server_ends_it(kube: Kube, namespace: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kube_client, "WATCH_SECONDS", 2)
    async with aclosing(_generator(kube, namespace)) as events, asyncio.timeout(30):
        names: list[str] = []

        async def until(name: str) -> None:
            while name not in names:
                names.append((await anext(events))[1]["metadata"]["name"])

        first = asyncio.create_task(until("later"))
        async with asyncio.timeout(10):
            # Longer than one watch lasts.
            await asyncio.sleep(3)
        await kube.create(config_map(namespace, "later"))
        await first
    assert names.count("later") == 1


async def test_a_watch_ends_when_its_place_is_forgotten(kube: Kube, namespace: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def from_long_ago(*_: Any, **__: Any) -> Any:
        return kube_client._Listed([], "1")

    monkeypatch.setattr(kube_client.Client, "_list", from_long_ago)

    async def too_old(*_: Any, **__: Any) -> AsyncIterator[Any]:
        raise errors.Expired(410, "Expired", "too old resource version")
        yield

    monkeypatch.setattr(kube_client.Client, "_watch", too_old)
    assert [event async for event in kube.watch_metadata(CONFIG_MAP, namespace)] == []


async def test_a_stateful_set_can_be_deleted_without_its_pods(kube: Kube, namespace: str) -> None:
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "none", "namespace": namespace, "uid": "0"}}
    manifest = children.stateful_set(owner)
    del manifest["metadata"]["ownerReferences"]
    await kube.apply(manifest)
    await kube.delete(STATEFUL_SET, namespace, "demo-triggerer", propagation="Orphan")
    left = await kube.get(STATEFUL_SET, namespace, "demo-triggerer")
    assert left is None or dig(left, "metadata", "finalizers") == ["orphan"]


async def test_a_new_token_is_taken_up(control_plane: ControlPlane, kube: Kube, namespace: str, tmp_path: Path) -> None:
    await kube.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "reader", "namespace": namespace}})
    control_plane.kubectl("-n", namespace, "create", "rolebinding", "reader", "--clusterrole=view", f"--serviceaccount={namespace}:reader")
    token = control_plane.kubectl("-n", namespace, "create", "token", "reader").stdout.strip()
    (tmp_path / "token").write_text("expired")
    config = yaml.safe_load(control_plane.kubeconfig.read_text())
    config["users"] = [{"name": user["name"], "user": {"tokenFile": str(tmp_path / "token")}} for user in config["users"]]
    (tmp_path / "config").write_text(yaml.safe_dump(config))
    async with connect(tmp_path / "config") as reader:
        with pytest.raises(errors.Unavailable) as refused:
            await reader.list(SERVICE_ACCOUNT, namespace)
        assert refused.value.status == 401
    async with connect(tmp_path / "config") as reader:
        (tmp_path / "token").write_text(token)
        assert await reader.list(SERVICE_ACCOUNT, namespace)
        with pytest.raises(errors.Forbidden):
            await reader.create(config_map(namespace, "a"))


async def test_a_login_plugin_is_asked(control_plane: ControlPlane, kube: Kube, namespace: str, tmp_path: Path) -> None:
    await kube.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "reader", "namespace": namespace}})
    control_plane.kubectl("-n", namespace, "create", "rolebinding", "reader", "--clusterrole=view", f"--serviceaccount={namespace}:reader")
    token = control_plane.kubectl("-n", namespace, "create", "token", "reader").stdout.strip()
    version = "client.authentication.k8s.io/v1"
    answer = {"apiVersion": version, "kind": "ExecCredential", "status": {"token": token}}
    (tmp_path / "answer").write_text(json.dumps(answer))
    config = yaml.safe_load(control_plane.kubeconfig.read_text())
    plugin = {"apiVersion": version, "command": "cat", "args": [str(tmp_path / "answer")]}
    config["users"] = [{"name": user["name"], "user": {"exec": plugin}} for user in config["users"]]
    (tmp_path / "config").write_text(yaml.safe_dump(config))
    async with connect(tmp_path / "config") as reader:
        assert await reader.list(SERVICE_ACCOUNT, namespace)


async def test_no_answer_is_worth_another_try(control_plane: ControlPlane, tmp_path: Path, namespace: str) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        config = yaml.safe_load(control_plane.kubeconfig.read_text())
        config["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{closed.getsockname()[1]}"
        (tmp_path / "config").write_text(yaml.safe_dump(config))
        async with connect(tmp_path / "config") as kube:
            with pytest.raises(errors.Unavailable) as caught:
                await kube.get(DEPLOYMENT, namespace, "a")
            with pytest.raises(errors.Unavailable):
                await anext(aiter(kube.watch_metadata(DEPLOYMENT, namespace)))
    assert (caught.value.status, caught.value.reason) == (0, "NoAnswer")


async def test_without_a_kubeconfig_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(errors.NotConfigured, match="No way to reach"):
        async with connect(tmp_path / "absent"):
            pass


async def test_secrets_are_bytes_in_base64_both_ways(kube: Kube, namespace: str) -> None:
    data = {"password": base64.b64encode(b"p\x00ss").decode()}
    secret: Manifest = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a", "namespace": namespace}, "data": data}
    assert (await kube.create(secret))["data"] == data


def _generator(kube: Kube, namespace: str) -> Any:
    events: AsyncIterator[WatchEvent] = kube.watch_metadata(CONFIG_MAP, namespace)
    return events
