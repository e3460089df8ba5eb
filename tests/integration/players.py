"""Stands for scheduler, kubelet and storage on a control plane without nodes.

```python
async with PodPlayer(control_plane, namespace) as player:
    player.play("*-migrate-*", Succeed('{"result": "migrated"}'))
    player.play("demo-scheduler-*", CrashLoop("no database"))
```

Pods become what the test says as soon as they appear, so Jobs end and Deployments and StatefulSets become available within moments.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from itertools import count
from typing import Any, Self

from airflow_operator.domain.kinds import PERSISTENT_VOLUME_CLAIM, POD
from airflow_operator.domain.manifest import Live, Manifest, dig
from airflow_operator.kube.client import connect
from airflow_operator.kube.errors import ApiError, Unavailable
from airflow_operator.kube.protocol import Kube
from devcluster.control_plane import ControlPlane

JOB_NAME = "batch.kubernetes.io/job-name"
MANAGER = "pod-player"


@dataclass(frozen=True)
class Run:
    """The pod runs; ready unless said otherwise."""

    ready: bool = True


@dataclass(frozen=True)
class Succeed:
    """The pod ends well; `message` is the termination message of its first container."""

    message: str = ""


@dataclass(frozen=True)
class Fail:
    """The pod ends badly."""

    message: str = ""
    exit_code: int = 1


@dataclass(frozen=True)
class CrashLoop:
    """The first container fails again and again, with this termination message."""

    message: str = ""
    container: str = ""
    """Name of another container that fails instead, init containers included."""


@dataclass(frozen=True)
class Pend:
    """Nothing happens to the pod."""


Play = Run | Succeed | Fail | CrashLoop | Pend


class PodPlayer:
    """Plays the pods of some namespaces, and gives every claim a volume."""

    def __init__(self, control_plane: ControlPlane, *namespaces: str) -> None:
        """By default pods of Jobs succeed without a message and all others run and are ready."""
        self._control_plane = control_plane
        self._namespaces = namespaces
        self._plays: list[tuple[str, Play | Callable[[Live], Play]]] = []
        self._played: dict[str, Play] = {}
        self._addresses = count(1)
        self._changed = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._kube: Kube

    async def __aenter__(self) -> Self:
        """Begin to play."""
        self._connection = connect(self._control_plane.kubeconfig, user_agent=MANAGER)
        self._kube = await self._connection.__aenter__()
        for namespace in self._namespaces:
            self._tasks.append(asyncio.create_task(self._follow_pods(namespace)))
            self._tasks.append(asyncio.create_task(self._follow_claims(namespace)))
        self._tasks.append(asyncio.create_task(self._follow_plays()))
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Stop; a failure of the player itself is raised here."""
        ended = [task for task in self._tasks if task.done()]
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._connection.__aexit__(None, None, None)
        for task in ended:
            task.result()

    def play(self, pattern: str, play: Play | Callable[[Live], Play]) -> None:
        """From now on, pods whose Job's name (or own name) matches are played so; the last match counts. Ended pods stay as they are."""
        self._plays.append((pattern, play))
        self._changed.set()

    async def _follow_plays(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            for namespace in self._namespaces:
                for pod in await self._kube.list(POD, namespace):
                    await self._perform(pod)

    async def _follow_pods(self, namespace: str) -> None:
        while True:
            try:
                async for event, item in self._kube.watch_metadata(POD, namespace):
                    if event == "DELETED":
                        self._played.pop(item["metadata"]["uid"], None)
                    elif pod := await self._kube.get(POD, namespace, item["metadata"]["name"]):
                        await self._perform(pod)
            except Unavailable:
                await asyncio.sleep(0.2)

    async def _perform(self, pod: Live) -> None:
        uid = pod["metadata"]["uid"]
        play = self._play_for(pod)
        over = dig(pod, "status", "phase") in ("Succeeded", "Failed") or dig(pod, "metadata", "deletionTimestamp")
        if over or isinstance(play, Pend) or self._played.get(uid) == play:
            return
        self._played[uid] = play
        metadata = {"name": pod["metadata"]["name"], "namespace": pod["metadata"]["namespace"], "uid": uid}
        status = _status(pod, play, f"10.244.0.{next(self._addresses) % 250 + 1}")
        try:
            await self._kube.apply_status({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "status": status}, manager=MANAGER)
        except ApiError as error:
            # Deleted meanwhile.
            if error.status not in (404, 409):
                raise

    def _play_for(self, pod: Live) -> Play:
        job = dig(pod, "metadata", "labels", JOB_NAME)
        name = job or pod["metadata"]["name"]
        for pattern, play in reversed(self._plays):
            if fnmatchcase(name, pattern):
                return play(pod) if callable(play) else play
        return Succeed() if job else Run()

    async def _follow_claims(self, namespace: str) -> None:
        bound: set[str] = set()
        while True:
            try:
                async for event, item in self._kube.watch_metadata(PERSISTENT_VOLUME_CLAIM, namespace):
                    uid = item["metadata"]["uid"]
                    if event != "ADDED" or uid in bound:
                        continue
                    if claim := await self._kube.get(PERSISTENT_VOLUME_CLAIM, namespace, item["metadata"]["name"]):
                        bound.add(uid)
                        await asyncio.to_thread(self._control_plane.kubectl, "apply", "-f", "-", input=json.dumps(_volume(claim)))
            except Unavailable:
                await asyncio.sleep(0.2)


def _volume(claim: Live) -> Manifest:
    """A volume that only this claim can take: the control plane binds the two."""
    metadata, spec = claim["metadata"], claim["spec"]
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"pv-{metadata['uid']}"},
        "spec": {
            "storageClassName": spec.get("storageClassName", ""),
            "capacity": {"storage": spec["resources"]["requests"]["storage"]},
            "accessModes": spec["accessModes"],
            "persistentVolumeReclaimPolicy": "Retain",
            "hostPath": {"path": "/nowhere"},
            "claimRef": {"namespace": metadata["namespace"], "name": metadata["name"], "uid": metadata["uid"]},
        },
    }


