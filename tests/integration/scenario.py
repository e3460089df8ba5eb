"""A namespace with everything a scenario needs: pods that are played, an operator that can be started and ended, and a person's hands.

```python
async def test_x(stage: Stage) -> None:
    async with stage.operator():
        await stage.apply(base(), cluster())
        await stage.ready()
```
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import replace
from typing import Any

from airflow_operator.domain.kinds import AIRFLOW_CLUSTER, CHILD_KINDS, EVENT, POD
from airflow_operator.domain.manifest import Kind, Live, Manifest, dig
from airflow_operator.kube.protocol import Kube
from airflow_operator.reconcile.report import PACE
from airflow_operator.settings import Settings
from devcluster.control_plane import ControlPlane
from tests.integration.audit import Audit
from tests.integration.eventually import eventually
from tests.integration.players import PodPlayer
from tests.integration.rights import OPT_IN, Account
from tests.integration.running import QUICK, GivenHealth, RunningOperator, running_operator
from tests.integration.scenario_world import World

BASE = "platform"
CLUSTER = "prod"
API_VERSION = "airflow-operator.dev/v1alpha1"
PATIENCE = 60.0


def base(name: str = BASE, **spec: Any) -> Manifest:
    return {
        "apiVersion": API_VERSION,
        "kind": "AirflowBase",
        "metadata": {"name": name},
        "spec": {"database": {"postgres": {"storage": {"size": "1Gi"}}}, **spec},
    }


def cluster(name: str = CLUSTER, on: str = BASE, **spec: Any) -> Manifest:
    return {
        "apiVersion": API_VERSION,
        "kind": "AirflowCluster",
        "metadata": {"name": name},
        "spec": {
            "baseRef": {"name": on},
            "version": "3.3.2",
            "executors": ["KubernetesExecutor"],
            "dags": [{"git": {"repo": "https://git.example/dags.git"}}],
            **spec,
        },
    }


class Stage:
    """One namespace, and what happens in it."""

    def __init__(self, control_plane: ControlPlane, namespace: str, admin: Kube, player: PodPlayer, account: Account | None = None) -> None:
        """`account`: whom the operator is; without one it is a cluster administrator."""
        self.control_plane = control_plane
        self.account = account
        self.namespace = namespace
        self.admin = admin
        self.player = player
        self.world = World(player)
        self.health = GivenHealth()
        self.audit = Audit(control_plane, namespace)
        self.every = 0.05
        """Seconds between two looks at what is waited for."""
        self.patience = 0.0
        """The least time, in seconds, that anything is waited for."""

    @asynccontextmanager
    async def operator(self, *others: str, **changes: Any) -> AsyncIterator[RunningOperator]:
        """An operator for this namespace and `others`; `changes` are settings, or `hang_before_write`, or `rights_go`.

        It asks for nothing that it has no right to; where `rights_go` meanwhile, the look under way may.
        """
        hang, rights_go = changes.pop("hang_before_write", None), changes.pop("rights_go", False)
        settings: Settings = replace(QUICK, **{"opt_in": OPT_IN, **changes})
        kubeconfig = self.account.kubeconfig if self.account else self.control_plane.kubeconfig
        with self.account.refused_nothing() if self.account and not rights_go else nullcontext():
            async with running_operator(
                kubeconfig, self.namespace, *others, health=self.health, settings=settings, hang_before_write=hang
            ) as operator:
                yield operator

    # A person's hands.

    def kubectl(self, *args: str, input: str | None = None) -> str:
        return str(self.control_plane.kubectl("-n", self.namespace, *args, input=input).stdout)

    async def apply(self, *manifests: Manifest) -> None:
        """As `kubectl apply --server-side` does."""
        for manifest in manifests:
            meta = {**manifest["metadata"], "namespace": self.namespace}
            await self.admin.apply({**manifest, "metadata": meta}, manager="person")

    async def edit(self, kind: Kind, name: str, change: Mapping[str, Any]) -> None:
        """A merge patch."""
        await asyncio.to_thread(self.kubectl, "patch", kind.plural + group_suffix(kind), name, "--type=merge", "-p", json.dumps(change))

    async def edit_spec(self, name: str = CLUSTER, **spec: Any) -> None:
        await self.edit(AIRFLOW_CLUSTER, name, {"spec": spec})

    async def secret(self, name: str, **data: str) -> None:
        await self.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data, "type": "Opaque"})

    async def delete(self, kind: Kind, name: str) -> None:
        await self.admin.delete(kind, self.namespace, name)

    # What a person sees.

    async def get(self, kind: Kind, name: str) -> Live | None:
        return await self.admin.get(kind, self.namespace, name)

    async def must_get(self, kind: Kind, name: str) -> Live:
        found = await self.get(kind, name)
        assert found is not None, f"{kind.kind} {name} does not exist"
        return found

    async def gone(self, kind: Kind, name: str, within: float = PATIENCE) -> None:
        async def is_gone() -> bool:
            return await self.get(kind, name) is None

        is_gone.__name__ = f"{kind.kind} {name} is gone"
        await self.until(is_gone, within)

    async def there(self, kind: Kind, name: str, *, but: str = "") -> Live:
        """The object, once it exists (with another UID than `but`)."""

        async def exists() -> Live | None:
            found = await self.get(kind, name)
            return found if found is not None and found["metadata"]["uid"] != but else None

        exists.__name__ = f"{kind.kind} {name} exists"
        return await self.until(exists)

    async def children(self, kind: Kind, name: str = CLUSTER) -> list[Live]:
        return list(await self.admin.list(kind, self.namespace, labels=f"airflow-operator.dev/cluster={name}"))

    async def child(self, kind: Kind, prefix: str, name: str = CLUSTER) -> Live:
        """The one child whose name begins so."""
        found = [item for item in await self.children(kind, name) if item["metadata"]["name"].startswith(prefix)]
        assert len(found) == 1, f"{len(found)} of kind {kind.kind} begin with {prefix}"
        return found[0]

    async def templates(self, name: str = CLUSTER) -> dict[str, Any]:
        """Pod templates of the workloads, by component."""
        kinds = [kind for kind in CHILD_KINDS if kind.kind in ("Deployment", "StatefulSet")]
        return {item["metadata"]["name"]: item["spec"]["template"] for kind in kinds for item in await self.children(kind, name)}

    async def condition(self, type: str, name: str = CLUSTER, kind: Kind = AIRFLOW_CLUSTER) -> Live:
        """The condition as far as it is about the present generation; empty otherwise."""
        found = await self.must_get(kind, name)
        now = [
            item
            for item in dig(found, "status", "conditions", default=[])
            if item["type"] == type and item["observedGeneration"] == found["metadata"]["generation"]
        ]
        return now[0] if now else {}

    async def says(
        self,
        type: str,
        status: str,
        reason: str = "",
        *,
        name: str = CLUSTER,
        kind: Kind = AIRFLOW_CLUSTER,
        within: float = PATIENCE,
        words: str = "",
    ) -> Live:
        """Wait until the condition says this of the present generation."""
        seen: Live = {}

        async def says_so() -> Live | None:
            nonlocal seen
            seen = await self.condition(type, name, kind)
            fits = seen.get("status") == status and reason in ("", seen.get("reason")) and words in seen.get("message", "")
            return seen if fits else None

        try:
            return await self.until(says_so, within)
        except AssertionError:
            every = dig(await self.get(kind, name), "status", "conditions", default=[])
            told = "\n".join(f"{item['type']}={item['status']} {item['reason']}: {item['message']}" for item in every)
            raise AssertionError(f"{type}={status} {reason} {words!r} did not come in {within:g} s; now:\n{told}") from None

    async def ready(self, name: str = CLUSTER, within: float = PATIENCE) -> Live:
        """Wait until the cluster is ready and everything of it has settled; answers it."""
        await self.says("Ready", "True", name=name, within=within)
        return await self.must_get(AIRFLOW_CLUSTER, name)

    async def up(self, *manifests: Manifest, name: str = CLUSTER) -> Live:
        """A base and a cluster, ready."""
        await self.apply(base(), *(manifests or (cluster(name),)))
        return await self.ready(name)

    async def quiet(self, seconds: float = 1.5) -> None:
        """Wait until the operator has written nothing for so long."""
        await self._still(lambda client: self.audit.writes(client=client), seconds)

    async def settled(self) -> None:
        """Wait until not even a small change of status that was put off is left to write: what is written from then on is news."""
        await self.quiet(PACE + 0.5)

    async def rest(self, seconds: float = 1.5) -> None:
        """Wait until the operator has asked for nothing for so long."""
        await self._still(lambda client: self.audit.requests(client=client), seconds)

    async def looks(self, times: int = 3) -> None:
        """Wait until the operator has looked at the cluster so often since the audit log is read."""

        async def looked() -> bool:
            return self.audit.requests().count(f"get airflowclusters/{CLUSTER}") >= times

        looked.__name__ = f"{times} looks"
        await self.until(looked)

    async def _still(self, requests: Callable[[str], Sequence[str]], seconds: float) -> None:
        count = -1
        async with asyncio.timeout(PATIENCE + 10 * seconds):
            while count != (now := sum(len(requests(client)) for client in ("airflow-operator", "kopf"))):
                count = now
                await asyncio.sleep(seconds)

    async def events(self, name: str = CLUSTER) -> list[tuple[str, str]]:
        """(type, reason) of the Events about one of our resources, oldest first."""
        found = [item for item in await self.admin.list(EVENT, self.namespace) if item["involvedObject"]["name"] == name]
        ours = [item for item in found if item["source"].get("component") == "airflow-operator"]
        return [(item["type"], item["reason"]) for item in sorted(ours, key=lambda item: int(item["metadata"]["resourceVersion"]))]

    async def pods(self, name: str = CLUSTER) -> list[Live]:
        return list(await self.admin.list(POD, self.namespace, labels=f"airflow-operator.dev/cluster={name}"))

    async def until(self, condition: Callable[[], Any], within: float = PATIENCE) -> Any:
        return await eventually(condition, within=max(within, self.patience), every=self.every)


def group_suffix(kind: Kind) -> str:
    group = kind.api_version.rpartition("/")[0]
    return f".{group}" if group else ""
