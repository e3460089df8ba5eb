"""The operator's only way to the API server: numbers each request, and answers, holds back or garbles whichever it is told to.

```python
async with Proxy(upstream) as proxy:
    proxy.intervene = lambda asked: answer(503) if asked.write == 7 else None
```
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import aiohttp
import yaml
from aiohttp import web

from devcluster.control_plane import ControlPlane

# A killed operator hangs up on everything at once, which the server takes for a failure of its own.
logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)

_PATH = re.compile(
    r"/(?:api|apis/[^/]+)/[^/]+(?:/namespaces/(?P<namespace>[^/]+))?/(?P<plural>[^/]+)(?:/(?P<name>[^/]+))?(?:/(?P<sub>[^/]+))?"
)
_VERBS = {"POST": "create", "PATCH": "patch", "DELETE": "delete", "PUT": "update"}
_PASSED_ON = ("Accept", "Content-Type", "User-Agent")
_PASSED_BACK = ("Content-Type", "Retry-After")


@dataclass
class Asked:
    """One request, and what came of it."""

    number: int
    write: int
    """Which write of the operator it is, from 1; 0 for reads, reviews and dry runs."""
    verb: str
    plural: str
    namespace: str
    name: str
    subresource: str
    """Empty for the object itself."""
    at: float
    """Seconds of the event loop's clock."""
    status: int = 0
    """What came of it: the API server's answer, or the rig's where that was not asked; 0 for none."""
    version: str = ""
    """resourceVersion of the object that a write was answered with."""
    fate: str = ""
    """What the proxy did to it."""

    def __str__(self) -> str:
        """`NUMBER SECONDS VERB PLURAL/NAME -> STATUS`, with what happened to it."""
        return f"{self.number:5} {self.at:9.2f} {self.what} -> {self.status or '-'}{f'  ** {self.fate} **' if self.fate else ''}"

    @property
    def what(self) -> str:
        """`VERB PLURAL/NAME/SUBRESOURCE`."""
        return f"{self.verb} {'/'.join(part for part in (self.plural, self.name, self.subresource) if part)}"


@dataclass
class Exchange:
    """A request that can still be passed on or answered otherwise."""

    asked: Asked
    request: web.Request
    body: bytes
    proxy: Proxy

    async def forward(self) -> web.StreamResponse:
        """What the API server answers."""
        return await self.proxy.forward(self)

    def hang_up(self) -> web.StreamResponse:
        """The client sees its connection end without an answer."""
        if self.request.transport is not None:
            self.request.transport.abort()
        return web.Response()


Fault = Callable[[Exchange], Awaitable[web.StreamResponse]]
Lines = Callable[[Asked, bytes], AsyncIterator[bytes]]
"""What a watch's client gets in the place of one line."""


