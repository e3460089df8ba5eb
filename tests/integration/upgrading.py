"""From the operator of an earlier release to this one, over clusters that the earlier one made: who noticed, and what was written."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tarfile
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from io import BytesIO
from pathlib import Path
from typing import Any

import yaml

from airflow_operator.domain.kinds import AIRFLOW_BASE, AIRFLOW_CLUSTER, CHILD_KINDS, LEASE, POD
from airflow_operator.domain.labels import MANAGED_BY, MANAGER
from airflow_operator.domain.manifest import Live, Manifest, dig
from tests.integration.audit import Audit
from tests.integration.certificates import certificate
from tests.integration.running import SOURCE, install_crds, operator_process
from tests.integration.scenario import Stage

ROOT = Path(__file__).parents[2]
UNTAGGED = "6e991734fe5cd2e6b3e3b9f22226cbe0db791759"
"""Stands for the last release until there is one."""
RESYNC = 2.0
LOOKS = 3
"""So often the new operator has looked at each resource before it is judged."""
PATIENCE = 240.0
"""Seconds until all clusters are ready: there are several, on a machine that may have other work."""


class NoHistory(Exception):
    """The source of the earlier release cannot be had."""


def unpack_release(directory: Path) -> str:
    """Put the source of the last release into `directory`, or that of the commit UPGRADE_FROM; answers which. Raises NoHistory."""
    # A release is not its own predecessor: where this commit bears a tag, the one before it counts.
    wanted = os.environ.get("UPGRADE_FROM") or _git("describe", "--tags", "--abbrev=0", "--match=v*", "HEAD^") or UNTAGGED.encode()
    name = (wanted if isinstance(wanted, str) else wanted.decode()).strip()
    archive = _git("archive", "--format=tar", name)
    if not archive:
        raise NoHistory(f"there is no commit {name} in the history here: a release's tarball, or a shallow clone")
    with tarfile.open(fileobj=BytesIO(archive)) as tar:
        tar.extractall(directory, filter="data")
    return name


def _git(*args: str) -> bytes:
    """What git says; nothing where it cannot say it."""
    git = shutil.which("git")
    return subprocess.run([git, "-C", str(ROOT), *args], capture_output=True, check=False).stdout if git else b""


def imported_from(source: Path) -> Path:
    """The package that Python takes for airflow_operator where it is told to look in `source`."""
    command = [sys.executable, "-c", "import airflow_operator; print(airflow_operator.__file__)"]
    done = subprocess.run(command, cwd=source, env={**os.environ, "PYTHONPATH": str(source)}, capture_output=True, text=True, check=True)
    return Path(done.stdout.strip()).parent


def sample(tree: Path, name: str) -> list[Manifest]:
    """A sample's documents; where it says `change-me` for certificates there are some."""
    documents = [document for document in yaml.safe_load_all((tree / "manifests" / "samples" / f"{name}.yaml").read_text()) if document]
    for document in documents:
        for key, text in document.get("data", {}).items():
            if "BEGIN CERTIFICATE" in text:
                document["data"][key] = certificate()
    return documents


@dataclass(frozen=True)
class Picture:
    """A namespace at one moment; objects by `PLURAL/NAME`."""

    children: Mapping[str, Live]
    pods: Mapping[str, str]
    """UID by name, of pods that are no Job's."""
    ready: Mapping[str, tuple[str, str]]
    """Status of the condition Ready and when it turned last, of both kinds of resources."""

    @classmethod
    async def of(cls, stage: Stage) -> Picture:
        """What is there now."""
        ours = f"{MANAGED_BY}={MANAGER}"
        children = {
            f"{kind.plural}/{item['metadata']['name']}": item
            for kind in CHILD_KINDS
            for item in await stage.admin.list(kind, stage.namespace, labels=ours)
        }
        pods = await stage.admin.list(POD, stage.namespace, labels=f"{ours},!batch.kubernetes.io/job-name")
        resources = [
            (kind.plural, item) for kind in (AIRFLOW_BASE, AIRFLOW_CLUSTER) for item in await stage.admin.list(kind, stage.namespace)
        ]
        return cls(
            children,
            {item["metadata"]["name"]: item["metadata"]["uid"] for item in pods},
            {f"{plural}/{item['metadata']['name']}": _ready(item) for plural, item in resources},
        )

    def uids(self, plural: str = "") -> dict[str, str]:
        """UIDs of the children, of all of them or of one kind."""
        return {name: item["metadata"]["uid"] for name, item in self.children.items() if name.startswith(plural)}

    def templates(self) -> dict[str, Any]:
        """Pod templates of the Deployments and StatefulSets."""
        return {
            name: item["spec"]["template"] for name, item in self.children.items() if name.startswith(("deployments/", "statefulsets/"))
        }


def _ready(resource: Live) -> tuple[str, str]:
    found = [item for item in dig(resource, "status", "conditions", default=[]) if item["type"] == "Ready"]
    return (found[0]["status"], found[0]["lastTransitionTime"]) if found else ("", "")


