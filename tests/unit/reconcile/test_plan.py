"""What may be done now, what is held back and why."""

from __future__ import annotations

import pytest

from airflow_operator.domain import labels
from airflow_operator.domain.manifest import key_of
from airflow_operator.reconcile import keys
from airflow_operator.reconcile.build import config, jobs, metrics, secrets
from airflow_operator.reconcile.build.provision import provision
from airflow_operator.reconcile.offline import PLATFORM
from airflow_operator.reconcile.plan import Admin, components, plan, prerequisites
from airflow_operator.reconcile.validate import validate
from tests.unit import factory
from tests.unit.factory import KEYS, ended, job_pod, started

IDENTITY = "7/1"
ADMIN = Admin("demo-admin", "v1")
CLUSTER = factory.cluster()
PROVISION = provision(CLUSTER, KEYS)
CHECK = jobs.check(CLUSTER, IDENTITY)
MIGRATE = jobs.migrate(CLUSTER, IDENTITY, "asked", '"Empty"')
USERS = jobs.users(CLUSTER, IDENTITY, ADMIN.secret, ADMIN.version)
ANSWER = {"result": "Provisioned", "systemIdentifier": "7", "oid": 1, "empty": True}
PROVISIONED = ended(PROVISION, ANSWER)
MIGRATED = ended(MIGRATE, {"result": "Migrated"})
MADE = ended(USERS, {"result": "Created"})
RUNNING = [factory.live(item) for item in components(CLUSTER, KEYS)]
PULL = {"reason": "ImagePullBackOff", "message": "no such image"}


def step(*objects, provisioning=(), admin=ADMIN, own=KEYS, base_live="ready", **fields):
    children = [item for item in objects if item["kind"] != "Pod"]
    pods = [item for item in objects if item["kind"] == "Pod"]
    picture = factory.seen(children=children, pods=pods, provisioning=provisioning, base_live=base_live, fields=fields)
    return plan(validate(picture, PLATFORM), own, admin, picture)


def made(found, *kinds):
    return [item["metadata"]["name"] for item in found.objects if item["kind"] in (kinds or ("Job", "Deployment", "StatefulSet"))]


def condition(found, name):
    return next(item for item in found.findings if item.type == name)


def settled(*more):
    return step(*MIGRATED, *MADE, *RUNNING, *more, provisioning=PROVISIONED)


def test_first_the_database_is_made():
    found = step()
    assert made(found) == [PROVISION["metadata"]["name"]]
    assert found.stage == "Provisioning"
    assert condition(found, "DatabaseReady").waiting


def test_what_jobs_and_pods_mount_is_made_beside_it():
    wanted = {key_of(item) for item in prerequisites(CLUSTER, KEYS)}
    found = step(provisioning=PROVISIONED)
    assert wanted <= {key_of(item) for item in found.objects}
    kinds = [item["kind"] for item in found.objects]
    assert kinds.index("Job") > max(place for place, kind in enumerate(kinds) if kind in ("Secret", "ConfigMap", "ServiceAccount"))


def test_the_password_is_given_to_nobody_before_the_database_is_known_to_be_theirs():
    url = key_of(secrets.connection(CLUSTER, KEYS))
    for found in (step(), step(provisioning=ended(PROVISION, {"result": "OwnershipConflict", "message": "It is another's."}))):
        assert url not in {key_of(item) for item in found.objects}
        assert url in found.keep, "while a known database is looked at anew it stays"


@pytest.mark.parametrize("verdict", ["OwnershipConflict", "KeyMismatch", "Unsupported"])
def test_what_only_others_can_change_is_asked_for_again_after_a_while(verdict):
    answer = {"result": verdict, "message": "It cannot be."}
    shown = step(provisioning=ended(PROVISION, answer, ago=5))
    assert (condition(shown, "DatabaseReady").reason, condition(shown, "DatabaseReady").waiting) == (verdict, False)
    assert (key_of(PROVISION) in shown.keep, shown.discard) == (True, ())
    assert shown.look_again.after is not None
    again = step(provisioning=ended(PROVISION, answer, ago=600))
    assert again.discard == (key_of(PROVISION),)
    assert condition(again, "DatabaseReady").reason == verdict


