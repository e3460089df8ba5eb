"""The oracle is no rubber stamp: each kind of divergence is planted once, and it is named."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from airflow_operator.domain.kinds import AIRFLOW_CLUSTER, CONFIG_MAP, DEPLOYMENT, JOB, PERSISTENT_VOLUME_CLAIM, SECRET, SERVICE
from airflow_operator.domain.manifest import Kind, Live
from tests.faults import oracle
from tests.faults.case import Case, Rig
from tests.faults.workflows import up
from tests.integration.scenario import BASE, CLUSTER, cluster

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]


def bare(item: Live, name: str = "") -> dict[str, Any]:
    """What it takes to make the object again."""
    meta = {key: item["metadata"][key] for key in ("name", "namespace", "labels", "ownerReferences") if key in item["metadata"]}
    body = {key: item[key] for key in ("apiVersion", "kind", "data", "type", "spec") if key in item}
    return {**body, "metadata": {**meta, "name": name or meta["name"]}}


async def by_another(case: Case, kind: Kind, name: str, **body: Any) -> None:
    await case.stage.apply({"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": name}, **body})


async def value(case: Case) -> None:
    await by_another(case, DEPLOYMENT, f"{CLUSTER}-scheduler", spec={"replicas": 5})


async def ownership(case: Case) -> None:
    change = {"op": "replace", "path": "/metadata/managedFields", "value": [{}]}
    await case.stage.admin.patch(DEPLOYMENT, case.namespace, f"{CLUSTER}-dag-processor", [change])


async def foreign_variable(case: Case) -> None:
    container = {"name": "api-server", "env": [{"name": "FOREIGN", "value": "x"}]}
    await by_another(case, DEPLOYMENT, f"{CLUSTER}-api-server", spec={"template": {"spec": {"containers": [container]}}})


async def missing(case: Case) -> None:
    await case.stage.delete(SERVICE, f"{CLUSTER}-triggerer")


async def left_over(case: Case) -> None:
    old = await case.stage.child(CONFIG_MAP, f"{CLUSTER}-config-")
    await case.stage.admin.create(bare(old, f"{CLUSTER}-config-old"))


async def ownerless(case: Case) -> None:
    change = {"op": "remove", "path": "/metadata/ownerReferences"}
    await case.stage.admin.patch(SERVICE, case.namespace, f"{CLUSTER}-api-server", [change])


async def key_changed(case: Case) -> None:
    await case.stage.secret(f"{CLUSTER}-keys", **{"api-secret-key": base64.b64encode(b"x").decode()})


async def key_anew(case: Case) -> None:
    old = await case.stage.must_get(SECRET, f"{CLUSTER}-admin")
    await case.stage.delete(SECRET, f"{CLUSTER}-admin")
    await case.stage.admin.create(bare(old))


async def data_lost(case: Case) -> None:
    await case.stage.delete(PERSISTENT_VOLUME_CLAIM, f"data-{BASE}-postgres-0")


async def second_migration(case: Case) -> None:
    old = await case.stage.child(JOB, f"{CLUSTER}-migrate-")
    again = bare(old, f"{CLUSTER}-migrate-again")
    # Suspended: it would count all the same, and has no pods to play.
    again["spec"] = {"suspend": True, "template": {"spec": {**old["spec"]["template"]["spec"]}}}
    await case.stage.admin.create(again)


async def old_generation(case: Case) -> None:
    await case.stage.apply(cluster(config={"core": {"parallelism": 3}}))


async def other_condition(case: Case) -> None:
    live = await case.stage.must_get(AIRFLOW_CLUSTER, CLUSTER)
    turned = [{**item, "reason": "Other"} for item in live["status"]["conditions"] if item["type"] == "DagsSynced"]
    await case.stage.admin.apply_status({**bare(live), "status": {"conditions": turned}}, manager="person")


async def traceback(case: Case) -> None:
    case.operator.log_file.write_text("Traceback (most recent call last):\n")


def counted(case: Case, verb: str, plural: str, status: int) -> None:
    last = next(asked for asked in case.proxy.log if asked.write)
    case.proxy.log.append(replace(last, write=1, verb=verb, plural=plural, name=f"{CLUSTER}-admin", subresource="", status=status))


async def made_twice(case: Case) -> None:
    counted(case, "create", "secrets", 201)


async def removed(case: Case) -> None:
    counted(case, "delete", "services", 200)


async def asked_twice(case: Case) -> None:
    case.stage.world.asked.append("migrate")


PLANTED: tuple[tuple[Callable[[Case], Awaitable[None]], str], ...] = (
    (value, f"{CLUSTER}-scheduler differs at .spec.replicas"),
    (ownership, f"{CLUSTER}-dag-processor: we own other fields than we set"),
    (foreign_variable, 'f:env/k:{"name":"FOREIGN"}'),
    (missing, f"{CLUSTER}-triggerer is missing"),
    (left_over, f"ConfigMap {CLUSTER}-config-old is left over"),
    (ownerless, f"Service {CLUSTER}-api-server belongs to nobody"),
    (key_changed, f"Secret {CLUSTER}-keys has another content"),
    (key_anew, f"Secret {CLUSTER}-admin was made anew"),
    (data_lost, f"PersistentVolumeClaim data-{BASE}-postgres-0 is lost"),
    (second_migration, "2 Jobs of component 'migrate'"),
    (other_condition, "AirflowCluster tells"),
    (old_generation, "AirflowCluster speaks of generation"),
    (traceback, "the operator's log says 'Traceback'"),
    (made_twice, f"secrets/{CLUSTER}-admin was made 1 times more"),
    (removed, f"services/{CLUSTER}-admin was removed 1 times more"),
    (asked_twice, "Jobs asked to migrate 2 times instead of 1"),
)


async def test_each_divergence_is_named(the_rig: Rig) -> None:
    async with the_rig.case("oracle") as case:
        await case.operator.start()
        await up()(case)
        before, norm = await oracle.kept(case.stage), await oracle.reference(case)
        assert await oracle.faults(case, before, norm) == []
        # Nobody mends what is planted from here on.
        await case.operator.kill()
        assert await oracle.faults(case, before, norm) == ["the operator ended by itself"]
        for plant, words in PLANTED:
            await plant(case)
            found = await oracle.faults(case, before, norm)
            assert [sentence for sentence in found if words in sentence], f"{plant.__name__} was not named: {found}"


async def test_an_operator_that_writes_at_every_look_is_never_at_rest(the_rig: Rig) -> None:
    async with the_rig.case("restless") as case:
        await case.operator.start()
        await up()(case)

        async def scribble() -> None:
            while True:
                counted(case, "patch", "deployments", 200)
                case.proxy.log[-1].at = asyncio.get_running_loop().time()
                await asyncio.sleep(1.0)

        scribbling = asyncio.create_task(scribble())
        with pytest.raises(AssertionError, match="no write in 2 looks"):
            await case.at_rest(within=5.0)
        scribbling.cancel()
