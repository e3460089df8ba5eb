"""The HTTP endpoint that git-sync calls when it has checked out a commit."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import web

from airflow_operator.domain.kinds import AIRFLOW_CLUSTER
from airflow_operator.runtime.gitsync import GitSyncNews
from airflow_operator.runtime.leader import Leader
from airflow_operator.runtime.wakeups import Resource, Wakeups

log = logging.getLogger("airflow_operator.webhook")

PATH = "/git-sync/{namespace}/{cluster}/{entry}/{token}"
HASH_HEADER = "Gitsync-Hash"
LARGEST_BODY = 4096

PATIENCE = 0.7
"""Seconds to wait until the status names the commit; git-sync waits one second for an answer, and asks again after another."""

PASSED_ON = "X-Passed-On"
"""Header of a call that another replica passes on: it is not passed on again."""

_STATUS = {"recorded": 200, "refused": 404, "unexpected": 503}


def application(news: GitSyncNews, wakeups: Wakeups, leader: Leader | None = None) -> web.Application:
    """The web application; it answers nothing but a status code. A replica that stands by passes calls on to the leader."""

    async def post(request: web.Request) -> web.Response:
        if leader and not leader.leads():
            return web.Response(status=await _passed_on(request, leader))
        where = request.match_info
        namespace, cluster, entry, commit = where["namespace"], where["cluster"], where["entry"], request.headers.get(HASH_HEADER, "")
        known = news.commit(namespace, cluster, entry)
        answer = news.record(namespace, cluster, entry, where["token"], commit)
        if answer == "unexpected" and not news.expects(namespace, cluster):
            # This process has not looked at the cluster closely yet.
            wakeups.wake(Resource(AIRFLOW_CLUSTER, namespace, cluster))
        log.debug("git-sync of %s/%s, %s: %s", namespace, cluster, entry, answer)
        if answer == "recorded":
            if commit != known:
                wakeups.wake(Resource(AIRFLOW_CLUSTER, namespace, cluster))
            # git-sync tells a commit until it is taken: it is, once it would outlive this process.
            if not await news.is_kept(namespace, cluster, entry, commit, within=PATIENCE):
                return web.Response(status=_STATUS["unexpected"])
        return web.Response(status=_STATUS[answer])

    app = web.Application(client_max_size=LARGEST_BODY)
    app.router.add_post(PATH, post)
    return app


async def _passed_on(request: web.Request, leader: Leader) -> int:
    """The leader's answer; 503 where none is known or it does not answer: git-sync asks again."""
    if not leader.holder_webhook or PASSED_ON in request.headers:
        return _STATUS["unexpected"]
    headers = {HASH_HEADER: request.headers.get(HASH_HEADER, ""), PASSED_ON: "1"}
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PATIENCE + 0.2), trust_env=False) as session,
            session.post(f"{leader.holder_webhook}{request.path}", headers=headers, allow_redirects=False) as answer,
        ):
            return answer.status
    except (aiohttp.ClientError, TimeoutError, OSError):
        return _STATUS["unexpected"]


@asynccontextmanager
async def serving(app: web.Application, port: int, host: str | None = None) -> AsyncIterator[int]:
    """Serve while the block runs; answers the port (useful where 0 was asked for). `host` None: all addresses."""
    # Without an access log: its lines would hold the tokens.
    runner = web.AppRunner(app, handle_signals=False, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()