def test_keys_that_no_pod_had_and_a_database_that_knows_others_are_lost_keys():
    mismatch = ended(PROVISION, {"result": "KeyMismatch", "message": "Other keys."})
    told = condition(step(provisioning=mismatch), "KeysAvailable")
    assert (told.status, told.reason, told.waiting) == ("False", "KeyLost", False)
    assert "Put Secret demo-keys back from a backup" in told.message
    in_place = factory.live(keys.secret_of("demo", "team", KEYS.data))
    assert "KeysAvailable" not in {item.type for item in step(in_place, provisioning=mismatch).findings}


def test_the_last_answer_is_told_until_there_is_a_new_one():
    told = {
        "type": "DatabaseReady",
        "status": "False",
        "reason": "OwnershipConflict",
        "message": "It is another's.",
        "observedGeneration": 3,
    }
    for provisioning in ((), [started(PROVISION)]):
        picture = factory.seen(provisioning=provisioning, status={"conditions": [told]})
        found = plan(validate(picture, PLATFORM), KEYS, ADMIN, picture)
        assert (condition(found, "DatabaseReady").reason, condition(found, "DatabaseReady").waiting) == ("OwnershipConflict", False)
    other = factory.seen(status={"conditions": [{**told, "observedGeneration": 2}]})
    found = plan(validate(other, PLATFORM), KEYS, ADMIN, other)
    assert condition(found, "DatabaseReady").reason == "Provisioning", "a change of the spec is a new question"


def test_a_conflict_with_a_namespace_that_went_says_how_it_is_approved():
    answer = {"result": "OwnershipConflict", "message": "It is another's.", "left": True}
    told = condition(step(provisioning=ended(PROVISION, answer)), "DatabaseReady").message
    assert "{namespace: team, uid: namespace-uid} to its spec.allowedClusters.adopt" in told
    other = condition(step(provisioning=ended(PROVISION, {**answer, "left": False})), "DatabaseReady").message
    assert "adopt" not in other


def test_an_approval_is_another_question():
    adopting = factory.base()
    adopting["spec"]["allowedClusters"] = {"adopt": [{"namespace": "team", "uid": "namespace-uid"}]}
    conflict = ended(PROVISION, {"result": "OwnershipConflict", "message": "It is another's.", "left": True})
    found = step(provisioning=conflict, base_live=adopting)
    (job,) = [item for item in found.objects if item["kind"] == "Job"]
    assert job["metadata"]["name"] != PROVISION["metadata"]["name"]
    assert {"name": "ADOPT", "value": "true"} in job["spec"]["template"]["spec"]["containers"][0]["env"]
    adopting["spec"]["allowedClusters"]["adopt"][0]["uid"] = "of an earlier one"
    assert key_of(PROVISION) in step(provisioning=conflict, base_live=adopting).keep


def test_a_cluster_before_its_base_waits_and_says_so():
    found = step(base_live=factory.base(ready="False"))
    assert made(found) == []
    assert (condition(found, "BaseReady").reason, condition(found, "BaseReady").waiting) == ("BaseNotReady", True)
    assert condition(found, "DatabaseReady").reason == "WaitingForBase"


def test_an_empty_database_is_migrated_without_a_look():
    found = step(provisioning=PROVISIONED)
    assert [name.rsplit("-", 1)[0] for name in made(found)] == ["demo-migrate"]
    assert found.stage == "Migrating"
    assert key_of(PROVISION) in found.keep


def test_a_first_creation_starts_everything_at_once():
    found = step(*MIGRATED, provisioning=PROVISIONED)
    assert made(found, "Deployment", "StatefulSet") == ["demo-triggerer", "demo-api-server", "demo-scheduler", "demo-dag-processor"]
    assert made(found, "Job") == [USERS["metadata"]["name"]]
    assert found.stage == ""
    assert not found.discard


