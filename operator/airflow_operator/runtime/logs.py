"""What the operator writes to its log: one line an entry, for people or for machines."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import TextIO

from airflow_operator.settings import LogFormat, LogLevel

NOISY = ("kopf", "kubernetes", "aiohttp", "asyncio", "urllib3")
"""Libraries that tell of every event and request; they are one level less talkative."""


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON; a traceback is one string in it."""
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            entry["error"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False)


def configure(style: LogFormat, level: LogLevel, stream: TextIO | None = None) -> None:
    """Send everything to standard error, in one format."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if style == "json" else logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    quieter = logging.INFO if level == "debug" else logging.WARNING
    for name in NOISY:
        logging.getLogger(name).setLevel(quieter)