class Proxy:
    """One HTTP server for one namespace's operator."""

    def __init__(self, upstream: aiohttp.ClientSession, directory: Path) -> None:
        """`upstream` has the API server as its base URL and knows how to authenticate; `directory` gets the kubeconfig."""
        self._upstream = upstream
        self.kubeconfig = directory / "kubeconfig"
        self.log: list[Asked] = []
        self.writes = 0
        self.intervene: Callable[[Asked], Fault | None] = lambda _: None
        self.garble: Lines | None = None
        self._watches: set[asyncio.Task[Any]] = set()
        self._expired = asyncio.Event()

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=16 * 2**20)
        app.router.add_route("*", "/{path:.*}", self._serve)
        # What a killed operator asked for is not waited for any longer.
        self._runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        port = self._runner.addresses[0][1]
        self.kubeconfig.write_text(yaml.safe_dump(_kubeconfig(f"http://127.0.0.1:{port}")))
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._runner.cleanup()

    def undisturbed(self) -> None:
        """From here on everything is passed on."""
        self.intervene, self.garble = lambda _: None, None

    def cut_watches(self) -> None:
        """End every watch without a word."""
        for task in list(self._watches):
            task.cancel()

    def expire_watches(self) -> None:
        """End every watch with a 410: what comes next is no longer known."""
        self._expired.set()
        self._expired = asyncio.Event()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        asked = self._number(request)
        self.log.append(asked)
        exchange = Exchange(asked, request, await request.read(), self)
        fault = self.intervene(asked)
        return await (fault(exchange) if fault else self.forward(exchange))

    def _number(self, request: web.Request) -> Asked:
        found = _PATH.fullmatch(request.path)
        parts = {key: value or "" for key, value in found.groupdict().items()} if found else {"plural": request.path}
        reads = "watch" if request.query.get("watch") == "true" else "get" if parts.get("name") or not found else "list"
        verb = _VERBS.get(request.method, reads)
        counts = request.method in _VERBS and "dryRun" not in request.query and not parts["plural"].startswith("self")
        self.writes += counts
        write = self.writes if counts else 0
        place = {"namespace": parts.get("namespace", ""), "name": parts.get("name", ""), "subresource": parts.get("sub", "")}
        if "dryRun" in request.query:
            verb = f"try to {verb}"
        return Asked(len(self.log) + 1, write, verb, parts["plural"], at=asyncio.get_running_loop().time(), **place)

    async def forward(self, exchange: Exchange, *, query: dict[str, str] | None = None) -> web.StreamResponse:
        """Pass a request on, with another query where one is given."""
        asked, request = exchange.asked, exchange.request
        headers = {name: request.headers[name] for name in _PASSED_ON if name in request.headers} | {"Accept-Encoding": "identity"}
        asking = self._upstream.request(
            request.method, request.path, params=query or list(request.query.items()), data=exchange.body or None, headers=headers
        )
        async with asking as answer:
            asked.status = answer.status
            back = {name: answer.headers[name] for name in _PASSED_BACK if name in answer.headers}
            if asked.verb == "watch" and answer.status == 200:
                return await self._stream(exchange, answer, back)
            content = await answer.read()
        if asked.write:
            _note(asked, content)
        return web.Response(status=asked.status, body=content, headers=back)

    async def ask(self, path: str, query: dict[str, str]) -> dict[str, Any]:
        """What the API server answers to a question of the rig's own."""
        async with self._upstream.get(path, params=query, headers={"Accept": "application/json"}) as answered:
            found: dict[str, Any] = await answered.json()
            return found

    async def revision(self) -> int:
        """The store's revision as of now."""
        listed = await self.ask("/api/v1/namespaces", {"limit": "1"})
        return int(listed["metadata"]["resourceVersion"])

    async def _stream(self, exchange: Exchange, answer: aiohttp.ClientResponse, headers: dict[str, str]) -> web.StreamResponse:
        response = web.StreamResponse(headers=headers)
        await response.prepare(exchange.request)

        async def pump() -> None:
            rest = b""
            async for chunk in answer.content.iter_any():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    async for altered in self._altered(exchange.asked, line):
                        await response.write(altered + b"\n")

        async with self._as_watch(pump()) as pumping, self._as_watch(self._expired.wait()) as expiring:
            await asyncio.wait([pumping, expiring], return_when=asyncio.FIRST_COMPLETED)
            expired = expiring.done() and not expiring.cancelled()
        if expired:
            status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Expired", "message": "too old", "code": 410}
            await response.write(json.dumps({"type": "ERROR", "object": status}).encode() + b"\n")
            return response
        return exchange.hang_up() if pumping.cancelled() else response

    async def _altered(self, asked: Asked, line: bytes) -> AsyncIterator[bytes]:
        if self.garble is None:
            yield line
            return
        async for altered in self.garble(asked, line):
            yield altered

    @asynccontextmanager
    async def _as_watch(self, work: Coroutine[Any, Any, Any]) -> AsyncIterator[asyncio.Task[Any]]:
        task = asyncio.create_task(work)
        self._watches.add(task)
        try:
            yield task
        finally:
            self._watches.discard(task)
            task.cancel()
            # Its own end is nobody's concern: the client went, or the API server did.
            await asyncio.gather(task, return_exceptions=True)