def test_a_settled_cluster_changes_nothing():
    found = settled()
    assert {key_of(item) for item in RUNNING} <= {key_of(item) for item in found.objects}
    assert {key_of(PROVISION), key_of(MIGRATE), key_of(USERS)} <= found.keep
    assert (found.discard, found.look_again.after) == ((), None)
    assert all(item.status == "True" for item in found.findings)


@pytest.mark.parametrize("result", ["Created", "Updated", "Unchanged"])
def test_an_administrator_that_is_there_is_said(result):
    found = step(*MIGRATED, *ended(USERS, {"result": result}), provisioning=PROVISIONED)
    assert condition(found, "AdminUserReady").status == "True"


def test_a_failed_administrator_is_told_and_tried_again():
    failed = {"result": "Failed", "message": "no role Admin"}
    shown = step(*MIGRATED, *ended(USERS, failed, failed=True, ago=1), provisioning=PROVISIONED)
    assert "no role Admin" in condition(shown, "AdminUserReady").message
    assert key_of(USERS) in shown.keep
    assert shown.look_again.after is not None
    assert step(*MIGRATED, *ended(USERS, failed, failed=True, ago=60), provisioning=PROVISIONED).discard == (key_of(USERS),)


def test_a_lost_result_is_asked_for_again_and_is_no_fault():
    for objects, provisioning, key in (
        ([*MIGRATED, *ended(USERS, None), *RUNNING], PROVISIONED, key_of(USERS)),
        ([*MIGRATED, *MADE, *RUNNING], ended(PROVISION, None), key_of(PROVISION)),
    ):
        found = step(*objects, provisioning=provisioning)
        assert key in found.discard
        assert all(item.waiting or item.status == "True" for item in found.findings)


def test_no_administrator_is_said_nothing_of():
    found = step(*MIGRATED, provisioning=PROVISIONED, admin=None)
    assert made(found, "Job") == []
    assert "AdminUserReady" not in {item.type for item in found.findings}


def test_jobs_that_cannot_start_say_why():
    migrate, users, provision = started(MIGRATE), started(USERS), started(PROVISION)
    cases = (
        ("MigrationsApplied", step(migrate, job_pod(migrate, waiting=PULL), provisioning=PROVISIONED)),
        ("AdminUserReady", step(*MIGRATED, users, job_pod(users, waiting=PULL), provisioning=PROVISIONED)),
        ("DatabaseReady", step(provisioning=[provision, job_pod(provision, waiting=PULL)])),
    )
    for name, found in cases:
        told = condition(found, name)
        assert (told.status, told.reason, told.waiting) == ("False", "ImageCannotBePulled", False)
        assert "no such image" in told.message
        assert not found.discard


def test_jobs_that_could_not_start_for_long_are_made_anew():
    users, provision = started(USERS, age=100), started(PROVISION, age=100)
    assert step(*MIGRATED, users, job_pod(users, waiting=PULL), provisioning=PROVISIONED).discard == (key_of(USERS),)
    assert step(provisioning=[provision, job_pod(provision, waiting=PULL)]).discard == (key_of(PROVISION),)


def test_a_migration_with_an_image_that_cannot_be_pulled_gives_way_to_another_image():
    migrate = started(MIGRATE)
    found = step(migrate, job_pod(migrate, waiting=PULL), provisioning=PROVISIONED, image={"tag": "mended"})
    assert found.discard == (key_of(MIGRATE),)


def test_a_migration_goes_on_while_the_database_is_looked_at_anew():
    found = step(started(MIGRATE), *RUNNING, provisioning=ended(PROVISION, None))
    assert {key_of(MIGRATE), *(key_of(item) for item in RUNNING)} <= found.keep


@pytest.mark.parametrize("verdict", ["OwnershipConflict", "KeyMismatch", "Unsupported"])
def test_an_answer_of_the_server_that_only_a_person_can_change_is_told(verdict):
    found = step(*RUNNING, provisioning=ended(PROVISION, {"result": verdict, "message": "The words."}))
    told = condition(found, "DatabaseReady")
    assert (told.status, told.reason, told.waiting) == ("False", verdict, False)
    assert "The words." in told.message
    assert not found.discard
    assert {key_of(item) for item in RUNNING} <= found.keep