def _status(pod: Live, play: Play, address: str) -> dict[str, Any]:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    ready = isinstance(play, Run) and play.ready
    conditions = {"PodScheduled": True, "Initialized": True, "ContainersReady": ready, "Ready": ready}
    spec = pod["spec"]
    return {
        "phase": {Succeed: "Succeeded", Fail: "Failed"}.get(type(play), "Running"),
        "podIP": address,
        "podIPs": [{"ip": address}],
        "startTime": now,
        "conditions": [
            {"type": name, "status": "True" if value else "False", "lastTransitionTime": now} for name, value in conditions.items()
        ],
        "initContainerStatuses": [
            _container(each, _role(each, play, init=True, first=False), now) for each in spec.get("initContainers", [])
        ],
        "containerStatuses": [
            _container(each, _role(each, play, init=False, first=not place), now) for place, each in enumerate(spec["containers"])
        ],
    }


def _role(container: Live, play: Play, *, init: bool, first: bool) -> Play:
    """What of the play falls on one container."""
    if isinstance(play, CrashLoop) and (container["name"] == play.container if play.container else first):
        return play
    if init and container.get("restartPolicy") != "Always":
        return Succeed()
    if isinstance(play, Run | CrashLoop):
        return Run(isinstance(play, CrashLoop) or play.ready)
    return play if first else Succeed()


def _container(container: Live, role: Play, now: str) -> dict[str, Any]:
    ended = {"startedAt": now, "finishedAt": now}
    status: dict[str, Any] = {
        "name": container["name"],
        "image": container["image"],
        "imageID": f"sha256:{'0' * 64}",
        "ready": False,
        "started": False,
        "restartCount": 0,
    }
    if isinstance(role, Run):
        return status | {"ready": role.ready, "started": True, "state": {"running": {"startedAt": now}}}
    if isinstance(role, CrashLoop):
        last = {"exitCode": 1, "reason": "Error", "message": role.message, **ended}
        waiting = {"reason": "CrashLoopBackOff", "message": "back-off restarting failed container"}
        return status | {"restartCount": 3, "state": {"waiting": waiting}, "lastState": {"terminated": last}}
    failed = isinstance(role, Fail)
    message = role.message if isinstance(role, Succeed | Fail) else ""
    code = role.exit_code if isinstance(role, Fail) else 0
    return status | {"state": {"terminated": {"exitCode": code, "reason": "Error" if failed else "Completed", "message": message, **ended}}}
