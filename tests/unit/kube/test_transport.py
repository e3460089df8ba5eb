"""Which exception an answer becomes."""

from __future__ import annotations

import json

import pytest

from airflow_operator.kube import errors
from airflow_operator.kube.transport import proxy_of, refusal


@pytest.mark.parametrize(
    ("status", "reason", "message", "expected"),
    [
        (400, "BadRequest", "", errors.Invalid),
        (401, "Unauthorized", "", errors.Unavailable),
        (403, "Forbidden", "exceeded quota", errors.Forbidden),
        (404, "NotFound", "", errors.NotFound),
        (405, "MethodNotAllowed", "", errors.ApiError),
        (409, "AlreadyExists", "", errors.AlreadyExists),
        (409, "Conflict", "", errors.Conflict),
        (410, "Expired", "", errors.Expired),
        (413, "RequestEntityTooLarge", "", errors.Invalid),
        (422, "Invalid", "", errors.Invalid),
        (429, "TooManyRequests", "", errors.Unavailable),
        (500, "InternalError", "failed calling webhook", errors.Unavailable),
        (
            500,
            "",
            "failed to create typed patch object (a/b; apps/v1, Kind=Deployment): .spec.x: field not declared in schema",
            errors.Invalid,
        ),
        (503, "ServiceUnavailable", "", errors.Unavailable),
    ],
)
def test_status_objects(status: int, reason: str, message: str, expected: type[errors.ApiError]) -> None:
    content = json.dumps({"kind": "Status", "reason": reason, "message": message, "code": status}).encode()
    error = refusal(status, content)
    assert type(error) is expected
    assert (error.status, error.message) == (status, message)


@pytest.mark.parametrize(
    ("header", "details", "seconds"),
    [("3", {}, 3.0), (None, {"retryAfterSeconds": 5}, 5.0), ("Mon, 23 Nov 2026 05:00:00 GMT", {}, None), (None, {}, None)],
)
def test_the_wait_that_the_server_asks_for(header: str | None, details: dict[str, int], seconds: float | None) -> None:
    assert refusal(429, json.dumps({"details": details}).encode(), header).retry_after == seconds


@pytest.mark.parametrize("content", [b"404 page not found\n", b"", b"<html>bad gateway</html>", b"[]", b'"words"', b"\xff\xfe"])
def test_answers_of_something_before_the_server(content: bytes) -> None:
    error = refusal(502, content)
    assert type(error) is errors.Unavailable
    assert error.reason == "Unknown"


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        ({"https_proxy": "http://proxy.example:3128"}, "http://proxy.example:3128"),
        ({"HTTPS_PROXY": "http://proxy.example:3128", "NO_PROXY": "10.0.0.1,.svc"}, "http://proxy.example:3128"),
        ({"https_proxy": "http://proxy.example:3128", "no_proxy": "api.example"}, None),
        ({"http_proxy": "http://proxy.example:3128"}, None),
    ],
)
def test_the_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], expected: str | None) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert proxy_of("https://api.example:6443") == expected
