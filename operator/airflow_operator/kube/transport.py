"""Requests and answers of the API server: credentials, time limits and errors, over the official client's connection pool."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode, urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import yaml
from kubernetes.aio import config as kubernetes_config
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration

from airflow_operator.kube import errors

REQUEST_TIMEOUT = aiohttp.ClientTimeout(total=60, sock_connect=10)
REQUESTS_AT_ONCE = 32
RELOAD_INTERVAL = 10.0
"""Seconds between two attempts to load credentials again after the API server refused them."""

JSON = "application/json"
_TOKEN_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
_NETWORK_ERRORS = (aiohttp.ClientError, TimeoutError, OSError)
_NO_CREDENTIALS = (kubernetes_config.ConfigException, OSError, ValueError, yaml.YAMLError)

Load = Callable[[Configuration], Awaitable[None]]


def credentials(kubeconfig: str | os.PathLike[str] | None, context: str | None) -> Load:
    """How to load address and credentials: the kubeconfig that is named, else the pod's own account, else kubectl's default."""
    if kubeconfig is None and context is None and "KUBERNETES_SERVICE_HOST" in os.environ and _TOKEN_FILE.exists():

        async def load_from_pod(configuration: Configuration) -> None:
            # The configuration reads the token file again every minute by itself.
            kubernetes_config.load_incluster_config(configuration)  # type: ignore[no-untyped-call]

        return load_from_pod

    path = os.fspath(kubeconfig or os.environ.get("KUBECONFIG") or Path("~/.kube/config").expanduser())

    async def load_from_file(configuration: Configuration) -> None:
        await kubernetes_config.load_kube_config(path, context, configuration, persist_config=False)  # type: ignore[no-untyped-call]

    return load_from_file


class Transport:
    """One connection pool with one set of credentials."""

    def __init__(self, load: Load, user_agent: str, requests_at_once: int = REQUESTS_AT_ONCE) -> None:
        """Nothing is read or opened before `async with`. Watches do not count among the requests."""
        self._load = load
        self._user_agent = user_agent
        self._configuration = Configuration()
        # Every watch holds a connection for minutes, so the pool has no limit of its own; requests have.
        self._configuration.connection_pool_maxsize = 0
        self._requests = asyncio.Semaphore(requests_at_once)
        self._reload_lock = asyncio.Lock()
        self._reloaded_at = -RELOAD_INTERVAL
        self._api: Any = None

    async def __aenter__(self) -> Self:
        """Load the credentials. Raises `errors.NotConfigured` where there are none."""
        try:
            await self._load(self._configuration)
        except _NO_CREDENTIALS as error:
            raise errors.NotConfigured(f"No way to reach a Kubernetes API server: {error}") from error
        self._configuration.proxy = self._configuration.proxy or proxy_of(self._configuration.host)
        # Otherwise the environment's proxies would be looked up in a thread of their own for each request.
        self._configuration.client_session_kwargs = {"trust_env": False}
        self._api = ApiClient(self._configuration)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Close every connection."""
        await self._api.close()

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = JSON,
        accept: str = JSON,
    ) -> dict[str, Any]:
        """One request; the answer's JSON. Raises `errors.ApiError` for any other answer and for none."""
        async with self._requests:
            try:
                response = await self.send(method, path, query, REQUEST_TIMEOUT, accept, body, content_type)
                content = await response.read()
            except _NETWORK_ERRORS as error:
                raise _no_answer(error) from error
        if not 200 <= response.status < 300:
            raise refusal(response.status, content, response.headers.get("Retry-After"))
        answer = json.loads(content)
        assert isinstance(answer, dict)
        return answer

    @asynccontextmanager
    async def lines(self, path: str, query: Mapping[str, str], *, accept: str, silence: float) -> AsyncIterator[AsyncIterator[bytes]]:
        """The lines of a streamed answer; `errors.Expired` after `silence` seconds without one."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=silence)
        try:
            response = (await self.send("GET", path, query, timeout, accept)).response
        except _NETWORK_ERRORS as error:
            raise _no_answer(error) from error
        async with response:
            if response.status != 200:
                raise refusal(response.status, await response.read(), response.headers.get("Retry-After"))
            try:
                yield aiter(response.content)
            except TimeoutError as error:
                raise errors.Expired(0, "Silence", f"The API server sent nothing for {silence:.0f} seconds.") from error
            except aiohttp.ClientError as error:
                raise _no_answer(error) from error

    async def send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        timeout: aiohttp.ClientTimeout,
        accept: str,
        body: Any = None,
        content_type: str = JSON,
        *,
        user_agent: str = "",
    ) -> Any:
        """One request; the official client's answer of whatever status, not read yet. Raises what aiohttp raises for no answer.

        Credentials that are refused are loaded anew, and the request is sent once more.
        """
        url = f"{self._configuration.host}{path}" + (f"?{urlencode(query)}" if query else "")
        for last in (False, True):
            headers = {"Accept": accept, "Content-Type": content_type, "User-Agent": user_agent or self._user_agent}
            await self._api.update_params_for_auth(headers, None, ["BearerToken"], path, method, None)
            response = await self._api.rest_client.request(method, url, headers=headers, body=body, _request_timeout=timeout)
            if response.status != 401 or last or not await self._reload():
                return response
            response.response.release()
        raise AssertionError("unreachable")

    async def _reload(self) -> bool:
        """Load the credentials again: a token may have been replaced, or a login plugin can make a new one."""
        now = asyncio.get_running_loop().time()
        async with self._reload_lock:
            if self._reloaded_at >= now:
                return True
            if now - self._reloaded_at < RELOAD_INTERVAL:
                return False
            self._reloaded_at = asyncio.get_running_loop().time()
            try:
                await self._load(self._configuration)
            except _NO_CREDENTIALS:
                return False
            return True


class Session:
    """What kopf takes for a session of aiohttp: the requests of a transport, by their paths.

    kopf closes a session of its own for one answer 401, under whatever it reads at that moment, and ends where that was about
    to begin. This one stays open, and most of these answers are never seen.
    """

    closed = False

    def __init__(self, transport: Transport) -> None:
        """Use a transport that outlives kopf. `headers` is where kopf names itself."""
        self._transport = transport
        self.headers: dict[str, str] = {}

    async def request(
        self, *, method: str, url: str, json: Any = None, headers: Mapping[str, str] | None = None, timeout: aiohttp.ClientTimeout
    ) -> aiohttp.ClientResponse:
        """See `aiohttp.ClientSession.request`; `url` is a path, perhaps with a query."""
        content_type = (headers or {}).get("Content-Type", JSON)
        response = await self._transport.send(
            method, url, None, timeout, JSON, json, content_type, user_agent=self.headers.get("User-Agent", "")
        )
        answer = response.response
        assert isinstance(answer, aiohttp.ClientResponse)
        return answer

    async def close(self) -> None:
        """Nothing: others go on using the transport."""


def proxy_of(url: str) -> str | None:
    """The proxy that the environment names for a URL: HTTPS_PROXY and its like, but for the hosts of NO_PROXY."""
    place = urlsplit(url)
    return None if proxy_bypass(place.hostname or "") else getproxies().get(place.scheme)


def refusal(status: int, content: bytes, retry_after: str | None = None) -> errors.ApiError:
    """The exception for an answer that is not a success; `content` is a Status object, or the words of something before the API server."""
    try:
        answer = json.loads(content)
        message, reason = str(answer.get("message", "")), str(answer.get("reason", ""))
        seconds = retry_after or answer.get("details", {}).get("retryAfterSeconds")
    except (ValueError, AttributeError):
        message, reason, seconds = content.decode(errors="replace").strip()[:1024], "", retry_after
    try:
        wait = float(seconds) if seconds else None
    except ValueError:
        # Retry-After may be a date as well; the caller's own backoff is good enough then.
        wait = None
    return _error_type(status, reason, message)(status, reason or "Unknown", message, wait)


def _error_type(status: int, reason: str, message: str) -> type[errors.ApiError]:
    if status == 500 and message.startswith("failed to create typed patch object"):
        # An unknown field, a wrong type or a duplicate key in a server-side apply: never healed by trying again.
        return errors.Invalid
    if status in (401, 408, 429) or status >= 500:
        return errors.Unavailable
    if status == 409 and reason == "AlreadyExists":
        return errors.AlreadyExists
    return {
        400: errors.Invalid,
        403: errors.Forbidden,
        404: errors.NotFound,
        409: errors.Conflict,
        410: errors.Expired,
        413: errors.Invalid,
        422: errors.Invalid,
    }.get(status, errors.ApiError)


def _no_answer(error: BaseException) -> errors.Unavailable:
    return errors.Unavailable(0, "NoAnswer", f"The API server did not answer: {str(error) or type(error).__name__}")