def test_a_failed_provisioning_is_told_and_tried_again():
    failed = {"result": "Failed", "message": "no route"}
    shown = step(provisioning=ended(PROVISION, failed, failed=True, ago=1))
    assert "no route" in condition(shown, "DatabaseReady").message
    assert key_of(PROVISION) in shown.keep
    assert step(provisioning=ended(PROVISION, failed, failed=True, ago=60)).discard == (key_of(PROVISION),)


NEW_IMAGE = {"image": {"tag": "new"}}
NEW = factory.cluster(**NEW_IMAGE)


def upgrade(check_result, *objects):
    checked = ended(jobs.check(NEW, IDENTITY), check_result)
    return step(*MIGRATED, *MADE, *checked, *objects, provisioning=PROVISIONED, **NEW_IMAGE)


def test_a_new_image_is_compared_first_and_everything_runs_on():
    found = step(*MIGRATED, *MADE, *RUNNING, provisioning=PROVISIONED, **NEW_IMAGE)
    assert made(found) == [jobs.check(NEW, IDENTITY)["metadata"]["name"]]
    assert {key_of(item) for item in RUNNING} <= found.keep
    assert not found.discard


def test_the_same_schema_is_a_roll_in_order():
    found = upgrade({"result": "Current"}, *RUNNING)
    assert made(found, "Deployment") == ["demo-api-server"]
    assert {key_of(item) for item in RUNNING[1:]} <= found.keep
    assert found.look_again.after is not None


BEHIND = {"result": "Behind", "database": {"airflow": ["a"]}}


def test_everything_that_opens_the_database_is_stopped_before_a_migration():
    found = upgrade(BEHIND, *RUNNING)
    assert made(found) == []
    schedulers = [item for item in RUNNING if item["metadata"]["name"] == "demo-scheduler"]
    others = [item for item in RUNNING if item not in schedulers]
    assert set(found.discard) == {key_of(item) for item in schedulers}
    assert {key_of(jobs.check(NEW, IDENTITY)), key_of(MIGRATE), *map(key_of, others)} <= found.keep
    assert condition(found, "MigrationsApplied").reason == "Stopping"
    # Their tasks speak to the API server to the end.
    assert upgrade(BEHIND, *others, factory.pod("scheduler")).discard == ()
    assert set(upgrade(BEHIND, *others).discard) == {key_of(item) for item in others}


MEASURED = {**NEW_IMAGE, "metrics": {}}


def test_the_exporter_goes_on_while_everything_else_is_stopped():
    cluster = factory.cluster(**MEASURED)
    exporter = [item for item in metrics.objects(cluster, KEYS) if item["kind"] == "Deployment"]
    checked = ended(jobs.check(cluster, IDENTITY), BEHIND)
    children = (*MIGRATED, *MADE, *checked, factory.live(exporter[0]))
    found = step(*children, *RUNNING, provisioning=PROVISIONED, **MEASURED)
    assert made(found) == ["demo-statsd"]
    assert key_of(exporter[0]) not in found.discard
    # It is not waited for either.
    done = step(*children, factory.pod("statsd"), provisioning=PROVISIONED, **MEASURED)
    assert [name for name in made(done) if "migrate" in name]


def test_an_exporter_that_never_gets_ready_holds_nobody_back():
    (exporter,) = [item for item in metrics.objects(factory.cluster(metrics={}), KEYS) if item["kind"] == "Deployment"]
    crashing = factory.live(exporter, ready=0)
    changed = {"metrics": {"image": {"tag": "v0"}}}
    found = step(*MIGRATED, *MADE, *RUNNING, crashing, provisioning=PROVISIONED, **changed)
    assert "demo-statsd" in made(found)
    assert "demo-api-server" in made(found), "airflow.cfg is another one"
    running = [factory.live(item) for item in components(factory.cluster(**changed), KEYS)]
    later = step(*MIGRATED, *MADE, *running, crashing, provisioning=PROVISIONED, **changed)
    assert len(made(later, "Deployment", "StatefulSet")) == len(running) + 1


