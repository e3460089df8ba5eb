"""The lifecycle steps that the sweeps disturb. A preparation is undisturbed; the step is what counts, and ends when it is at rest."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import count
from typing import Any

from airflow_operator.domain.kinds import AIRFLOW_CLUSTER, CHILD_KINDS, SECRET
from airflow_operator.domain.manifest import Live
from tests.faults.case import Case
from tests.faults.oracle import Kept
from tests.integration.scenario import CLUSTER, base, cluster

Step = Callable[[Case], Awaitable[None]]

REPOSITORY = "registry.example/airflow"
_tokens = count(1)
TOKEN = {"env": [{"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "token", "key": "token"}}}]}


@dataclass(frozen=True)
class Workflow:
    """One lifecycle step."""

    name: str
    prepare: Step
    step: Step
    """Declares something and returns when it is so."""
    back: Step | None = None
    """From its end to its beginning, undisturbed; None where only a new namespace will do."""
    theirs: tuple[tuple[str, str], ...] = ()
    """(kind, name) of what the user brings."""
    remade: tuple[str, ...] = ()
    """Names of Secrets that are deleted on the way: they come back with what they held."""
    drops: bool = False
    """Keys and data of the cluster go with it; those of the base stay."""

    def keeps(self, before: Kept) -> Kept:
        """What of it has to be there at the end; without UID where only the content counts."""
        kept = {key: value for key, value in before.objects.items() if not (self.drops and key[1].startswith(CLUSTER))}
        return Kept(kept).but(*self.remade)


async def nothing(case: Case) -> None:
    """The namespace is empty."""


def up(**spec: Any) -> Step:
    """A base and a cluster, at rest."""

    async def prepare(case: Case) -> None:
        await case.stage.apply(base(), cluster(**spec))
        await case.settled()

    return prepare


def changed(**spec: Any) -> Step:
    """The cluster's spec is another."""

    async def step(case: Case) -> None:
        await case.stage.apply(cluster(**spec))
        await case.settled()

    return step


def in_turn(*steps: Step) -> Step:
    """One after the other."""

    async def step(case: Case) -> None:
        for each in steps:
            await each(case)

    return step


def new_heads(tag: str) -> Step:
    """From now on an image brings another schema."""

    async def prepare(case: Case) -> None:
        case.stage.world.knows[f"{REPOSITORY}:{tag}"] = "heads-2"

    return prepare


async def token(case: Case) -> None:
    await case.stage.secret("token", token="one")


async def new_token(case: Case) -> None:
    before = await case.stage.templates()
    await case.stage.secret("token", token=str(next(_tokens)))

    async def rolled() -> bool:
        now = await case.stage.templates()
        return all(now.get(name) != template for name, template in before.items())

    await case.stage.until(rolled)
    await case.settled()


async def pause_and_resume(case: Case) -> None:
    await case.stage.apply(cluster(paused=True))
    await case.stage.says("Paused", "True")
    await case.stage.apply(cluster(paused=True, scheduler={"replicas": 2}))
    await case.stage.says("Paused", "True")
    await case.stage.apply(cluster(scheduler={"replicas": 2}))
    await case.settled()


async def deleted(case: Case) -> None:
    """Gone, with everything that goes with it."""
    await case.stage.delete(AIRFLOW_CLUSTER, CLUSTER)
    await case.stage.gone(AIRFLOW_CLUSTER, CLUSTER)

    async def collected() -> bool:
        found: list[Live] = [item for kind in CHILD_KINDS for item in await case.stage.children(kind)]
        return not [item for item in found if "ownerReferences" in item["metadata"]]

    # The garbage collector looks for new kinds every half minute.
    await case.stage.until(collected)
    await case.at_rest()


async def dropped(case: Case) -> None:
    await deleted(case)
    assert case.stage.world.databases == {}, "the database is left"
    left = [item["metadata"]["name"] for kind in CHILD_KINDS for item in await case.stage.children(kind)]
    assert not left, f"left over: {left}"


async def without_base(case: Case) -> None:
    await case.stage.apply(cluster())
    await case.stage.says("BaseReady", "False", "BaseNotFound")
    await case.at_rest()


async def late_base(case: Case) -> None:
    await case.stage.apply(base())
    await case.settled()


def restored(name: Callable[[Case], str]) -> Step:
    """A Secret with keys is deleted, and comes back."""

    async def step(case: Case) -> None:
        lost = await case.stage.must_get(SECRET, name(case))
        await case.stage.delete(SECRET, name(case))
        await case.stage.there(SECRET, name(case), but=lost["metadata"]["uid"])
        await case.settled()

    return step


def image(tag: str) -> dict[str, Any]:
    return {"image": {"repository": REPOSITORY, "tag": tag}}


GIT = [{"git": {"repo": "https://git.example/other.git", "ref": "main"}}, {"name": "built-in", "image": {"path": "/opt/dags"}}]
LOGS = {"logs": {"volume": {"size": "1Gi"}}}

CREATE = Workflow("create", nothing, up())

MANY = {"scheduler": {"replicas": 3}, "apiServer": {"replicas": 2}}
DROP = {**LOGS, "deletionPolicy": "Delete"}

WORKFLOWS = (
    CREATE,
    Workflow("scale-up", up(), changed(**MANY), back=changed()),
    Workflow("scale-down", up(**MANY), changed(), back=changed(**MANY)),
    Workflow("image", up(**image("a")), changed(**image("b")), back=changed(**image("a"))),
    Workflow("heads", in_turn(new_heads("b"), up(**image("a"))), changed(**image("b"))),
    Workflow("config", up(), changed(config={"core": {"parallelism": 7}}), back=changed()),
    Workflow("secret", in_turn(token, up(**TOKEN)), new_token, back=nothing, theirs=(("Secret", "token"),)),
    Workflow("dags", up(), changed(dags=GIT), back=changed()),
    Workflow("executor", up(), changed(executors=["LocalExecutor"]), back=changed()),
    Workflow("pause", up(), pause_and_resume, back=changed()),
    Workflow("delete", up(**LOGS), deleted, back=changed(**LOGS)),
    Workflow("drop", up(**DROP), dropped, back=changed(**DROP), drops=True),
    Workflow("late-base", without_base, late_base),
    Workflow("recreate", in_turn(up(**LOGS), deleted), changed(**LOGS), back=deleted),
    Workflow("key", up(), restored(lambda _: f"{CLUSTER}-keys"), back=nothing, remade=(f"{CLUSTER}-keys",)),
)
