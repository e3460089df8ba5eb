"""What lies behind the Jobs of a scenario: database servers, and images that know a schema."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from airflow_operator.domain.manifest import Live, dig
from tests.integration.players import Fail, Pend, Play, PodPlayer, Succeed

FIRST = "heads-1"


@dataclass
class Database:
    oid: int
    revision: str = ""
    """Empty: no schema yet."""
    owner: str = ""
    """UID of the namespace of its cluster."""


@dataclass
class World:
    """Answers the Jobs as the real scripts would, from databases that it remembers."""

    player: PodPlayer
    databases: dict[str, Database] = field(default_factory=dict)
    knows: dict[str, str] = field(default_factory=dict)
    """Image -> the schema that it brings; others bring the first one."""
    asked: list[str] = field(default_factory=list)
    """What the Jobs were asked, in their order: `migrate`, `check` ..."""
    _answers: dict[str, Play] = field(default_factory=dict)
    _oids: count[int] = field(default_factory=lambda: count(1))
    _given: dict[str, Callable[[Live], Play]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for job in ("provision", "check", "migrate", "users", "deprovision", "probe", "database"):
            self.player.play(f"*-{job}-*", self.play)

    def answers(self, job: str, play: Play | Callable[[Live], Play]) -> None:
        """From now on a kind of Job ends so."""
        self._given[job] = play if callable(play) else lambda _: play

    def answers_by_itself(self, job: str) -> None:
        """Take back what `answers` said, also for those that still wait."""
        del self._given[job]
        self._answers = {uid: play for uid, play in self._answers.items() if not isinstance(play, Pend)}
        self.player.play(f"*-{job}-*", self.play)

    def play(self, pod: Live) -> Play:
        """What a Job's pod does."""
        uid = pod["metadata"]["uid"]
        if uid not in self._answers:
            env = {item["name"]: item.get("value", "") for item in dig(pod, "spec", "containers", 0, "env", default=[])}
            job = env["ACTION"].lower() if "ACTION" in env else dig(pod, "spec", "containers", 0, "name")
            name = env.get("DATABASE") or dig(pod, "metadata", "labels", "airflow-operator.dev/cluster")
            self.asked.append(job)
            given = self._given.get(job)
            self._answers[uid] = given(pod) if given else getattr(self, job if job == "migrate" else f"_{job}")(pod, name)
        return self._answers[uid]

    def _provision(self, pod: Live, name: str) -> Play:
        cluster = dig(pod, "metadata", "labels", "airflow-operator.dev/cluster")
        created = cluster not in self.databases
        env = {item["name"]: item.get("value", "") for item in dig(pod, "spec", "containers", 0, "env", default=[])}
        owner = json.loads(env["OWNER"])["namespaceUID"]
        found = self.databases.setdefault(cluster, Database(next(self._oids), owner=owner) if created else Database(0))
        if owner != found.owner and "ADOPT" not in env:
            return told("OwnershipConflict", message=f"It belongs to namespace UID {found.owner}.", left=True)
        found.owner = owner
        return told("Provisioned", created=created, empty=not found.revision, systemIdentifier="1", oid=found.oid, serverVersion="17.5")

    def _probe(self, pod: Live, name: str) -> Play:
        return told("Answers", serverVersion="16.4")

    def _inspect(self, pod: Live, name: str) -> Play:
        found = self.databases.setdefault(dig(pod, "metadata", "labels", "airflow-operator.dev/cluster"), Database(next(self._oids)))
        return told("Provisioned", created=False, empty=not found.revision, systemIdentifier="2", oid=found.oid, serverVersion="16.4")

    def _deprovision(self, pod: Live, name: str) -> Play:
        self.databases.pop(dig(pod, "metadata", "labels", "airflow-operator.dev/cluster"), None)
        return told("Deprovisioned")

    def _check(self, pod: Live, name: str) -> Play:
        wanted = self._wanted(pod)
        found = self.databases[name].revision
        verdict = "Empty" if not found else "Current" if found == wanted else "Behind" if found < wanted else "Unknown"
        return told(verdict, database={"airflow": [found]}, image={"airflow": [wanted]})

    def migrate(self, pod: Live, name: str = "") -> Play:
        """The migration, unless the database is another than was expected."""
        name = name or dig(pod, "metadata", "labels", "airflow-operator.dev/cluster")
        found, wanted = self.databases[name].revision, self._wanted(pod)
        expected = json.loads(next(item["value"] for item in pod["spec"]["containers"][0]["env"] if item["name"] == "EXPECT"))
        if found not in (wanted, "" if expected == "Empty" else expected["airflow"][0]):
            return told("Stale", message="The database has changed since.")
        self.databases[name].revision = wanted
        return told("Migrated")

    def _users(self, pod: Live, name: str) -> Play:
        return told("Created")

    def _wanted(self, pod: Live) -> str:
        return self.knows.get(dig(pod, "spec", "containers", 0, "image"), FIRST)


def told(result: str, **more: Any) -> Succeed:
    """A Job that ends with this result."""
    return Succeed(json.dumps({"result": result, **more}))


def failed(result: str, message: str) -> Fail:
    """A Job that ends badly, with last words."""
    return Fail(json.dumps({"result": result, "message": message}))