@dataclass(frozen=True)
class Takeover:
    """What the change of operators did."""

    before: Picture
    after: Picture
    requests: Sequence[str]
    """Writes of both, since the CRDs of the new one were applied: `VERB PLURAL/NAME`."""

    @property
    def templates(self) -> set[str]:
        """Workloads whose pod template changed, or that are gone or new."""
        old, new = self.before.templates(), self.after.templates()
        return {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)}

    @property
    def restarted(self) -> set[str]:
        """Pods that are not there any more."""
        return {name for name, uid in self.before.pods.items() if self.after.pods.get(name) != uid}

    @property
    def deleted(self) -> set[str]:
        """Children that are not there any more."""
        new = set(self.after.uids().values())
        return {name for name, uid in self.before.uids().items() if uid not in new}

    @property
    def writes(self) -> Counter[str]:
        """Writes to children."""
        ours = (AIRFLOW_CLUSTER.plural, AIRFLOW_BASE.plural, "events", LEASE.plural)
        return Counter(item for item in self.requests if "(dry run)" not in item and item.split()[1].split("/")[0] not in ours)

    @property
    def statuses(self) -> int:
        """Writes of status."""
        return sum(item.endswith("/status") for item in self.requests)


def unexplained(found: set[str] | Counter[str], reasons: Mapping[str, str]) -> list[str]:
    """What of `found` no pattern of `reasons` covers."""
    return sorted(item for item in found if not any(fnmatchcase(item, pattern) for pattern in reasons))


def unused(reasons: Mapping[str, str], found: set[str] | Counter[str]) -> list[str]:
    """Patterns that cover nothing of `found`."""
    return [pattern for pattern in reasons if not any(fnmatchcase(item, pattern) for item in found)]


class Upgrade:
    """The earlier operator's clusters in the stage's namespace, and the change of operators over them."""

    def __init__(self, stage: Stage, tree: Path, logs: Path) -> None:
        """`tree` is the earlier release's source."""
        self.stage = stage
        self._tree = tree
        self._logs = logs
        # As an install has it: each release has an image of its own, and git-sync calls.
        self._settings = {"git_sync_webhook_url": "http://airflow-operator.example:8090", "own_namespace": "airflow-operator"}

    @asynccontextmanager
    async def operator(self, name: str, source: Path, **settings: Any) -> AsyncIterator[subprocess.Popen[bytes]]:
        """A process of the operator whose image and pod are named so."""
        stage, log = self.stage, self._logs / name
        given = {**self._settings, "image": f"operator:{name}", "resync": RESYNC, **settings}
        process = operator_process(stage.control_plane.kubeconfig, stage.namespace, log, pod=name, source=source, **given)
        try:
            yield process
        except BaseException as error:
            error.add_note(f"the {name} operator:\n" + "\n".join(log.read_text().splitlines()[-30:]))
            raise
        finally:
            process.kill()
            process.wait()

    async def run(self, samples: Sequence[str], **settings: Any) -> Takeover:
        """Make the clusters by the earlier operator (which may have `settings` of its own), and have the present one take over."""
        stage = self.stage
        async with self.operator("earlier", self._tree / "operator", **settings) as earlier:
            for name in samples:
                await stage.apply(*sample(self._tree, name))
            await self._all_ready()
            await stage.quiet()
            before = await Picture.of(stage)
            stage.audit.reset()
            # In the order of docs: the CRDs, then a replica of the new release beside the one of the old, which ends and hands over.
            install_crds(stage.control_plane)
            async with self.operator("present", SOURCE):
                await self._stands_by("present")
                earlier.send_signal(signal.SIGTERM)
                assert await asyncio.to_thread(earlier.wait, 30) == 0
                await self._looked_at(before.ready)
                await stage.quiet()
                return Takeover(before, await Picture.of(stage), self._requests())

    def _requests(self) -> list[str]:
        return [*self.stage.audit.writes(), *self.stage.audit.writes(client="kopf")]

    async def _all_ready(self) -> None:
        seen: dict[str, tuple[str, str]] = {}

        async def all_ready() -> bool:
            nonlocal seen
            seen = dict((await Picture.of(self.stage)).ready)
            return all(status == "True" for status, _ in seen.values())

        try:
            await self.stage.until(all_ready, within=PATIENCE)
        except AssertionError:
            waiting = [name for name, (status, _) in seen.items() if status != "True"]
            words = [self.stage.kubectl("get", name, "-o", "jsonpath={.status.conditions}") for name in waiting]
            raise AssertionError(f"not ready within {PATIENCE:.0f} s: {dict(zip(waiting, words, strict=True))}") from None

    async def _stands_by(self, name: str) -> None:
        async def stands_by() -> bool:
            return b"standing by" in (self._logs / name).read_bytes()

        await self.stage.until(stands_by)

    async def _looked_at(self, resources: Mapping[str, Any]) -> None:
        since = Audit(self.stage.control_plane, self.stage.namespace)

        async def looked_at_all() -> bool:
            seen = Counter(since.requests())
            # Of the last look it is not known whether it has come to its end.
            return all(seen[f"get {name}"] > LOOKS for name in resources)

        await self.stage.until(looked_at_all, within=120)
