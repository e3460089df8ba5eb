"""The `Kube` Protocol on the official client: plain JSON in and out, no typed models, no discovery."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from airflow_operator.domain.kinds import kind_of
from airflow_operator.domain.manifest import Kind, Live, Manifest
from airflow_operator.kube.errors import AlreadyExists, Conflict, Expired, NotFound
from airflow_operator.kube.protocol import FIELD_MANAGER, STATUS_MANAGER, Kube, Propagation, WatchEvent, nothing
from airflow_operator.kube.transport import JSON, REQUESTS_AT_ONCE, Transport, credentials, refusal

CHUNK = 500
WATCH_SECONDS = 300
SILENCE = 150.0
"""Seconds: the API server sends a bookmark about every minute, so a watch that is silent for longer is dead."""

NO_VERSION = "1"
"""A resourceVersion that no object ever has: an apply that names it makes an object and never changes one."""

APPLY = "application/apply-patch+yaml"
JSON_PATCH = "application/json-patch+json"
METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


@asynccontextmanager
async def connect(
    kubeconfig: str | os.PathLike[str] | None = None,
    context: str | None = None,
    *,
    user_agent: str = FIELD_MANAGER,
    requests_at_once: int = REQUESTS_AT_ONCE,
) -> AsyncIterator[Kube]:
    """A client of the cluster of a kubeconfig, or of the cluster that this pod runs in.

    `user_agent` names the client in the API server's audit log. Raises `errors.NotConfigured` where there is no way in.
    """
    async with Transport(credentials(kubeconfig, context), user_agent, requests_at_once) as transport:
        yield Client(transport)


@dataclass(frozen=True)
class _Listed:
    items: list[dict[str, Any]]
    version: str


class Client:
    """The API server as `Kube`; made by `connect`."""

    def __init__(self, transport: Transport) -> None:
        """Use an open transport."""
        self._transport = transport

    async def get(self, kind: Kind, namespace: str, name: str) -> Live | None:
        """See `Kube.get`."""
        try:
            return await self._transport.request("GET", _path(kind, namespace, name))
        except NotFound as error:
            if error.reason == "NotFound":
                return None
            # Without a Status object it is the path that does not exist: a kind that is not installed.
            raise

    async def list(self, kind: Kind, namespace: str, *, labels: str = "", fields: str = "") -> Sequence[Live]:
        """See `Kube.list`."""
        return (await self._list(kind, namespace, labels=labels, fields=fields)).items

    async def apply(self, manifest: Manifest, *, manager: str = FIELD_MANAGER, dry_run: bool = False, new: bool = False) -> Live:
        """See `Kube.apply`."""
        query = {"dryRun": "All"} if dry_run else {}
        if not new:
            return await self._apply(manifest, "", manager, query)
        meta = {**manifest["metadata"], "resourceVersion": NO_VERSION}
        try:
            return await self._apply({**manifest, "metadata": meta}, "", manager, query)
        except Conflict as error:
            raise AlreadyExists(error.status, "AlreadyExists", error.message) from None

    async def apply_status(self, manifest: Manifest, *, manager: str = STATUS_MANAGER) -> Live:
        """See `Kube.apply_status`."""
        return await self._apply(manifest, "/status", manager, {})

    async def create(self, manifest: Manifest) -> Live:
        """See `Kube.create`."""
        path = _path(kind_of(manifest), manifest["metadata"].get("namespace", ""))
        query = {"fieldManager": FIELD_MANAGER, "fieldValidation": "Strict"}
        return await self._transport.request("POST", path, query=query, body=manifest)

    async def patch(self, kind: Kind, namespace: str, name: str, operations: Sequence[dict[str, Any]], *, dry_run: bool = False) -> Live:
        """See `Kube.patch`."""
        path, body = _path(kind, namespace, name), list(operations)
        query = {"fieldManager": FIELD_MANAGER} | ({"dryRun": "All", "fieldValidation": "Strict"} if dry_run else {})
        return await self._transport.request("PATCH", path, query=query, body=body, content_type=JSON_PATCH)

    async def delete(self, kind: Kind, namespace: str, name: str, *, uid: str = "", propagation: Propagation = "Background") -> None:
        """See `Kube.delete`."""
        options: Manifest = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": propagation}
        if uid:
            options["preconditions"] = {"uid": uid}
        try:
            await self._transport.request("DELETE", _path(kind, namespace, name), body=options)
        except NotFound:
            return
        except Conflict:
            # Another object has the name by now: the one that was meant is gone.
            if not uid:
                raise

    async def allowed(self, verb: str, kind: Kind, namespace: str) -> bool:
        """See `Kube.allowed`."""
        group = kind.api_version.rpartition("/")[0]
        question = {"namespace": namespace, "verb": verb, "group": group, "resource": kind.plural}
        answer = await self._review("authorization.k8s.io/v1", "SelfSubjectAccessReview", {"resourceAttributes": question})
        return bool(answer["status"]["allowed"])

    async def whoami(self) -> str:
        """See `Kube.whoami`."""
        answer = await self._review("authentication.k8s.io/v1", "SelfSubjectReview", {})
        return str(answer["status"]["userInfo"]["username"])

    async def _review(self, api_version: str, kind: str, spec: dict[str, Any]) -> Live:
        path = f"/apis/{api_version}/{kind.lower()}s"
        return await self._transport.request("POST", path, body={"apiVersion": api_version, "kind": kind, "spec": spec})

    async def watch_metadata(
        self, kind: Kind, namespace: str, *, labels: str = "", listed: Callable[[], None] = nothing
    ) -> AsyncIterator[WatchEvent]:
        """See `Kube.watch_metadata`."""
        found = await self._list(kind, namespace, labels=labels, accept=METADATA_LIST)
        for item in found.items:
            yield "ADDED", _lean(item, kind)
        listed()
        version = found.version
        clock = asyncio.get_running_loop().time
        while True:
            started = clock()
            try:
                async for kind_of_event, item in self._watch(kind, namespace, version, labels):
                    version = item["metadata"]["resourceVersion"]
                    if kind_of_event != "BOOKMARK":
                        yield kind_of_event, _lean(item, kind)
            except Expired:
                return
            if clock() - started < 1:
                # Something between us and the server ends watches at once: leave the pace to the caller.
                return

    async def _watch(self, kind: Kind, namespace: str, version: str, labels: str) -> AsyncIterator[tuple[Any, dict[str, Any]]]:
        query = {"watch": "true", "allowWatchBookmarks": "true", "resourceVersion": version, "timeoutSeconds": str(WATCH_SECONDS)}
        query |= {"labelSelector": labels} if labels else {}
        async with self._transport.lines(_path(kind, namespace), query, accept=METADATA, silence=SILENCE) as lines:
            async for line in lines:
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise refusal(event["object"].get("code", 500), json.dumps(event["object"]).encode())
                yield event["type"], event["object"]

    async def _list(self, kind: Kind, namespace: str, *, labels: str = "", fields: str = "", accept: str = JSON) -> _Listed:
        query = {name: value for name, value in (("labelSelector", labels), ("fieldSelector", fields)) if value}
        try:
            return await self._list_in_chunks(kind, namespace, query | {"limit": str(CHUNK)}, accept)
        except Expired:
            # The list was so long that its place was forgotten between two chunks: take it whole.
            return await self._list_in_chunks(kind, namespace, query, accept)

    async def _list_in_chunks(self, kind: Kind, namespace: str, query: dict[str, str], accept: str) -> _Listed:
        items: list[dict[str, Any]] = []
        more: dict[str, str] = {}
        while True:
            answer = await self._transport.request("GET", _path(kind, namespace), query=query | more, accept=accept)
            for item in answer["items"] or ():
                item["apiVersion"], item["kind"] = kind.api_version, kind.kind
                items.append(item)
            if not answer["metadata"].get("continue"):
                return _Listed(items, answer["metadata"]["resourceVersion"])
            more = {"continue": answer["metadata"]["continue"]}

    async def _apply(self, manifest: Manifest, subresource: str, manager: str, query: dict[str, str]) -> Live:
        meta = manifest["metadata"]
        path = _path(kind_of(manifest), meta.get("namespace", ""), meta["name"]) + subresource
        query = {"fieldManager": manager, "force": "true"} | query
        return await self._transport.request("PATCH", path, query=query, body=manifest, content_type=APPLY)


def _path(kind: Kind, namespace: str, name: str = "") -> str:
    root = f"/api/{kind.api_version}" if "/" not in kind.api_version else f"/apis/{kind.api_version}"
    within = f"/namespaces/{quote(namespace, safe='')}" if kind.namespaced and namespace else ""
    return f"{root}{within}/{kind.plural}" + (f"/{quote(name, safe='')}" if name else "")


def _lean(item: dict[str, Any], kind: Kind) -> dict[str, Any]:
    """The metadata under its object's own kind, without the bulk that nobody who watches metadata reads."""
    item["metadata"].pop("managedFields", None)
    return item | {"apiVersion": kind.api_version, "kind": kind.kind}
