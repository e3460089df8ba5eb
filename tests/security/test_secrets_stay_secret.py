"""What Secrets hold stands in Secrets alone: not in the log (at its most talkative), in events, in status, in any other object."""

from __future__ import annotations

import base64
import json
import logging

import pytest

from airflow_operator.domain.kinds import AIRFLOW_BASE, AIRFLOW_CLUSTER, CHILD_KINDS, EVENT, POD, SECRET
from airflow_operator.domain.manifest import dig
from tests.integration.scenario import CLUSTER, Stage, cluster

pytestmark = pytest.mark.security

CANARY = "canary-of-"
SECRETS = {
    "variables": {"TOKEN": f"{CANARY}variables"},
    "single": {"value": f"{CANARY}single"},
    "git": {"username": f"{CANARY}git-user", "password": f"{CANARY}git-password"},
    "admin": {"username": f"{CANARY}admin-user", "password": f"{CANARY}admin-password"},
}
SPEC = {
    "env": [{"name": "SINGLE", "valueFrom": {"secretKeyRef": {"name": "single", "key": "value"}}}],
    "envFrom": [{"secretRef": {"name": "variables"}}],
    "auth": {"fab": {"admin": {"secretRef": {"name": "admin"}}}},
    "executors": ["KubernetesExecutor"],
    "dags": [{"git": {"repo": "https://git.example/dags.git", "credentialsSecretRef": {"name": "git"}}}],
}


async def hidden_values(stage: Stage) -> dict[str, str]:
    """Every value of every Secret in the namespace, generated ones too, by whose it is; public ones and ids apart."""
    found: dict[str, str] = {}
    for secret in await stage.admin.list(SECRET, stage.namespace):
        for key, value in dig(secret, "data", default={}).items():
            if key not in ("key-id", "username") or CANARY in base64.b64decode(value).decode():
                found[f"{secret['metadata']['name']}/{key}"] = base64.b64decode(value).decode()
    return found


async def everything_else(stage: Stage) -> dict[str, str]:
    """Each object of the namespace but Secrets, as JSON; Secrets without their data."""
    texts: dict[str, str] = {}
    for kind in (AIRFLOW_BASE, AIRFLOW_CLUSTER, *CHILD_KINDS, POD, EVENT):
        for item in await stage.admin.list(kind, stage.namespace):
            shown = {key: value for key, value in item.items() if key != "data" or kind != SECRET}
            texts[f"{kind.kind} {item['metadata']['name']}"] = json.dumps(shown)
    return texts


def leaks(texts: dict[str, str], values: dict[str, str]) -> list[str]:
    """Where a value, or its base64, stands."""
    shapes = {whose: {value, base64.b64encode(value.encode()).decode()} for whose, value in values.items()}
    return [
        f"{whose} in {where}" for where, text in texts.items() for whose, forms in shapes.items() if any(form in text for form in forms)
    ]


async def test_no_secret_value_leaves_its_secret(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for name in ("airflow_operator", "kopf", "kubernetes", "aiohttp", "asyncio"):
        caplog.set_level(logging.DEBUG, logger=name)
    for name, data in SECRETS.items():
        await stage.secret(name, **data)
    async with stage.operator():
        await stage.up(cluster(**SPEC))
        # A change, a refusal, what is missing and what is malformed: each makes its own sentences.
        await stage.secret("single", value=f"{CANARY}changed")
        await stage.edit_spec(env=[{"name": "SINGLE", "valueFrom": {"secretKeyRef": {"name": "single", "key": "absent"}}}])
        await stage.says("ReferencesResolved", "False", "KeyNotFound")
        await stage.edit_spec(env=SPEC["env"], taskPods={"podTemplate": {"spec": {"containers": [{"nam": "base"}]}}})
        await stage.says("SpecValid", "False")
        await stage.edit_spec(taskPods=None)
        keys = await stage.must_get(SECRET, f"{CLUSTER}-keys")
        await stage.edit(SECRET, f"{CLUSTER}-keys", {"data": {"fernet-key": base64.b64encode(f"{CANARY}fernet".encode()).decode()}})
        await stage.says("KeysAvailable", "False", "KeyMalformed")
        values = await hidden_values(stage)
        await stage.edit(SECRET, f"{CLUSTER}-keys", {"data": keys["data"]})
        await stage.ready()
    values = {**{f"{whose} (malformed)": value for whose, value in values.items()}, **await hidden_values(stage)}
    assert {f"{CANARY}changed", f"{CANARY}admin-password", f"{CANARY}fernet"} <= set(values.values())
    texts = {"the log": caplog.text, **await everything_else(stage)}
    assert len(caplog.records) > 50, "nothing was logged"
    assert leaks(texts, values) == []


def test_a_leak_would_be_seen() -> None:
    values = {"git/password": f"{CANARY}git-password"}
    encoded = base64.b64encode(values["git/password"].encode()).decode()
    assert leaks({"the log": f"password={values['git/password']}"}, values) == ["git/password in the log"]
    assert leaks({"ConfigMap x": encoded}, values) == ["git/password in ConfigMap x"]
    assert leaks({"the log": "nothing of the kind"}, values) == []
