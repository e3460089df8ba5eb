"""The truth about a cluster, and when it is written."""

from __future__ import annotations

from datetime import timedelta

import pytest

from airflow_operator.domain.manifest import key_of
from airflow_operator.kube.protocol import STATUS_MANAGER
from airflow_operator.reconcile.apply import Applied, Refusal
from airflow_operator.reconcile.build import metrics
from airflow_operator.reconcile.plan import components
from airflow_operator.reconcile.report import PACE, report, unchanged_but
from airflow_operator.reconcile.status import MESSAGE_LIMIT, conditions, counts, phase, stamped, status, summary, what_runs
from airflow_operator.reconcile.types import Condition, Health, Step
from tests.unit import factory
from tests.unit.factory import KEYS, NOW, at

GIT = [{"git": {"repo": "https://git.example.com/a.git", "ref": "main"}}]
WELL = Health(reachable=True, components=dict.fromkeys(("metadatabase", "scheduler", "dag_processor", "triggerer"), "healthy"))
DONE = (Condition("MigrationsApplied", "True", "UpToDate", "It has the schema."),)


def told(*, findings=DONE, stage="", keep=(), health=WELL, refused=(), workloads=None, pods=(), last=None, commits=None, **fields):
    """(status, conditions by type) of a cluster whose workloads are settled unless said otherwise."""
    cluster = factory.cluster(**fields)
    running = [factory.live(item) for item in components(cluster, KEYS)] if workloads is None else workloads
    step = Step((), keep=frozenset(keep), findings=findings, stage=stage)
    picture = factory.seen(children=running, pods=pods, health=health, status=last, commits=commits, fields=fields)
    made = status(cluster, step, Applied({}, refused=tuple(refused)), picture, "demo-admin")
    return made, {item.type: item for item in made["conditions"]}


def test_a_cluster_that_is_well():
    made, found = told(scheduler={"replicas": 2})
    assert (made["phase"], made["schedulers"], made["version"], made["executor"]) == ("Running", "2/2", "3.3.2", "KubernetesExecutor")
    assert {name: found[name].status for name in ("Ready", "Progressing", "Degraded")} == {
        "Ready": "True",
        "Progressing": "False",
        "Degraded": "False",
    }
    assert [row["name"] for row in made["components"]] == ["api-server", "scheduler", "dag-processor", "triggerer"]
    assert made["auth"] == {"adminSecretRef": {"name": "demo-admin"}}
    assert made["url"] == "http://demo-api-server.team.svc:8080"


def measured(ready=1, pods=()):
    cluster = factory.cluster(metrics={})
    exporter = next(item for item in metrics.objects(cluster, KEYS) if item["kind"] == "Deployment")
    running = [factory.live(item) for item in components(cluster, KEYS)]
    return told(workloads=[*running, factory.live(exporter, ready=ready)], pods=pods, metrics={})


def test_the_exporter_is_a_component_like_the_others():
    made, found = measured()
    assert made["components"][-1] == {"name": "statsd", "desired": 1, "ready": 1}
    assert (found["MetricsAvailable"].status, found["Ready"].status) == ("True", "True")
    assert "MetricsAvailable" not in told()[1]


def test_an_exporter_that_crashes_says_why():
    words = {"terminated": {"message": "error loading config", "exitCode": 1}}
    crashed = {"name": "statsd", "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": words, "restartCount": 3}
    made, found = measured(ready=0, pods=[factory.pod("statsd", "", crashed)])
    assert made["components"][-1] == {"name": "statsd", "desired": 1, "ready": 0}
    assert (found["MetricsAvailable"].reason, found["Ready"].status) == ("ContainerCrashes", "False")
    assert "The StatsD exporter cannot run" in found["MetricsAvailable"].message
    assert "error loading config" in found["MetricsAvailable"].message


def test_the_passwords_of_simple_users_are_named():
    made, _ = told(auth={"simple": {}})
    assert made["auth"] == {"usersSecretRef": {"name": "demo-users"}}
    made, _ = told(auth={"simple": {"allAdmins": True}})
    assert made.get("auth", {}).get("usersSecretRef") is None


def test_what_has_been_passed_is_said_too():
    _, found = told()
    passed = ("SpecValid", "ReferencesResolved", "KeysAvailable", "ObjectsApplied")
    assert {name: found[name].status for name in passed} == dict.fromkeys(passed, "True")