def test_an_exporter_that_is_not_wanted_any_more_goes():
    (exporter,) = [item for item in metrics.objects(factory.cluster(metrics={}), KEYS) if item["kind"] == "Deployment"]
    found = settled(factory.live(exporter))
    assert key_of(exporter) not in found.keep | {key_of(item) for item in found.objects}


def test_pods_that_end_are_waited_for():
    found = upgrade(BEHIND, factory.pod("scheduler"))
    assert made(found) == []
    # A task speaks to the API server only.
    assert made(upgrade(BEHIND, factory.pod("task"))) != []


def test_then_the_check_goes_and_the_migration_is_made():
    found = upgrade(BEHIND)
    check = jobs.check(NEW, IDENTITY)
    uid = f"uid-of-{check['metadata']['name']}"
    assert made(found) == [jobs.migrate(NEW, IDENTITY, uid, "")["metadata"]["name"]]
    assert (set(found.discard), key_of(MIGRATE) in found.keep) == ({key_of(check)}, True)
    assert not set(found.discard) & found.keep


def test_an_image_that_does_not_fit_stops_nothing():
    for result in ({"result": "Unknown", "database": {"airflow": ["z"]}}, {"result": "WrongVersion", "airflowVersion": "3.2.0"}):
        found = upgrade(result, *RUNNING)
        assert made(found) == []
        assert {key_of(item) for item in RUNNING} <= found.keep
        assert (condition(found, "MigrationsApplied").waiting, found.stage) == (False, "")


def test_another_server_is_another_database():
    other = factory.cluster()
    moved = provision(other, keys.Keys({**KEYS.data, keys.KEY_ID: "another"}))
    found = step(*MIGRATED, *RUNNING, provisioning=ended(moved, ANSWER))
    assert made(found) == [PROVISION["metadata"]["name"]]
    recreated = ended(PROVISION, {**ANSWER, "oid": 2})
    # Evidence of the database that is gone proves nothing.
    assert [name.rsplit("-", 1)[0] for name in made(step(*MIGRATED, provisioning=recreated))] == ["demo-check"]


def test_an_old_file_stays_while_a_pod_reads_it():
    old = factory.live(config.airflow_cfg(factory.cluster(config={"core": {"parallelism": 9}})))
    reader = factory.pod("task")
    reader["spec"] = {"volumes": [{"name": "config", "configMap": {"name": old["metadata"]["name"]}}]}
    assert key_of(old) in settled(old, reader).keep
    assert key_of(old) not in settled(old).keep
    over = {**reader, "status": {"phase": "Succeeded"}}
    assert key_of(old) not in settled(old, over).keep


def test_a_file_of_a_held_component_stays():
    old = components(factory.cluster(config={"core": {"parallelism": 9}}), KEYS)
    file = factory.live(config.airflow_cfg(factory.cluster(config={"core": {"parallelism": 9}})))
    found = step(*MIGRATED, *MADE, *(factory.live(item) for item in old), file, provisioning=PROVISIONED)
    assert made(found, "Deployment") == ["demo-api-server"]
    assert key_of(file) in found.keep


def test_the_plan_keeps_or_discards_or_makes_but_never_two_of_them():
    for found in (step(), settled(), upgrade(BEHIND, *RUNNING), upgrade(BEHIND), upgrade({"result": "Current"}, *RUNNING)):
        building = {key_of(item) for item in found.objects}
        assert not building & found.keep
        assert not building & set(found.discard)
        assert not found.keep & set(found.discard)


def test_every_object_says_whose_it_is():
    for item in (*step(*MIGRATED, provisioning=PROVISIONED).objects, *step().objects):
        assert item["metadata"]["labels"][labels.CLUSTER] == "demo"
        assert item["metadata"]["labels"][labels.MANAGED_BY] == labels.MANAGER
