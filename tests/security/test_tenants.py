"""Tenants stay apart: whatever a resource holds, the operator touches its namespace and the base that granted it, and nothing else."""

from __future__ import annotations

import asyncio
import configparser
import json
import logging
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from urllib.parse import unquote

import pytest

from airflow_operator.domain.kinds import AIRFLOW_BASE, AIRFLOW_CLUSTER, CHILD_KINDS, CONFIG_MAP, DEPLOYMENT, EVENT, POD, kind_of
from airflow_operator.domain.manifest import Live, dig
from airflow_operator.kube.errors import ApiError
from airflow_operator.kube.protocol import Kube
from devcluster.control_plane import ControlPlane
from tests.integration.players import Fail, Play, PodPlayer
from tests.integration.running import QUICK, RunningOperator, running_operator
from tests.integration.scenario import Stage, base
from tests.integration.scenario_world import World
from tests.security.attackers import GUARDED, INI, JINJA, PRIVATE, PURSE, REFUSED, SHARED, SHELL, SQL, TAKEN, VICTIM_SECRET, YAML, Attack

pytestmark = [pytest.mark.security, pytest.mark.timeout(900)]

GOLD = "canary-of-the-victim"
OPERATORS = ("airflow-operator", "kopf")
"""Beginnings of the user agents of the operator's two clients."""


@dataclass
class Town:
    """A tenant, the base that grants it, and a victim that grants nothing. One operator, a cluster administrator, serves all three."""

    tenant: Stage
    platform: Stage
    victim: Stage

    @property
    def places(self) -> dict[str, str]:
        return {name: getattr(self, name).namespace for name in ("tenant", "platform", "victim")}

    def operator(self) -> AbstractAsyncContextManager[RunningOperator]:
        return running_operator(self.tenant.control_plane.kubeconfig, *self.places.values(), health=self.tenant.health, settings=QUICK)

    async def attack(self, attack: Attack) -> None:
        await self.tenant.apply(attack.manifest(**self.places))

    async def refusal(self, attack: Attack) -> str:
        """The API server's words about it."""
        try:
            await self.attack(attack)
        except ApiError as error:
            return error.message
        return "(taken)"

    async def outcome(self, attack: Attack) -> str:
        """What it came to instead of what is expected; empty where it came to that."""
        try:
            await self.tenant.says(*attack.says, name=attack.name, kind=kind_of(attack.manifest(**self.places)), within=300)
        except AssertionError as error:
            return f"{attack.name}: {error}"
        return ""

    def asked(self) -> set[tuple[str, str]]:
        """(verb, path and selectors) of all that the operator ever asked outside of the tenant's and the platform's namespace."""
        own = {self.tenant.namespace, self.platform.namespace}
        entries = [item for item in self.tenant.control_plane.audit() if item.get("userAgent", "").startswith(OPERATORS)]
        passing = re.compile(r"(resourceVersion|timeoutSeconds|limit|continue|allowWatchBookmarks|watch)=[^&]*&?")
        return {
            (item["verb"], passing.sub("", unquote(item["requestURI"])).rstrip("?&"))
            for item in entries
            if item.get("objectRef", {}).get("namespace") not in own
        }

    async def belongings(self, stage: Stage) -> dict[tuple[str, str], str]:
        """Everything in a namespace but Events, with its UID."""
        kinds = (AIRFLOW_BASE, AIRFLOW_CLUSTER, *CHILD_KINDS, POD)
        found = await asyncio.gather(*(stage.admin.list(kind, stage.namespace) for kind in kinds))
        return {(item["kind"], item["metadata"]["name"]): item["metadata"]["uid"] for items in found for item in items}


@pytest.fixture
async def town(our_kinds: None, control_plane: ControlPlane, namespace: str, admin: Kube) -> AsyncIterator[Town]:
    names = {"tenant": namespace, "platform": f"{namespace}-base", "victim": f"{namespace}-victim"}
    for name in ("platform", "victim"):
        control_plane.kubectl("create", "namespace", names[name])
    async with PodPlayer(control_plane, *names.values()) as player:
        made = Town(**{role: Stage(control_plane, name, admin, player) for role, name in names.items()})
        # The last world answers the Jobs of all three.
        world = made.victim.world
        world.answers("migrate", printing(world))
        yield made


def printing(world: World) -> Callable[[Live], Play]:
    """The image of the attacker `printer` prints what it was given, and fails; the others do what they should."""

    def play(pod: Live) -> Play:
        mine = dig(pod, "metadata", "labels", "airflow-operator.dev/cluster") == "printer"
        return Fail(f"env: {json.dumps(PURSE)}") if mine else world.migrate(pod)

    return play


def test_there_are_enough_attackers() -> None:
    names = [attack.name for attack in (*REFUSED, *TAKEN)]
    assert len(set(names)) == len(names) >= 30