def test_the_url_is_the_one_for_people_where_there_is_one():
    made, _ = told(externalURL="https://airflow.example.com")
    assert made["url"] == "https://airflow.example.com"


def test_what_scale_reads_is_always_there():
    made, _ = told(workloads=[], stage="Provisioning")
    assert made["scheduler"]["replicas"] == 0
    assert made["scheduler"]["selector"] == "airflow-operator.dev/cluster=demo,app.kubernetes.io/component=scheduler"


def test_the_selector_of_scale_finds_the_scheduler_pods():
    made, _ = told()
    pairs = dict(pair.split("=") for pair in made["scheduler"]["selector"].split(","))
    template = components(factory.cluster(), KEYS)[1]["spec"]["template"]
    assert pairs.items() <= template["metadata"]["labels"].items()


def test_before_the_components_the_stage_is_the_phase():
    waiting = (Condition("DatabaseReady", "False", "Provisioning", "It is being made.", waiting=True),)
    made, found = told(findings=waiting, stage="Provisioning", workloads=[])
    assert made["phase"] == "Provisioning"
    assert (found["Ready"].status, found["Ready"].message) == ("False", "It is being made.")
    assert (found["Progressing"].status, found["Degraded"].status) == ("True", "False")
    assert "SchedulersAvailable" not in found


def test_a_fault_is_told_before_what_is_waited_for():
    broken = (Condition("MigrationsApplied", "False", "MigrationFailed", "The disk is full."),)
    made, found = told(findings=broken, workloads=[])
    assert made["phase"] == "Degraded"
    assert (found["Ready"].reason, found["Degraded"].message) == ("MigrationFailed", "The disk is full.")


@pytest.mark.parametrize(
    ("said", "status_", "waiting"),
    [
        (Health(), "Unknown", True),
        (Health(reachable=False), "Unknown", False),
        (Health(reachable=True, components={**WELL.components, "triggerer": "unhealthy"}), "False", True),
        (Health(reachable=True, components={}), "False", True),
        (WELL, "True", False),
    ],
)
def test_ready_means_that_airflow_itself_is_healthy(said, status_, waiting):
    _, found = told(health=said)
    assert (found["Healthy"].status, found["Healthy"].waiting) == (status_, waiting)
    assert (found["Ready"].status == "True") == (said is WELL)


def test_airflow_that_falls_ill_after_its_start_is_a_fault():
    sick = Health(reachable=True, components={**WELL.components, "scheduler": "unhealthy"})
    made, found = told(health=sick, last={"phase": "Running"})
    assert (made["phase"], found["Degraded"].status) == ("Degraded", "True")
    assert "scheduler is unhealthy" in found["Ready"].message


def test_what_is_scaled_to_zero_is_not_asked_for():
    nobody = Health(reachable=True, components={**WELL.components, "triggerer": "unhealthy"})
    assert told(health=nobody, triggerer={"replicas": 0})[1]["Ready"].status == "True"
    assert "Healthy" not in told(health=Health(), apiServer={"replicas": 0})[1]


def test_without_a_health_probe_the_pods_decide():
    _, found = told(health=Health(asked=False))
    assert found["Ready"].status == "True"
    assert "Healthy" not in found


def test_a_held_component_waits_for_its_turn():
    held = key_of(components(factory.cluster(), KEYS)[1])
    _, found = told(keep=[held])
    assert (found["SchedulersAvailable"].reason, found["Ready"].status) == ("WaitingForTurn", "False")


def test_an_object_that_is_refused_is_a_fault_with_the_servers_words():
    refusal = Refusal(key_of(components(factory.cluster(), KEYS)[0]), "Forbidden", "The API server refused it: exceeded quota")
    _, found = told(refused=[refusal])
    assert (found["ObjectsApplied"].status, found["Degraded"].status) == ("False", "True")
    assert "exceeded quota" in found["Ready"].message
    going = Refusal(refusal.key, "Terminating", "It is being deleted.")
    assert told(refused=[going])[1]["Degraded"].status == "False"


def test_logs_that_go_with_their_pods_are_said_and_are_no_fault():
    _, found = told()
    assert (found["TaskLogsPersistent"].status, found["Ready"].status) == ("False", "True")
    assert told(logs={"volume": {"size": "1Gi"}})[1]["TaskLogsPersistent"].status == "True"


