"""The HTTP endpoint that git-sync calls when it has checked out a commit."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from airflow_operator.domain.kinds import AIRFLOW_CLUSTER
from airflow_operator.runtime.gitsync import GitSyncNews
from airflow_operator.runtime.wakeups import Resource, Wakeups

log = logging.getLogger("airflow_operator.webhook")

PATH = "/git-sync/{namespace}/{cluster}/{entry}/{token}"
HASH_HEADER = "Gitsync-Hash"
LARGEST_BODY = 4096

PATIENCE = 0.7
"""Seconds to wait until the status names the commit; git-sync waits one second for an answer, and asks again after another."""

_STATUS = {"recorded": 200, "refused": 404, "unexpected": 503}


def application(news: GitSyncNews, wakeups: Wakeups) -> web.Application:
    """The web application; it answers nothing but a status code."""

    async def post(request: web.Request) -> web.Response:
        where = request.match_info
        namespace, cluster, entry, commit = where["namespace"], where["cluster"], where["entry"], request.headers.get(HASH_HEADER, "")
        known = news.commit(namespace, cluster, entry)
        answer = news.record(namespace, cluster, entry, where["token"], commit)
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