async def test_attacking_resources_reach_nothing_of_others(town: Town, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    tenant, platform, victim = town.tenant, town.platform, town.victim
    await victim.secret(VICTIM_SECRET, gold=GOLD)
    async with town.operator():
        ca = {"secretKeyRef": {"name": VICTIM_SECRET, "key": "gold"}}
        guarded = {"host": "db.example", "provisioning": "None", "tls": {"mode": "verify-full", "ca": ca}}
        await victim.apply(base(PRIVATE), base(GUARDED) | {"spec": {"database": {"external": guarded}}})
        await platform.apply(base(SHARED, allowedClusters={"namespaces": {"names": [tenant.namespace]}}))
        await victim.says("Ready", "True", name=PRIVATE, kind=AIRFLOW_BASE)
        await platform.says("Ready", "True", name=SHARED, kind=AIRFLOW_BASE)
        await victim.quiet()
        usual, before = town.asked(), await town.belongings(victim)

        refusals = {attack: await town.refusal(attack) for attack in REFUSED}
        assert {attack.name: words for attack, words in refusals.items() if attack.refused not in words} == {}
        await tenant.secret("purse", **PURSE)
        for attack in TAKEN:
            await town.attack(attack)
        outcomes = await asyncio.gather(*(town.outcome(attack) for attack in TAKEN))
        assert not any(outcomes), "\n\n".join(filter(None, outcomes))

        await the_printer_was_not_quoted(tenant)
        await words_stayed_words(tenant)
        await only_the_operators_image_ran_beside_the_base(platform)
        # What goes is looked at too.
        await tenant.delete(AIRFLOW_CLUSTER, "no-grant-drop")
        await tenant.gone(AIRFLOW_CLUSTER, "no-grant-drop")
        await tenant.quiet()
        asked, after = town.asked(), await town.belongings(victim)

    assert asked - usual - permitted(town) == set()
    assert after == before
    texts = {"the log": caplog.text, **await everything(tenant), **await everything(platform)}
    assert [where for where, text in texts.items() if GOLD in text] == []
    told = await tenant.condition("BaseReady", "no-grant-ca")
    assert VICTIM_SECRET not in told["message"]


def permitted(town: Town) -> set[tuple[str, str]]:
    """Whether a base is there and what it grants can only be read where it lies; of what goes, Jobs of its own are looked for there."""
    place = f"/apis/airflow-operator.dev/v1alpha1/namespaces/{town.victim.namespace}/airflowbases"
    mine = f"airflow-operator.dev/cluster=no-grant-drop,airflow-operator.dev/cluster-namespace={town.tenant.namespace}"
    return {
        *(("get", f"{place}/{name}") for name in (PRIVATE, GUARDED, "absent")),
        *(("get", f"/api/v1/namespaces/{place}") for place in town.places.values()),
        ("list", f"/apis/batch/v1/namespaces/{town.victim.namespace}/jobs?labelSelector={mine}"),
    }


async def the_printer_was_not_quoted(tenant: Stage) -> None:
    told = await tenant.says("MigrationsApplied", "False", "MigrationFailed", name="printer", within=120)
    assert "(secret)" in told["message"]
    found = json.dumps([await tenant.get(AIRFLOW_CLUSTER, "printer"), *await tenant.admin.list(EVENT, tenant.namespace)])
    assert [value for value in PURSE.values() if value in found] == []


async def words_stayed_words(tenant: Stage) -> None:
    """Texts of the shell, SQL, YAML, Jinja and airflow.cfg arrive as the values that they are."""
    template = (await tenant.must_get(DEPLOYMENT, "words-scheduler"))["spec"]["template"]
    env = {item["name"]: item.get("value") for item in template["spec"]["containers"][0]["env"]}
    assert [env[f"T{place}"] for place in range(5)] == [SHELL, SQL, JINJA, YAML, INI]
    assert template["metadata"]["annotations"]["evil.example/x"] == YAML + SHELL + JINJA
    (config,) = [
        item for item in await tenant.admin.list(CONFIG_MAP, tenant.namespace) if item["metadata"]["name"].startswith("words-config-")
    ]
    # As Airflow reads it.
    read = configparser.ConfigParser(interpolation=None, comment_prefixes=("#", ";"))
    read.read_string(config["data"]["airflow.cfg"])
    assert not read.has_section("database")
    assert (read["core"]["plain"], read["core"]["inject"]) == (SHELL, INI)


async def only_the_operators_image_ran_beside_the_base(platform: Stage) -> None:
    pods = await platform.admin.list(POD, platform.namespace)
    images = {item["image"] for pod in pods for item in pod["spec"]["containers"]}
    assert images == {QUICK.platform.operator_image, f"{QUICK.platform.postgres_image}:17"}


async def everything(stage: Stage) -> dict[str, str]:
    kinds = (AIRFLOW_BASE, AIRFLOW_CLUSTER, *CHILD_KINDS, POD, EVENT)
    found = await asyncio.gather(*(stage.admin.list(kind, stage.namespace) for kind in kinds))
    return {f"{item['kind']} {item['metadata']['name']}": json.dumps(item) for items in found for item in items}
