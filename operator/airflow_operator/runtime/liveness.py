"""The operator's own health endpoint: alive while its event loop keeps time, ready once it watches."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from airflow_operator.runtime.lag import MOST, LagMeter


def application(lag: LagMeter, ready: Callable[[], bool]) -> web.Application:
    """GET /healthz and /readyz: 200, or 503 with a sentence. A replica that stands by is ready too."""

    async def healthz(_: web.Request) -> web.Response:
        late = lag.take()
        return _answer("" if late <= MOST else f"the event loop was {late:.1f} s late")

    async def readyz(_: web.Request) -> web.Response:
        return _answer("" if ready() else "the operator is starting")

    app = web.Application()
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    return app


def _answer(complaint: str) -> web.Response:
    return web.Response(status=503 if complaint else 200, text=complaint or "ok")