def administrator(control_plane: ControlPlane, directory: Path) -> aiohttp.ClientSession:
    """How a proxy speaks to the API server; `directory` gets the certificates as a file."""
    document = yaml.safe_load(control_plane.kubeconfig.read_text())
    user, cluster = document["users"][0]["user"], document["clusters"][0]["cluster"]
    pair = directory / "administrator.pem"
    pair.write_bytes(b"".join(base64.b64decode(user[f"client-{part}-data"]) for part in ("certificate", "key")))
    pair.chmod(0o600)
    context = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
    context.load_cert_chain(pair)
    connector = aiohttp.TCPConnector(limit=0, ssl=context)
    return aiohttp.ClientSession(control_plane.server, connector=connector, timeout=aiohttp.ClientTimeout(total=None), read_bufsize=2**20)


def _note(asked: Asked, content: bytes) -> None:
    try:
        meta = json.loads(content).get("metadata", {})
    except ValueError:
        return
    asked.version = str(meta.get("resourceVersion", ""))
    asked.name = asked.name or str(meta.get("name", ""))


def _kubeconfig(server: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "rig",
        "contexts": [{"name": "rig", "context": {"cluster": "rig", "user": "rig"}}],
        "clusters": [{"name": "rig", "cluster": {"server": server}}],
        "users": [{"name": "rig", "user": {"token": "rig"}}],
    }


# What can be done to a request.


def answer(
    status: int, reason: str = "", message: str = "said by the rig", retry_after: int | None = None, *, after: bool = False
) -> Fault:
    """A refusal as the API server words it; `after`: the request was carried out all the same."""
    document = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": message, "code": status}

    async def refuse(exchange: Exchange) -> web.StreamResponse:
        exchange.asked.fate = f"answered {status}{' after it was carried out' if after else ''}"
        if after:
            await exchange.forward()
        else:
            exchange.asked.status = status
        headers = {"Retry-After": str(retry_after)} if retry_after is not None else {}
        return web.json_response(document, status=status, headers=headers)

    return refuse


def reset(*, after: bool = False) -> Fault:
    """The connection breaks, before or after the request was carried out."""

    async def hang_up(exchange: Exchange) -> web.StreamResponse:
        exchange.asked.fate = f"connection reset {'after' if after else 'before'} it was carried out"
        if after:
            await exchange.forward()
        return exchange.hang_up()

    return hang_up


def delay(seconds: float) -> Fault:
    """The request takes so much longer."""

    async def wait(exchange: Exchange) -> web.StreamResponse:
        exchange.asked.fate = f"delayed {seconds:g} s"
        await asyncio.sleep(seconds)
        return await exchange.forward()

    return wait


def killing(kill: Callable[[], Awaitable[None]], *, after: bool) -> Fault:
    """The operator dies before its request reaches the API server, or before it hears the answer."""

    async def strike(exchange: Exchange) -> web.StreamResponse:
        exchange.asked.fate = f"killed {'after' if after else 'before'}"
        if after:
            await exchange.forward()
        # Not in this task, which ends with the connection of the one that is killed.
        await asyncio.shield(asyncio.ensure_future(kill()))
        return exchange.hang_up()

    return strike


def as_of(revision: int) -> Fault:
    """A GET or LIST is answered from a past revision of the store, by the API server itself."""
    past = {"resourceVersion": str(revision), "resourceVersionMatch": "Exact"}

    async def read(exchange: Exchange) -> web.StreamResponse:
        asked, request = exchange.asked, exchange.request
        asked.fate = f"as of {revision}"
        if asked.verb == "list":
            return await exchange.proxy.forward(exchange, query={**request.query, **past})
        # Of one object there is no past but in a list.
        path = request.path.rpartition("/")[0]
        answered = await exchange.proxy.ask(path, {**past, "fieldSelector": f"metadata.name={asked.name}"})
        items = answered.get("items")
        if items:
            kind = {"apiVersion": answered["apiVersion"], "kind": answered["kind"].removesuffix("List")}
            return web.json_response({**kind, **items[0]})
        return await answer(404, "NotFound", f"{asked.plural} {asked.name!r} not found")(exchange)

    return read
