"""What a Job and its pods prove."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from airflow_operator.reconcile import evidence
from airflow_operator.reconcile.build import jobs
from tests.unit import factory
from tests.unit.factory import NOW, at, ended, job_pod, started

CHECK = jobs.check(factory.cluster(), "1/1")


def only(objects):
    """The evidence of the one Job among the objects."""
    (found,) = evidence.read(objects, [item for item in objects if item["kind"] == "Pod"])
    return found


def test_a_job_without_an_end_runs():
    found = only([started(CHECK)])
    assert (found.state, found.verdict, found.obstacle, found.ended) == ("Running", "", None, None)
    assert found.annotations[evidence.DATABASE] == "1/1"
    assert found.component == "check"


def test_a_finished_job_gives_the_result_of_its_pod():
    found = only(ended(CHECK, {"result": "Current", "database": {"airflow": ["a"]}}))
    assert (found.state, found.verdict) == ("Done", "Current")
    assert found.result["database"] == {"airflow": ["a"]}


def test_a_job_that_is_being_deleted_still_holds_its_name():
    objects = ended(CHECK, {"result": "Current"})
    objects[0]["metadata"]["deletionTimestamp"] = at(0)
    assert only(objects).state == "Running"


def test_a_result_is_lost_with_its_pod():
    assert only(ended(CHECK, None)).state == "Lost"


def test_a_failed_job_has_last_words():
    assert only(ended(CHECK, {"result": "Failed", "message": "no route"}, failed=True)).last_words == "no route"
    without_pod = only(ended(CHECK, None, failed=True))
    assert (without_pod.state, without_pod.last_words) == ("Failed", "It failed.")


def test_a_message_that_is_no_result_is_taken_as_words():
    job = ended(CHECK, None, failed=True)[0]
    for text in ("Traceback: boom", "[1, 2]"):
        found = only([job, job_pod(job, message=text)])
        assert (found.verdict, found.last_words) == ("", text)


def test_a_pod_that_ran_out_of_time_says_so():
    job = ended(CHECK, None, failed=True)[0]
    late = job_pod(job, message="", phase="Failed", reason="DeadlineExceeded")
    late["status"]["message"] = "Pod was active on the node longer than the specified deadline"
    assert "deadline" in only([job, late]).last_words


def test_the_newest_pod_counts():
    job = ended(CHECK, None, failed=True)[0]
    pods = [
        job_pod(job, message=json.dumps({"result": "Failed", "message": text}), created=age) for text, age in (("new", -1), ("old", -9))
    ]
    assert only([job, *pods]).last_words == "new"


def test_a_pod_of_an_earlier_job_of_the_same_name_does_not_count():
    earlier = ended(CHECK, {"result": "Current"}, "earlier")[1]
    assert only([started(CHECK, "later"), earlier]).verdict == ""


def test_long_words_are_cut_at_the_front():
    words = only(ended(CHECK, {"message": "x" * 900 + "the end"}, failed=True)).last_words
    assert len(words) == evidence.LAST_WORDS
    assert words.endswith("the end")


@pytest.mark.parametrize(("ago", "wait"), [(0, 20), (15, 5), (20, 0), (500, 0)])
def test_a_failed_job_is_shown_before_it_is_tried_again(ago, wait):
    assert only(ended(CHECK, {"message": "x"}, failed=True, ago=ago)).retry_in(NOW) == wait


def blocked(reason="ImagePullBackOff", age=5.0):
    job = started(CHECK, age=age)
    return [job, job_pod(job, waiting={"reason": reason, "message": "no such image"})]


def test_a_pod_that_cannot_start_is_an_obstacle():
    found = only(blocked())
    assert found.state == "Running"
    assert found.obstacle == ("ImageCannotBePulled", "container it: no such image")


def test_a_pod_that_only_begins_is_none():
    assert only(blocked("ContainerCreating")).obstacle is None


def test_patience_with_an_obstacle_has_an_end():
    assert not only(blocked(age=59)).hopeless(NOW)
    assert only(blocked(age=60)).hopeless(NOW)
    assert not only([started(CHECK, age=3600)]).hopeless(NOW)


def test_nodes_are_waited_for():
    job = started(CHECK, age=3600)
    unscheduled = job_pod(job, conditions=[{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"}])
    unscheduled["status"]["containerStatuses"] = []
    found = only([job, unscheduled])
    assert found.obstacle is not None
    assert "0/1 nodes" in found.obstacle[1]
    assert not found.hopeless(NOW + timedelta(hours=1))
