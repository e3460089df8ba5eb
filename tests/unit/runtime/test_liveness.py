"""Alive, ready, and the log."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import time
from collections.abc import Iterator

import aiohttp
import pytest

from airflow_operator.runtime import lag as lags
from airflow_operator.runtime import logs
from airflow_operator.runtime.lag import LagMeter
from airflow_operator.runtime.liveness import application
from airflow_operator.runtime.webhook import serving


async def test_ready_once_it_watches_and_not_alive_when_it_is_late() -> None:
    lag, watching = LagMeter(), asyncio.Event()
    async with serving(application(lag, watching.is_set), 0, "127.0.0.1") as port, aiohttp.ClientSession() as session:

        async def status(path: str) -> int:
            async with session.get(f"http://127.0.0.1:{port}{path}") as response:
                return response.status

        assert await status("/readyz") == 503
        watching.set()
        assert await status("/readyz") == 200
        assert await status("/healthz") == 200
        lag.worst = lags.MOST + 1
        assert await status("/healthz") == 503
        assert await status("/healthz") == 200


async def test_lag_is_measured() -> None:
    lag = LagMeter()
    task = asyncio.create_task(lag.run())
    await asyncio.sleep(0)
    time.sleep(lags.TICK + 0.3)  # noqa: ASYNC251  (the hang that is to be seen)
    await asyncio.sleep(0.05)
    task.cancel()
    assert 0.25 <= lag.take() <= 5
    assert lag.take() == 0


@pytest.fixture
def root_logger() -> Iterator[None]:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = before, level


@pytest.mark.usefixtures("root_logger")
def test_json_log_is_one_object_a_line() -> None:
    stream = io.StringIO()
    logs.configure("json", "info", stream)
    try:
        raise ValueError("line one\nline two")
    except ValueError:
        logging.getLogger("airflow_operator.x").exception("failed: %s", "ü")
    logging.getLogger("kopf.objects").info("noise")
    logging.getLogger("airflow_operator.x").debug("detail")
    (line,) = stream.getvalue().splitlines()
    entry = json.loads(line)
    assert (entry["level"], entry["logger"], entry["message"]) == ("error", "airflow_operator.x", "failed: ü")
    assert "line two" in entry["error"]