def test_the_synced_commit_is_shown_and_remembered():
    made, found = told(dags=GIT, commits={"dags-folder": "abc"})
    assert made["dags"] == [{"name": "dags-folder", "repo": "https://git.example.com/a.git", "ref": "main", "commit": "abc"}]
    assert found["DagsSynced"].status == "True"
    last = {"dags": made["dags"]}
    assert told(dags=GIT, last=last)[0]["dags"] == made["dags"]
    assert "dags" not in told()[0]


@pytest.mark.parametrize("component", ["dag-processor", "triggerer"])
def test_a_pod_that_serves_the_last_good_dags_is_available(component):
    workloads = {item["metadata"]["labels"]["app.kubernetes.io/component"]: item for item in components(factory.cluster(dags=GIT), KEYS)}
    lives = [factory.live(item, ready=0 if name == component else None) for name, item in workloads.items()]
    for live in lives:
        if live["kind"] == "StatefulSet":
            live["status"].pop("unavailableReplicas", None)
    ended = {"terminated": {"exitCode": 1, "message": '{"msg":"too many failures, aborting","error":"fatal: no route"}'}}
    pod = factory.pod(component, "", {"name": component, "ready": True}, {"name": "git-sync", "ready": False, "state": ended})
    _, found = told(dags=GIT, workloads=lives, pods=[pod], commits={"dags-folder": "abc"})
    assert found["DagProcessorAvailable"].status == found["TriggererAvailable"].status == "True"
    # It is the dag-processor's git-sync that speaks for the sources.
    assert found["DagsSynced"].status == ("False" if component == "dag-processor" else "True")
    broken = factory.pod(component, "", {"name": component, "ready": False}, {"name": "git-sync", "ready": False, "state": ended})
    _, found = told(dags=GIT, workloads=lives, pods=[broken], commits={"dags-folder": "abc"})
    assert "False" in (found["DagProcessorAvailable"].status, found["TriggererAvailable"].status)


def test_a_first_sync_is_waited_for():
    lives = [factory.live(item) for item in components(factory.cluster(dags=GIT), KEYS)]
    lives[2] = factory.live(components(factory.cluster(dags=GIT), KEYS)[2], ready=0)
    beginning = {"name": "git-sync", "ready": False, "started": False, "state": {"running": {"startedAt": at(-1)}}}
    pod = factory.pod("dag-processor", "", {"name": "dag-processor", "ready": True}, beginning)
    _, found = told(dags=GIT, workloads=lives, pods=[pod], commits={"dags-folder": "abc"})
    assert (found["DagProcessorAvailable"].reason, found["Ready"].status) == ("Starting", "False")


def test_what_runs_is_told_where_the_spec_cannot_be_carried_out():
    running = [factory.live(item) for item in components(factory.cluster(scheduler={"replicas": 2}), KEYS)]
    picture = factory.seen(children=running)
    assert {item.type for item in what_runs(picture)} == {
        "ApiServerAvailable",
        "SchedulersAvailable",
        "DagProcessorAvailable",
        "TriggererAvailable",
    }
    assert {"name": "scheduler", "desired": 2, "ready": 2} in counts(picture)["components"]
    assert (what_runs(factory.seen()), counts(factory.seen())) == ([], {})


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([], ("True", "False", "False")),
        ([Condition("A", "False", "Wait", "w", waiting=True)], ("False", "True", "False")),
        ([Condition("A", "False", "Fault", "f")], ("False", "False", "True")),
        ([Condition("A", "Unknown", "Gone", "u")], ("Unknown", "False", "False")),
        ([Condition("A", "Unknown", "Asked", "u", waiting=True)], ("Unknown", "True", "False")),
        ([Condition("A", "False", "Wait", "w", waiting=True), Condition("B", "False", "Fault", "f")], ("False", "True", "True")),
        ([Condition("TaskLogsPersistent", "False", "NotConfigured", "n")], ("True", "False", "False")),
    ],
)
def test_the_summary_of_conditions(found, expected):
    made = summary(found)
    assert [item.type for item in made] == ["Ready", "Progressing", "Degraded"]
    assert tuple(item.status for item in made) == expected


