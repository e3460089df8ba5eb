"""One case: a namespace, the operator that serves it behind its proxy, and what became of it all."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp

from airflow_operator.domain.kinds import AIRFLOW_BASE, AIRFLOW_CLUSTER
from airflow_operator.domain.manifest import Kind, Live, Manifest, dig
from airflow_operator.kube.client import connect
from airflow_operator.kube.protocol import Kube
from devcluster.control_plane import ControlPlane
from tests.faults.operators import OperatorProcess, Zygote
from tests.faults.proxy import Asked, Proxy, administrator
from tests.faults.zygote import SETTINGS
from tests.integration.eventually import eventually
from tests.integration.players import PodPlayer
from tests.integration.scenario import BASE, CLUSTER, Stage, group_suffix

PATIENCE = 240.0
"""Seconds for a lifecycle step: several cases share the machine, and a refusal is tried again after ten."""
RESYNC = 1.1 * SETTINGS.resync
"""The longest time between two looks, in seconds."""

_numbers = count(1)
_HASH = re.compile(r"[0-9a-f]{6,}")


@dataclass
class Counts:
    """How often objects were made and removed for the operator, by `PLURAL/NAME` without digests; Events apart."""

    created: Counter[str] = field(default_factory=Counter)
    deleted: Counter[str] = field(default_factory=Counter)


class Case:
    """What a case needs; made by `Rig.case`."""

    def __init__(self, id: str, stage: Stage, proxy: Proxy, operator: OperatorProcess) -> None:
        self.id = id
        self.stage = stage
        # Many cases share one API server: it has other work than their questions.
        stage.every, stage.patience = 0.25, PATIENCE
        self.proxy = proxy
        self.operator = operator
        self._first = 0
        self._begun = 0
        self._asked = 0

    @property
    def namespace(self) -> str:
        return self.stage.namespace

    def begin(self) -> None:
        """The preparation is done: from here on things may happen."""
        self._first = self.proxy.writes
        self._begun = len(self.proxy.log)
        self._asked = len(self.stage.world.asked)

    def asked(self) -> Counter[str]:
        """What the Jobs were asked since the preparation."""
        return Counter(self.stage.world.asked[self._asked :])

    def since(self) -> list[Asked]:
        """The operator's requests since the preparation."""
        return self.proxy.log[self._begun :]

    def place(self, asked: Asked) -> int:
        """Which write since the preparation it is, from 1; 0 or less for any other request."""
        return asked.write - self._first if asked.write else 0

    def counts(self) -> Counts:
        """What was made and removed since the preparation."""
        found = Counts()
        for asked in self.since():
            if asked.write and asked.plural != "events" and not asked.subresource:
                thing = f"{asked.plural}/{_HASH.sub('*', asked.name)}"
                found.created[thing] += asked.status == 201
                found.deleted[thing] += asked.verb == "delete" and asked.status == 200
        return Counts(+found.created, +found.deleted)

    async def at_rest(self, looks: int = 2, within: float = PATIENCE, *, refused: bool = False) -> None:
        """Wait until the operator has looked so often in a row, over as many resyncs, without a write (`refused`: that was taken)."""
        watched = "airflowclusters" if await self.stage.get(AIRFLOW_CLUSTER, CLUSTER) else "airflowbases"
        quiet = looks * RESYNC
        clock = asyncio.get_running_loop().time

        async def nothing_written() -> bool:
            written = (place for place, asked in enumerate(self.proxy.log) if asked.write and not (refused and asked.status >= 400))
            last = max(written, default=0)
            since = self.proxy.log[last:]
            # The last of them shows that the one before it came to its end.
            looked = sum(asked.verb == "get" and asked.plural == watched for asked in since)
            return looked > looks and clock() - since[0].at >= quiet

        nothing_written.__name__ = f"no write in {looks} looks"
        await eventually(nothing_written, within=within + quiet, every=0.25)

    async def settled(self, ready: bool = True) -> None:
        """Ready, and at rest."""
        if ready:
            await self.stage.ready(within=PATIENCE)
        await self.at_rest()

    async def patch(self, kind: Kind, name: str, operations: Sequence[dict[str, Any]]) -> None:
        """A JSON patch (RFC 6902) by kubectl."""
        resource = f"{kind.plural}{group_suffix(kind)}"
        await self.kubectl("patch", resource, name, "--type=json", "-p", json.dumps(list(operations)))

    async def kubectl(self, *args: str, document: Manifest | None = None) -> None:
        """Run it in the namespace; `document` is its stdin."""
        text = None if document is None else json.dumps(document)
        await asyncio.to_thread(self.stage.kubectl, *args, input=text)

    def excerpt(self, around: int | None = None, lines: int = 12) -> str:
        """The requests around the one with that number (None: the writes alone), oldest first."""
        if around is None:
            chosen = [asked for asked in self.since() if asked.write or asked.fate][-60:]
        else:
            chosen = [asked for asked in self.proxy.log if abs(asked.number - around) <= lines and asked.verb != "watch"]
        return "\n".join(str(asked) for asked in chosen)

    def story(self) -> str:
        """What a failure prints: the requests around what was done to them, the last writes, the operator's own words."""
        struck = [asked.number for asked in self.since() if asked.fate][:1]
        around = f"requests around the fault:\n{self.excerpt(struck[0])}\n" if struck else ""
        words = "\n".join(self.operator.log.splitlines()[-40:])
        return f"{around}last writes:\n{self.excerpt()}\noperator:\n{words}"


