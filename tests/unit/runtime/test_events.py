"""Which turns are told, how, and how often."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from airflow_operator.domain.manifest import Live, Manifest
from airflow_operator.kube.errors import AlreadyExists, ApiError, Forbidden
from airflow_operator.kube.protocol import Kube
from airflow_operator.runtime.events import LONGEST_MESSAGE, QUIET_TIME, Events, clip, severity_of

RESOURCE = {
    "apiVersion": "airflow-operator.dev/v1alpha1",
    "kind": "AirflowCluster",
    "metadata": {"namespace": "ns", "name": "c", "uid": "u1", "resourceVersion": "5"},
}


def condition(type: str, status: str, reason: str = "R", message: str = "words") -> dict[str, str]:
    return {"type": type, "status": status, "reason": reason, "message": message}


class Posted:
    """A Kube that can only create, and remembers."""

    def __init__(self, error: ApiError | None = None) -> None:
        self.events: list[Manifest] = []
        self.error = error
        self.time = datetime(2026, 11, 23, tzinfo=UTC)
        self.sink = Events(cast("Kube", self), lambda: self.time, "pod-1")

    async def create(self, manifest: Manifest) -> Live:
        if self.error:
            raise self.error
        self.events.append(manifest)
        return manifest


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (None, condition("Ready", "True"), None),
        (None, condition("Ready", "False"), None),
        (None, condition("Ready", "Unknown"), None),
        (condition("Ready", "False"), condition("Ready", "True"), "Normal"),
        (condition("Ready", "True"), condition("Ready", "False"), "Warning"),
        (condition("Ready", "False", "A"), condition("Ready", "False", "B"), "Normal"),
        (condition("Ready", "True", "A"), condition("Ready", "True", "A", "other words"), None),
        (condition("Ready", "True", "A"), condition("Ready", "True", "B"), None),
        (None, condition("Degraded", "True"), "Warning"),
        (None, condition("Degraded", "False"), None),
        (condition("Degraded", "True"), condition("Degraded", "False"), "Normal"),
        (condition("Degraded", "True", "A"), condition("Degraded", "True", "B"), "Warning"),
        (condition("Progressing", "True"), condition("Progressing", "False"), None),
    ],
)
def test_turns(before: Any, after: Any, expected: str | None) -> None:
    assert severity_of(before, after) == expected


async def test_event_names_its_resource_and_its_source() -> None:
    posted = Posted()
    await posted.sink.transitions(
        RESOURCE, [condition("Ready", "True")], [condition("Ready", "False", "SchedulersDown", "None of 2 is ready.")]
    )
    (event,) = posted.events
    assert event["involvedObject"] == {**{key: RESOURCE[key] for key in ("apiVersion", "kind")}, **RESOURCE["metadata"]}  # type: ignore[dict-item]
    assert (event["type"], event["reason"], event["message"]) == ("Warning", "SchedulersDown", "None of 2 is ready.")
    assert event["metadata"]["namespace"] == "ns"
    assert event["reportingComponent"] == event["source"]["component"] == "airflow-operator"
    assert event["reportingInstance"] == "pod-1"


async def test_flutter_is_told_once_in_a_while() -> None:
    posted = Posted()
    up, down = [condition("Ready", "True", "Up")], [condition("Ready", "False", "Down")]
    for _ in range(10):
        await posted.sink.transitions(RESOURCE, up, down)
        await posted.sink.transitions(RESOURCE, down, up)
        posted.time += timedelta(seconds=1)
    assert [event["reason"] for event in posted.events] == ["Down", "Up"]
    posted.time += timedelta(seconds=QUIET_TIME)
    await posted.sink.transitions(RESOURCE, up, down)
    assert [event["reason"] for event in posted.events] == ["Down", "Up", "Down"]
    assert len({event["metadata"]["name"] for event in posted.events}) == 3


@pytest.mark.parametrize("error", [AlreadyExists(409, "AlreadyExists", "x"), Forbidden(403, "Forbidden", "namespace is terminating")])
async def test_event_that_cannot_be_posted_disturbs_nobody(error: ApiError) -> None:
    await Posted(error).sink.post(RESOURCE, "Normal", "R", "words")


def test_message_fits_an_event() -> None:
    assert clip("short") == "short"
    clipped = clip("ü" * 1000)
    assert len(clipped.encode()) <= LONGEST_MESSAGE
    assert clipped.endswith("ü...")


async def test_a_namespace_that_goes_is_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    going = "events is forbidden: unable to create new content in namespace ns because it is being terminated"
    for words, count in ((going, 0), ("events is forbidden", 1)):
        caplog.clear()
        await Posted(Forbidden(403, "Forbidden", words)).sink.post(cast("Live", RESOURCE), "Normal", "Ready", "words")
        assert len([record for record in caplog.records if record.levelname == "WARNING"]) == count