def test_every_condition_has_a_reason_and_a_sentence():
    for fields in ({}, {"dags": GIT}):
        cluster = factory.cluster(**fields)
        for found in conditions(cluster, Step((), findings=DONE), Applied({}), factory.seen(fields=fields)):
            assert found.reason.isalnum()
            assert found.message.endswith((".", "?"))


@pytest.mark.parametrize(("stage", "expected"), [("Migrating", "Migrating"), ("", "Progressing")])
def test_the_phase_of_what_is_under_way(stage, expected):
    found = summary([Condition("A", "False", "Wait", "w", waiting=True)])
    assert phase(Step((), stage=stage), found) == expected
    assert phase(None, summary([Condition("A", "Unknown", "Gone", "u")])) == "Unknown"


MADE = {"phase": "Running", "conditions": [Condition("Ready", "True", "Ready", "It is.")]}


def test_the_time_of_a_condition_moves_only_with_its_status():
    first = stamped(MADE, None, 3, NOW)
    assert first["conditions"][0]["lastTransitionTime"] == at(0)
    assert first["observedGeneration"] == first["conditions"][0]["observedGeneration"] == 3
    again = stamped({**MADE, "conditions": [Condition("Ready", "True", "Other", "Still.")]}, first, 4, NOW + timedelta(minutes=1))
    assert again["conditions"][0]["lastTransitionTime"] == at(0)
    turned = stamped({**MADE, "conditions": [Condition("Ready", "False", "Other", "No.")]}, first, 4, NOW + timedelta(minutes=1))
    assert turned["conditions"][0]["lastTransitionTime"] == at(60)


def test_a_long_message_is_cut():
    made = stamped({"conditions": [Condition("Ready", "False", "X", "x" * 5000)]}, None, 1, NOW)
    assert len(made["conditions"][0]["message"]) == MESSAGE_LIMIT


class Outside:
    """What a report needs of the world, and what it did to it."""

    def __init__(self):
        self.kube = self.events = self
        self.written = []
        self.posted = []

    def now(self):
        return NOW

    async def apply_status(self, manifest):
        self.written.append(manifest["status"])

    async def transitions(self, resource, before, after):
        self.posted.append((before, after))


def reported(last, *, age=60.0):
    fields = [{"manager": STATUS_MANAGER, "time": at(-age)}]
    live = factory.resource()
    return {**live, "metadata": {**live["metadata"], "managedFields": fields}, "status": last}


async def test_nothing_is_written_where_nothing_is_new():
    outside = Outside()
    last = stamped(MADE, None, 3, NOW - timedelta(hours=1))
    assert (await report(outside, reported(last), MADE)).after is None
    assert (outside.written, outside.posted) == ([], [])


async def test_a_turn_is_told_at_once_with_its_events():
    outside = Outside()
    last = stamped(MADE, None, 3, NOW)
    worse = {"phase": "Degraded", "conditions": [Condition("Ready", "False", "X", "No.")]}
    assert (await report(outside, reported(last, age=0.5), worse)).after is None
    assert outside.written[0]["phase"] == "Degraded"
    ((before, after),) = outside.posted
    assert (before[0]["status"], after[0]["status"]) == ("True", "False")


async def test_a_small_change_waits_for_the_next_ones():
    outside = Outside()
    small = {**MADE, "schedulers": "1/2"}
    last = stamped(MADE, None, 3, NOW)
    assert (await report(outside, reported(last, age=1), small)).after == PACE - 1
    assert outside.written == []
    assert (await report(outside, reported(last, age=PACE), small)).after is None
    assert outside.written[0]["schedulers"] == "1/2"


async def test_a_new_generation_is_acknowledged_at_once():
    outside = Outside()
    last = stamped(MADE, None, 2, NOW)
    await report(outside, reported(last, age=0.5), MADE)
    assert outside.written[0]["observedGeneration"] == 3


def test_the_rest_of_the_status_stays_where_nothing_was_looked_at():
    last = {"phase": "Running", "conditions": ["old"], "observedGeneration": 1, "url": "u", "dags": [1]}
    assert unchanged_but(last, ["new"], "Waiting") == {"phase": "Waiting", "conditions": ["new"], "url": "u", "dags": [1]}
    assert unchanged_but(None, [], "Waiting") == {"phase": "Waiting", "conditions": []}