class Rig:
    """A control plane with everything that cases share."""

    def __init__(self, control_plane: ControlPlane, admin: Kube, upstream: aiohttp.ClientSession, zygote: Zygote, directory: Path) -> None:
        self.control_plane = control_plane
        self.admin = admin
        self._upstream = upstream
        self._zygote = zygote
        self._directory = directory

    @asynccontextmanager
    async def case(self, id: str, **settings: Any) -> AsyncIterator[Case]:
        """A fresh namespace; `settings` change the operator's. The operator is not started yet."""
        namespace = f"{id}-{next(_numbers)}"
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        await self.admin.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": labels}})
        directory = self._directory / namespace
        directory.mkdir()
        async with AsyncExitStack() as stack:
            player = await stack.enter_async_context(PodPlayer(self.control_plane, namespace))
            proxy = await stack.enter_async_context(Proxy(self._upstream, directory))
            operator = OperatorProcess(self._zygote, proxy.kubeconfig, namespace, directory / "operator.log", settings)
            stack.push_async_callback(operator.kill)
            case = Case(id, Stage(self.control_plane, namespace, self.admin, player), proxy, operator)
            try:
                yield case
            except Exception as error:
                error.add_note(case.story())
                raise


@asynccontextmanager
async def rig(control_plane: ControlPlane, directory: Path) -> AsyncIterator[Rig]:
    """Open for the event loop of one test."""
    async with AsyncExitStack() as stack:
        admin = await stack.enter_async_context(connect(control_plane.kubeconfig, user_agent="administrator"))
        upstream = await stack.enter_async_context(administrator(control_plane, directory))
        zygote = await stack.enter_async_context(Zygote())
        yield Rig(control_plane, admin, upstream, zygote, directory)


def conditions(resource: Live | None) -> set[tuple[str, str, str]]:
    """(type, status, reason) of every condition."""
    return {(item["type"], item["status"], item["reason"]) for item in dig(resource, "status", "conditions", default=[])}


async def told(stage: Stage) -> dict[str, set[tuple[str, str, str]]]:
    """What both resources say."""
    return {
        "AirflowBase": conditions(await stage.get(AIRFLOW_BASE, BASE)),
        "AirflowCluster": conditions(await stage.get(AIRFLOW_CLUSTER, CLUSTER)),
    }
