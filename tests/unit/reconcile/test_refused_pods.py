"""Why a Job or a StatefulSet has no pods."""

from __future__ import annotations

import pytest

from airflow_operator.domain.kinds import EVENT
from airflow_operator.kube.errors import Forbidden
from airflow_operator.reconcile import evidence
from airflow_operator.reconcile.build import jobs
from airflow_operator.reconcile.plan import components
from airflow_operator.reconcile.refused_pods import lacking, told
from airflow_operator.reconcile.workloads import availability
from tests.unit import factory
from tests.unit.factory import KEYS

JOB = factory.started(jobs.check(factory.cluster(), "1/1"), "job-uid")
TRIGGERER = components(factory.cluster(), KEYS)[-1]
SHORT = {**factory.live(TRIGGERER), "status": {"observedGeneration": 1, "replicas": 0}}
WORDS = 'pods "x" is forbidden: exceeded quota: full'


def event(uid, message, time):
    return {"involvedObject": {"uid": uid}, "message": message, "lastTimestamp": factory.at(time)}


class Events:
    def __init__(self, *events):
        self.events = events
        self.asked = 0

    async def list(self, kind, namespace, *, labels="", fields=""):
        assert (kind, namespace, fields) == (EVENT, "team", "reason=FailedCreate")
        self.asked += 1
        return self.events


class NoRight:
    async def list(self, kind, namespace, *, labels="", fields=""):
        raise Forbidden(403, "Forbidden", "events is forbidden")


def test_what_lacks_pods():
    ended = factory.ended(jobs.check(factory.cluster(), "1/1"), {"result": "Current"}, "job-uid")
    assert lacking([JOB, SHORT]) == [JOB, SHORT]
    assert lacking([JOB, factory.job_pod(JOB), factory.live(TRIGGERER)]) == []
    assert lacking(ended) == lacking(ended[:1]) == []


async def test_nobody_asks_where_nothing_lacks():
    events = Events()
    assert await told(events, "team", [factory.live(TRIGGERER)]) == [factory.live(TRIGGERER)]
    assert events.asked == 0


async def test_a_job_says_why_it_has_no_pod():
    (job,) = await told(Events(event("job-uid", "older", -9), event("other", "no", -1), event("job-uid", WORDS, -2)), "team", [JOB])
    (found,) = evidence.read([job], [])
    assert (found.state, found.obstacle) == ("Running", ("PodRefused", WORDS))
    assert "status" not in JOB


async def test_a_stateful_set_says_it_as_a_deployment_does():
    (found,) = await told(Events(event(SHORT["metadata"]["uid"], WORDS, -1)), "team", [SHORT])
    said = availability("TriggererAvailable", "triggerer", found, [])
    assert (said.status, said.reason, said.message) == ("False", "PodRefused", f"The triggerer cannot run: {WORDS}")


@pytest.mark.parametrize("kube", [Events(), NoRight()])
async def test_without_words_it_is_only_waited_for(kube):
    assert await told(kube, "team", [JOB, SHORT]) == [JOB, SHORT]
