"""What becomes of an answer, and of credentials that are refused."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from kubernetes.aio.client.configuration import Configuration

from airflow_operator.kube import errors
from airflow_operator.kube.transport import Session, Transport, proxy_of, refusal


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


TIMEOUT = aiohttp.ClientTimeout(total=10)


class Guarded:
    """An API server that lets one token in, and what reaches it."""

    def __init__(self) -> None:
        self.valid = self.known = "first"
        self.agents: list[str] = []
        self.patches: list[object] = []
        self.patched = asyncio.Event()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """A read is answered by a line now and one when a patch comes."""
        self.agents.append(request.headers["User-Agent"])
        if request.headers.get("Authorization") != f"Bearer {self.valid}":
            return web.json_response({"kind": "Status", "code": 401}, status=401)
        if request.method == "PATCH":
            self.patches.append((request.path_qs, request.content_type, await request.json()))
            self.patched.set()
            return web.json_response({})
        stream = web.StreamResponse()
        await stream.prepare(request)
        await stream.write(b"now\n")
        await self.patched.wait()
        await stream.write(b"then\n")
        return stream

    @asynccontextmanager
    async def transport(self) -> AsyncIterator[Transport]:
        """One that loads what is known at that moment."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.serve)
        async with TestServer(app) as server:

            async def load(configuration: Configuration) -> None:
                configuration.host = str(server.make_url("")).rstrip("/")
                configuration.api_key = {"BearerToken": self.known}
                configuration.api_key_prefix = {"BearerToken": "Bearer"}

            async with Transport(load, "operator") as transport:
                yield transport


async def test_credentials_that_are_refused_are_loaded_anew_under_an_open_watch() -> None:
    """A session of kopf's own would be closed for it, and its watches with it."""
    server = Guarded()
    async with server.transport() as transport:
        session = Session(transport)
        session.headers["User-Agent"] = "kopf/1"
        async with await session.request(method="get", url="/watched?watch=true", timeout=TIMEOUT) as watch:
            assert await watch.content.readline() == b"now\n"
            server.valid = server.known = "second"
            headers = {"Content-Type": "application/merge-patch+json"}
            async with await session.request(method="patch", url="/a?b=c", json={"d": 1}, headers=headers, timeout=TIMEOUT) as patched:
                assert patched.status == 200
            assert await watch.content.readline() == b"then\n"
    assert server.patches == [("/a?b=c", "application/merge-patch+json", {"d": 1})]
    assert server.agents == ["kopf/1"] * 3


async def test_credentials_that_stay_refused_close_nothing() -> None:
    server = Guarded()
    async with server.transport() as transport:
        session = Session(transport)
        async with await session.request(method="get", url="/watched?watch=true", timeout=TIMEOUT) as watch:
            server.valid = "second"
            async with await session.request(method="patch", url="/a", json={}, timeout=TIMEOUT) as refused:
                assert refused.status == 401
            await session.close()
            assert not session.closed
            server.valid = "first"
            async with await session.request(method="patch", url="/a", json={}, timeout=TIMEOUT) as patched:
                assert patched.status == 200
            assert await watch.content.readline() == b"now\n"
            assert await watch.content.readline() == b"then\n"
