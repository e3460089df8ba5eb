"""What Secrets hold stands in Secrets alone: not in the log (at its most talkative), in events, in status, in any other object."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from urllib.parse import quote

import pytest

from airflow_operator.domain.kinds import AIRFLOW_BASE, AIRFLOW_CLUSTER, CHILD_KINDS, EVENT, POD, SECRET
from airflow_operator.domain.manifest import dig
from tests.integration.scenario import PATIENCE, Stage
from tests.security.canaries import BASES, CANARY, CLUSTERS, named, places, secrets

pytestmark = [pytest.mark.security, pytest.mark.timeout(900)]

PUBLIC = ("key-id", "username")
"""Keys of generated Secrets whose values are none."""


async def hidden_values(stage: Stage) -> dict[str, str]:
    """Every value of every Secret in the namespace, generated ones too, by whose it is; public ones, ids and certificates apart."""
    found: dict[str, str] = {}
    for secret in await stage.admin.list(SECRET, stage.namespace):
        for key, encoded in dig(secret, "data", default={}).items():
            text = base64.b64decode(encoded).decode()
            if "PRIVATE KEY" in text:
                # Of a file any line would tell.
                found |= {f"{secret['metadata']['name']}/{key} {place}": line for place, line in enumerate(private_lines(text))}
            elif key not in PUBLIC or CANARY in text:
                found[f"{secret['metadata']['name']}/{key}"] = text
    return found


def private_lines(pem: str) -> list[str]:
    inside, _, _ = pem.partition("-----BEGIN PRIVATE KEY-----\n")[2].partition("\n-----END PRIVATE KEY-----")
    return inside.splitlines()


async def everything_else(stage: Stage) -> dict[str, str]:
    """Each object of the namespace but Secrets, as JSON; Secrets without their data."""
    texts: dict[str, str] = {}
    for kind in (AIRFLOW_BASE, AIRFLOW_CLUSTER, *CHILD_KINDS, POD, EVENT):
        for item in await stage.admin.list(kind, stage.namespace):
            shown = {key: value for key, value in item.items() if key != "data" or kind != SECRET}
            texts[f"{kind.kind} {item['metadata']['name']}"] = json.dumps(shown)
    return texts


def leaks(texts: dict[str, str], values: dict[str, str]) -> list[str]:
    """Where a value stands, as it is, in base64, in a URL or in JSON."""
    shapes = {
        whose: {value, base64.b64encode(value.encode()).decode(), quote(value, safe=""), json.dumps(value)[1:-1]}
        for whose, value in values.items()
    }
    return [
        f"{whose} in {where}" for where, text in texts.items() for whose, forms in shapes.items() if any(form in text for form in forms)
    ]


def test_a_canary_sits_in_every_place_of_the_schema() -> None:
    seeded = {place for manifest in (*BASES, *CLUSTERS) for place, _, _ in named(manifest)}
    assert len(places()) > 30
    assert places() - seeded == set(), "name a Secret there in one of the resources of canaries.py"


async def test_no_secret_value_leaves_its_secret(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for name in ("airflow_operator", "kopf", "kubernetes", "aiohttp", "asyncio"):
        caplog.set_level(logging.DEBUG, logger=name)
    await asyncio.gather(*(stage.secret(name, **data) for name, data in secrets().items()))
    single = CLUSTERS[0]["spec"]["env"]
    first, second = CLUSTERS[0]["metadata"]["name"], CLUSTERS[-1]["metadata"]["name"]
    async with stage.operator():
        await stage.apply(*BASES, *CLUSTERS)
        for manifest in CLUSTERS:
            await stage.ready(manifest["metadata"]["name"], within=2 * PATIENCE)
        # A change, a refusal, what is missing and what is malformed: each makes its own sentences.
        await stage.secret("all-single", value=f"{CANARY}changed")
        absent = {"name": single[0]["name"], "valueFrom": {"secretKeyRef": {"name": "all-single", "key": "absent"}}}
        await stage.edit_spec(first, env=[absent])
        await stage.says("ReferencesResolved", "False", "KeyNotFound", name=first)
        await stage.edit_spec(first, env=single, scheduler={"podTemplate": {"spec": {"containers": [{"nam": "scheduler"}]}}})
        await stage.says("SpecValid", "False", name=first)
        await stage.edit_spec(first, scheduler={"podTemplate": None})
        keys = await stage.must_get(SECRET, f"{second}-keys")
        await stage.edit(SECRET, f"{second}-keys", {"data": {"fernet-key": base64.b64encode(f"{CANARY}fernet".encode()).decode()}})
        await stage.says("KeysAvailable", "False", "KeyMalformed", name=second)
        values = await hidden_values(stage)
        await stage.edit(SECRET, f"{second}-keys", {"data": keys["data"]})
        await stage.ready(first, within=2 * PATIENCE)
        await stage.ready(second)
    values = {**{f"{whose} (malformed)": value for whose, value in values.items()}, **await hidden_values(stage)}
    assert {f"{CANARY}changed", f"{CANARY}password", f"{CANARY}fernet"} <= set(values.values())
    texts = {"the log": caplog.text, **await everything_else(stage)}
    assert len(caplog.records) > 50, "nothing was logged"
    assert leaks(texts, values) == []


def test_a_leak_would_be_seen() -> None:
    values = {"git/password": f"{CANARY}git-password"}
    encoded = base64.b64encode(values["git/password"].encode()).decode()
    assert leaks({"the log": f"password={values['git/password']}"}, values) == ["git/password in the log"]
    assert leaks({"ConfigMap x": encoded}, values) == ["git/password in ConfigMap x"]
    assert leaks({"the log": "nothing of the kind"}, values) == []
