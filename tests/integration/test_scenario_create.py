"""From `kubectl apply` to Ready on a real API server, with the whole operator and pods that are played: what is written, and how often."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from airflow_operator.domain import labels, names
from airflow_operator.domain.kinds import (
    AIRFLOW_BASE,
    AIRFLOW_CLUSTER,
    CONFIG_MAP,
    DEPLOYMENT,
    INGRESS,
    POD,
    ROLE_BINDING,
    SECRET,
    SERVICE,
    SERVICE_ACCOUNT,
)
from airflow_operator.domain.manifest import dig
from airflow_operator.reconcile import keys
from tests.integration.running import RunningOperator
from tests.integration.scenario import BASE, CLUSTER, Stage, base, cluster

pytestmark = pytest.mark.integration


def told(op: RunningOperator, kind: str = "AirflowCluster") -> list[dict[str, Any]]:
    """Every status that was written, oldest first."""
    return [manifest["status"] for manifest in op.kube.statuses if manifest["kind"] == kind]


def turn(status: dict[str, Any]) -> tuple[str, ...]:
    """What a write of status has to have changed, unless some time has passed."""
    heads = {item["type"]: item["status"] for item in status["conditions"]}
    return status["phase"], str(status["observedGeneration"]), heads["Ready"], heads["Degraded"]


async def test_creation_costs_one_write_a_child_one_finalizer_and_one_status_a_phase(stage: Stage) -> None:
    async with stage.operator() as op:
        await stage.apply(base(), cluster())
        made = await stage.ready()
        assert dig(made, "status", "phase") == "Running"
        assert dig(made, "status", "schedulers") == "1/1"
        assert dig(made, "status", "auth", "adminSecretRef", "name") == f"{CLUSTER}-admin"
        await stage.quiet()
        statuses = told(op)
    assert sorted(stage.audit.writes(client="kopf")) == ["patch airflowbases/platform", f"patch airflowclusters/{CLUSTER}"]
    written = Counter(item for item in stage.audit.writes() if "events" not in item and "/status" not in item)
    assert set(written.values()) == {1}, written
    assert len(written) == 3 + 26, sorted(written)
    turns = [turn(status) for status in statuses]
    # A slow machine may stay in one phase for longer than the pace at which counters are written.
    assert len(turns) - len(set(turns)) <= 2, turns
    assert [phase for phase, *_ in dict.fromkeys(turns)][-1] == "Running"
    assert turns.count(turns[-1]) == 1


async def test_first_look_asks_for_what_shows_that_nothing_was_made_and_for_no_more(stage: Stage) -> None:
    """And what somebody else has by one of the names stays as it is."""
    async with stage.operator():
        await stage.apply(base())
        await stage.says("Ready", "True", name=BASE, kind=AIRFLOW_BASE)
        stage.kubectl("create", "service", "clusterip", f"{CLUSTER}-api-server", "--tcp=80")
        theirs = await stage.must_get(SERVICE, f"{CLUSTER}-api-server")
        await stage.rest()
        stage.audit.reset()
        await stage.apply(cluster())
        message = (await stage.says("ObjectsApplied", "False", "NameConflict"))["message"]
        asked = stage.audit.requests()
    assert f"{CLUSTER}-api-server" in message
    before = asked[: next(number for number, request in enumerate(asked) if request.startswith("patch"))]
    lists = {request for request in before if request.startswith("list")}
    assert lists >= {"list secrets", "list jobs"}
    assert lists.isdisjoint(f"list {kind.plural}" for kind in (CONFIG_MAP, DEPLOYMENT, INGRESS, ROLE_BINDING, SERVICE_ACCOUNT))
    assert not [request for request in before if request.startswith(("get services", "get deployments", "get configmaps"))]
    assert any(request.startswith("patch serviceaccounts") for request in asked), "the rest was not made"
    assert await stage.must_get(SERVICE, f"{CLUSTER}-api-server") == theirs


@pytest.mark.parametrize("name", [f"{CLUSTER}-keys", f"{CLUSTER}-admin"])
async def test_a_secret_that_was_put_back_without_its_labels_is_used_from_the_first_look_on(stage: Stage, name: str) -> None:
    content = keys.generate() if name.endswith("keys") else {"username": "admin", "password": "put back"}
    marks = {labels.MANAGED_BY: labels.MANAGER}
    meta = {"name": name, "namespace": stage.namespace, "labels": marks}
    await stage.admin.create({"apiVersion": "v1", "kind": "Secret", "metadata": meta, "data": keys.encode(content)})
    before = await stage.must_get(SECRET, name)
    async with stage.operator():
        await stage.up()
        after = await stage.must_get(SECRET, name)
        copy = await stage.must_get(SECRET, names.keys_copy(stage.namespace, CLUSTER))
    assert (after["metadata"]["uid"], keys.decode(after)) == (before["metadata"]["uid"], content)
    assert after["metadata"]["labels"][labels.CLUSTER] == CLUSTER
    assert not name.endswith("keys") or keys.decode(copy) == content


async def test_events_tell_of_each_turn_once(stage: Stage) -> None:
    async with stage.operator() as op:
        await stage.up()
        await stage.quiet()
        statuses = told(op)
        events = Counter(await stage.events())
    assert events["Normal", "Ready"] >= 1
    assert not [event for event in events if event[0] == "Warning"]
    turned: Counter[str] = Counter()
    for before, after in zip([{"conditions": []}, *statuses], statuses, strict=False):
        known = {item["type"]: (item["status"], item["reason"]) for item in before["conditions"]}
        turned.update(item["reason"] for item in after["conditions"] if known.get(item["type"]) != (item["status"], item["reason"]))
    assert all(count <= turned[reason] for (_, reason), count in events.items()), (events, turned)


async def test_resync_of_an_unchanged_cluster_writes_nothing(stage: Stage) -> None:
    async with stage.operator(resync=0.5):
        await stage.up()
        await stage.settled()
        stage.audit.reset()
        await stage.looks()
    assert stage.audit.writes() == []
    assert stage.audit.writes(client="kopf") == []


async def test_idle_asks_for_nothing(stage: Stage) -> None:
    async with stage.operator():
        await stage.up()
        await stage.rest(3.0)
        stage.audit.reset()
        # That nothing comes can only be waited for.
        await asyncio.sleep(5.0)
        assert asked(stage) == Counter()


async def test_lists_come_from_the_resync_alone(stage: Stage) -> None:
    async with stage.operator(resync=2.0):
        await stage.up()
        await stage.settled()
        stage.audit.reset()
        await stage.looks()
    found = asked(stage)
    looks = found[f"get airflowclusters/{CLUSTER}"] + found[f"get airflowbases/{BASE}"]
    lists = {request: count for request, count in found.items() if request.startswith("list ")}
    assert lists["list deployments"]
    # Of Secrets there are the cluster's own and those beside its base.
    assert not {request: count for request, count in lists.items() if count > 2 * looks}, (lists, looks)


def asked(stage: Stage) -> Counter[str]:
    """The requests of the operator and its framework, but for watches."""
    requests = [*stage.audit.requests(), *stage.audit.requests(client="kopf")]
    return Counter(request for request in requests if not request.startswith("watch "))


async def test_one_field_is_one_child_and_the_status(stage: Stage) -> None:
    async with stage.operator():
        await stage.up()
        await stage.settled()
        stage.audit.reset()
        await stage.edit_spec(scheduler={"replicas": 2})
        await stage.ready()
        await stage.quiet()
        assert dig(await stage.must_get(AIRFLOW_CLUSTER, CLUSTER), "status", "schedulers") == "2/2"
    written = [item for item in stage.audit.writes() if "events" not in item]
    assert written.count(f"patch deployments/{CLUSTER}-scheduler") == 1
    assert set(written) == {f"patch deployments/{CLUSTER}-scheduler", f"patch airflowclusters/{CLUSTER}/status"}
    # Progressing, a counter perhaps, Running.
    assert len(written) <= 4, written


async def test_config_rolls_every_component_in_order_and_the_old_file_goes(stage: Stage) -> None:
    async with stage.operator():
        await stage.up()
        await stage.settled()
        before = await stage.child(CONFIG_MAP, f"{CLUSTER}-config-")
        stage.audit.reset()
        await stage.edit_spec(config={"core": {"parallelism": 7}})
        await stage.ready()
        await stage.gone(CONFIG_MAP, before["metadata"]["name"])
        after = await stage.child(CONFIG_MAP, f"{CLUSTER}-config-")
        await stage.quiet()
    assert "parallelism = 7" in after["data"]["airflow.cfg"]
    written = [item for item in stage.audit.writes() if "events" not in item and "/status" not in item]
    rolled = [item for item in written if "deployments" in item or "statefulsets" in item]
    assert rolled == [
        f"patch deployments/{CLUSTER}-api-server",
        f"patch deployments/{CLUSTER}-scheduler",
        f"patch deployments/{CLUSTER}-dag-processor",
        f"patch statefulsets/{CLUSTER}-triggerer",
    ]
    # The task pod template names the file too.
    assert Counter(item.split("/")[0] for item in written if item not in rolled) == {"patch configmaps": 2, "delete configmaps": 2}


async def test_old_config_stays_while_a_pod_refers_to_it(stage: Stage) -> None:
    # Nobody watches task pods, of which there may be thousands: the resync finds that one ended.
    async with stage.operator(resync=1.0):
        await stage.up()
        before = await stage.child(CONFIG_MAP, f"{CLUSTER}-config-")
        name = before["metadata"]["name"]
        await stage.apply(task_pod(name))
        await stage.edit_spec(config={"core": {"parallelism": 7}})
        await stage.ready()
        await stage.quiet()
        assert await stage.get(CONFIG_MAP, name), "a task that runs still reads it"
        await asyncio.to_thread(stage.kubectl, "delete", "pod", "task-1", "--now")
        await stage.gone(CONFIG_MAP, name)


def task_pod(config: str) -> dict[str, Any]:
    """A task pod as KubernetesExecutor makes it."""
    security = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "task-1",
            "labels": {"airflow-operator.dev/cluster": CLUSTER, "app.kubernetes.io/component": "task"},
        },
        "spec": {
            "serviceAccountName": f"{CLUSTER}-task",
            "securityContext": {"runAsNonRoot": True, "runAsUser": 50000, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{"name": "base", "image": "airflow", "securityContext": security}],
            "volumes": [{"name": "config", "configMap": {"name": config}}],
        },
    }


async def test_wait_right_after_an_edit_is_not_fooled(stage: Stage) -> None:
    async with stage.operator():
        await stage.up()
        await stage.edit_spec(scheduler={"replicas": 3})
        await asyncio.to_thread(stage.kubectl, "wait", "--for=condition=Ready", "--timeout=30s", f"afc/{CLUSTER}")
        scheduler = await stage.must_get(DEPLOYMENT, f"{CLUSTER}-scheduler")
    assert dig(scheduler, "status", "availableReplicas") == 3


async def test_kubectl_scale(stage: Stage) -> None:
    async with stage.operator():
        await stage.up()
        await asyncio.to_thread(stage.kubectl, "scale", f"afc/{CLUSTER}", "--replicas=3")
        made = await stage.ready()
        assert dig(made, "status", "schedulers") == "3/3"
        scale = dig(made, "status", "scheduler")
        found = await stage.admin.list(POD, stage.namespace, labels=scale["selector"])
        assert scale["replicas"] == len(found) == 3
        await asyncio.to_thread(stage.kubectl, "scale", f"afc/{CLUSTER}", "--replicas=0")
        made = await stage.ready()
    assert dig(made, "status", "schedulers") == "0/0"


async def test_rights_are_bound_to_the_components_that_need_them(stage: Stage) -> None:
    async with stage.operator():
        await stage.up()
        accounts = {item["metadata"]["name"]: item for item in await stage.children(SERVICE_ACCOUNT)}
        bindings = {item["metadata"]["name"]: item for item in await stage.children(ROLE_BINDING)}
    assert set(accounts) == {f"{CLUSTER}-{name}" for name in ("api-server", "scheduler", "dag-processor", "triggerer", "task", "jobs")}
    assert all(item["automountServiceAccountToken"] is False for item in accounts.values())
    bound = {
        (item["roleRef"]["kind"], item["roleRef"]["name"], subject["name"]) for item in bindings.values() for subject in item["subjects"]
    }
    assert bound == {
        ("ClusterRole", "airflow-operator-executor", f"{CLUSTER}-scheduler"),
        ("ClusterRole", "airflow-operator-log-reader", f"{CLUSTER}-api-server"),
    }
    assert {subject["namespace"] for item in bindings.values() for subject in item["subjects"]} == {stage.namespace}
