"""How a Job of the operator's own image gives its answer: one JSON object as the container's termination message."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psycopg

from airflow_operator.jobs.server import Answer, Refused

MESSAGE_BYTES = 600
"""Room for the words of a failure: they end up in a condition."""


def failed(message: str) -> dict[str, Any]:
    """The result of a Job that could not answer, with its last words."""
    return {"result": "Failed", "message": message.strip().encode()[:MESSAGE_BYTES].decode(errors="ignore")}


def publish(result: Mapping[str, Any]) -> None:
    """Write the result to the log and to where the kubelet reads it."""
    line = json.dumps(result, ensure_ascii=False, separators=(",", ":"))
    print(line, flush=True)
    Path(os.environ.get("TERMINATION_LOG", "/dev/termination-log")).write_text(line, encoding="utf-8")


def answer(work: Callable[[], dict[str, Any]]) -> int:
    """Do the work and publish what came of it; 0 for a conclusive answer."""
    try:
        result = work()
    except Answer as answered:
        result = answered.result
    except Refused as refused:
        result = failed(str(refused))
    except psycopg.Error as error:
        result = failed(f"The database server refused: {error.diag.message_primary or error}")
    except KeyError as missing:
        result = failed(f"The environment variable {missing} is missing or has a value that is not known.")
    except (OSError, ValueError) as error:
        result = failed(str(error))
    publish(result)
    return 1 if result["result"] == "Failed" else 0
