"""What is done before a cluster goes, and in which order."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from airflow_operator.domain import names
from airflow_operator.domain.errors import Waiting
from airflow_operator.domain.kinds import AIRFLOW_BASE
from airflow_operator.kube.errors import ApiError, Forbidden, Unavailable
from airflow_operator.reconcile import deletion, keys
from airflow_operator.reconcile.build import jobs, storage
from airflow_operator.reconcile.build.provision import provision
from airflow_operator.reconcile.offline import PLATFORM
from airflow_operator.reconcile.plan import components
from tests.unit import factory
from tests.unit.factory import BASE, KEYS, NAME, NAMESPACE, ended, job_pod, started

CLUSTER = factory.cluster(logs={"volume": {"size": "1Gi"}})
DEPROVISION = provision(CLUSTER, KEYS, "Deprovision")
OWN = factory.live(keys.secret_of(NAME, NAMESPACE, KEYS.data))
COPY = factory.live(keys.copy_of(NAME, NAMESPACE, BASE, NAMESPACE, KEYS.data))
LOGS = factory.live(storage.logs_claim(CLUSTER))
WORKLOADS = [factory.live(item) for item in components(CLUSTER, KEYS)]


class Outside:
    """Notes what a deletion does."""

    def __init__(self):
        self.kube = self.events = self
        self.settings = SimpleNamespace(platform=PLATFORM)
        self.deleted = []
        self.applied = []
        self.posted = []

    async def delete(self, kind, namespace, name, *, uid):
        assert uid, "only that very object"
        self.deleted.append(name)

    async def apply(self, manifest):
        self.applied.append(manifest["metadata"]["name"])

    async def post(self, resource, kind, reason, message):
        self.posted.append((reason, message))


async def drop(*, children=(OWN, LOGS), pods=(), provisioning=(COPY,), base_live="ready", **fields):
    outside = Outside()
    picture = factory.seen(children=children, pods=pods, provisioning=provisioning, base_live=base_live, fields=fields)
    return outside, await deletion._drop_everything(outside, picture)


async def test_first_everything_that_uses_the_database_stops():
    migrate = started(jobs.migrate(CLUSTER, "1/1", "uid", '"Empty"'))
    outside, again = await drop(children=[*WORKLOADS, migrate, OWN, LOGS])
    assert again is not None
    assert set(outside.deleted) == {item["metadata"]["name"] for item in (*WORKLOADS, migrate)}
    assert outside.applied == []


async def test_what_is_going_is_waited_for():
    going = {**WORKLOADS[0], "metadata": {**WORKLOADS[0]["metadata"], "deletionTimestamp": factory.at(0)}}
    outside, again = await drop(children=[going])
    assert (again is not None, outside.deleted) == (True, [])
    _, again = await drop(pods=[factory.pod("scheduler")])
    assert again is not None


async def test_tasks_and_pods_that_ended_are_not_waited_for():
    over = factory.pod("users")
    over["status"]["phase"] = "Succeeded"
    outside, _ = await drop(pods=[factory.pod("task"), over])
    assert outside.applied == [DEPROVISION["metadata"]["name"]]


async def test_then_the_database_is_dropped_before_the_keys_go():
    outside, again = await drop()
    assert again is not None
    assert (outside.applied, outside.deleted) == ([DEPROVISION["metadata"]["name"]], [])
    outside, again = await drop(provisioning=[COPY, started(DEPROVISION)])
    assert again is not None
    assert (outside.applied, outside.deleted) == ([], [])


async def test_last_the_keys_and_the_logs_go():
    outside, again = await drop(provisioning=[COPY, *ended(DEPROVISION, {"result": "Deprovisioned"})])
    assert again is None
    assert outside.deleted == [names.keys(NAME), names.logs(NAME), names.keys_copy(NAMESPACE, NAME)]
    assert outside.posted == []


@pytest.mark.parametrize(
    "job",
    [
        ended(DEPROVISION, {"result": "Failed", "message": "no route"}, failed=True, ago=60),
        ended(DEPROVISION, None),
        [started(DEPROVISION, age=100), job_pod(started(DEPROVISION), waiting={"reason": "ErrImagePull"})],
    ],
    ids=["failed", "lost", "cannot start"],
)
async def test_a_job_that_did_not_do_it_is_made_anew(job):
    outside, again = await drop(provisioning=[COPY, *job])
    assert again is not None
    assert outside.deleted == [DEPROVISION["metadata"]["name"]]


async def test_a_failure_is_not_repeated_at_once():
    failed = ended(DEPROVISION, {"result": "Failed", "message": "no route"}, failed=True, ago=1)
    outside, again = await drop(provisioning=[COPY, *failed])
    assert (again is not None, outside.deleted) == (True, [])


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"base_live": None}, "does not exist"),
        ({"provisioning": ()}, "is gone"),
        ({"provisioning": (factory.live(keys.copy_of(NAME, NAMESPACE, BASE, NAMESPACE, {})),)}, "cannot be used"),
        ({"provisioning": (COPY, *ended(DEPROVISION, {"result": "OwnershipConflict", "message": "It is another's."}))}, "another's"),
    ],
    ids=["no base", "no keys", "malformed keys", "not the owner"],
)
async def test_a_database_that_cannot_be_dropped_is_left_and_said_so(more, words):
    outside, again = await drop(**more)
    assert again is None
    ((reason, message),) = outside.posted
    assert reason == "DatabaseLeft"
    assert words in message


@pytest.mark.parametrize("why", ["conflict", "revoked"])
async def test_the_keys_of_a_database_that_stays_are_not_thrown_away(why):
    conflict = ended(DEPROVISION, {"result": "OwnershipConflict", "message": "It is another's."})
    closed = factory.base()
    closed["spec"]["allowedClusters"] = {"namespaces": {"from": "Selector", "selector": {"matchLabels": {"a": "b"}}}}
    outside, again = await drop(
        provisioning=[COPY, *(conflict if why == "conflict" else [])], base_live=closed if why == "revoked" else "ready"
    )
    assert again is None
    assert outside.deleted == [names.keys(NAME), names.logs(NAME)]


async def test_a_base_whose_namespace_goes_is_asked_for_nothing():
    outside = Outside()
    picture = replace(factory.seen(children=(OWN,), provisioning=(COPY,)), base_namespace_going=True)
    assert await deletion._drop_everything(outside, picture) is None
    assert outside.applied == []
    assert outside.posted[0][0] == "DatabaseLeft"


async def test_missing_references_do_not_hold_the_deletion():
    git = {"repo": "https://git.example.com/a.git", "credentialsSecretRef": {"name": "gone"}}
    outside, _ = await drop(dags=[{"git": git}])
    assert outside.applied == [DEPROVISION["metadata"]["name"]]


async def test_nothing_that_is_the_users_own_goes():
    mine = {**OWN, "metadata": {"name": "mine", "namespace": NAMESPACE, "uid": "u", "labels": {}}}
    outside, _ = await drop(children=[OWN, mine], provisioning=[COPY, *ended(DEPROVISION, {"result": "Deprovisioned"})])
    assert "mine" not in outside.deleted


@pytest.mark.parametrize("error", [Forbidden(403, "Forbidden", "you may not"), Unavailable(503, "ServiceUnavailable", "not now")], ids=str)
async def test_base_stays_while_nobody_can_say_whether_a_cluster_is_on_it(error: ApiError) -> None:
    class Blind:
        async def get(self, kind, namespace, name):
            return factory.base() if kind == AIRFLOW_BASE else {}

        async def list(self, kind, namespace, *, labels=""):
            raise error

    with pytest.raises(Waiting, match=rf"cannot be told.*{error.message}") as told:
        await deletion.delete_base(SimpleNamespace(kube=Blind(), settings=SimpleNamespace(namespaces=())), NAMESPACE, BASE)
    assert told.value.again
