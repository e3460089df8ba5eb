"""What the scripts share that run in the Airflow image: settings, the database, the result.

Python 3.9, standard library and the image's PostgreSQL driver only. `import airflow` costs over a second, so nothing here does it
where the environment already holds the answer.
"""

from __future__ import annotations

import configparser
import gc
import importlib
import json
import os
import re
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any, NoReturn
from urllib.parse import unquote, urlsplit

MESSAGE_BYTES = 600
"""Room for the words of a failure: they end up in a condition."""

HEAD_TABLES = {"airflow": "alembic_version", "fab": "alembic_version_fab"}
"""Where Airflow itself and its FAB provider record the schema's revision."""

Heads = dict[str, list[str]]
"""Sorted revisions by component, with every component of HEAD_TABLES."""

_secrets: set[str] = set()


class Refusal(Exception):
    """A failure that is told by its sentence alone."""


def say(sentence: str) -> None:
    """Write one line to the log at once."""
    print(redacted(sentence), flush=True)


def hide(secret: str) -> str:
    """Remember a secret, so that no log line or result carries it; gives it back."""
    if secret:
        _secrets.add(secret)
    return secret


def redacted(text: str) -> str:
    """The text with every secret that `hide` was told replaced."""
    for secret in sorted(_secrets, key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


def run(work: Callable[[], dict[str, Any]]) -> NoReturn:
    """Do the work, publish its result and leave.

    Leaves by `os._exit`: tearing down an interpreter that imported Airflow takes most of a second. For the same reason garbage is not
    collected: it is a fifth of the import time, and the process is short.
    """
    gc.disable()
    try:
        result, status = work(), 0
    except BaseException as error:
        if not isinstance(error, Refusal):
            say(traceback.format_exc())
        result, status = failure(error), 1
    publish(result)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def failure(error: BaseException) -> dict[str, Any]:
    """The result of a script that could not answer, with its last words."""
    text = _words(error).encode()[:MESSAGE_BYTES].decode(errors="ignore")
    return {"result": "Failed", "message": redacted(text)}


def _words(error: BaseException) -> str:
    # A driver's full text may quote the row that failed, and with it a password's hash: the primary message does not.
    primary = getattr(getattr(error, "diag", None), "message_primary", None)
    # SQLAlchemy adds the statement and its parameters after the driver's words.
    text = redacted(str(primary or error).partition("\n[SQL: ")[0].strip())
    return text if isinstance(error, Refusal) and text else f"{type(error).__name__}: {text}".rstrip(": ")


def publish(result: dict[str, Any]) -> None:
    """Write the result to the log and, as the termination message, to where the kubelet reads it."""
    line = json.dumps(result, ensure_ascii=False, separators=(",", ":"))
    say(line)
    with open(os.environ.get("TERMINATION_LOG", "/dev/termination-log"), "w", encoding="utf-8") as file:
        file.write(line)


def option(section: str, key: str) -> str | None:
    """A plain option of Airflow, from the environment or airflow.cfg; None where neither sets it."""
    name = f"AIRFLOW__{section}__{key}".upper()
    if name in os.environ:
        return os.environ[name]
    home = os.environ.get("AIRFLOW_HOME", os.path.expanduser("~/airflow"))
    file = configparser.RawConfigParser(strict=False)
    file.read(os.environ.get("AIRFLOW_CONFIG", os.path.join(home, "airflow.cfg")))
    return file.get(section, key, fallback=None)


def require_version(installed: str) -> dict[str, Any] | None:
    """The result to give instead of any work if the image is not what EXPECTED_VERSION says; else None."""
    expected = os.environ.get("EXPECTED_VERSION", installed)
    if expected == installed:
        return None
    message = f"The image holds Airflow {installed}, but version {expected} is declared."
    return {"result": "WrongVersion", "airflowVersion": installed, "expectedVersion": expected, "message": message}


def airflow_version() -> str:
    """The version of Airflow in this image, read without importing it."""
    from importlib import metadata

    for package in ("apache-airflow-core", "apache-airflow"):
        try:
            return metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    raise Refusal("The image holds no Apache Airflow for this Python.")


def connect(wait: float = 60.0) -> Any:
    """An autocommit connection to Airflow's database; tries for `wait` seconds while the server does not answer."""
    url = _libpq_url()
    driver = _driver()
    deadline = time.monotonic() + wait
    while True:
        try:
            connection = driver.connect(url, connect_timeout=10)
        except driver.OperationalError as error:
            if "authentication failed" in str(error) or time.monotonic() > deadline:
                raise Refusal(f"Cannot connect to the database: {str(error).strip()}") from error
            time.sleep(0.5)
        else:
            connection.autocommit = True
            return connection


def _libpq_url() -> str:
    url = os.environ.get("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN") or _configured_url()
    hide(url)
    parts = urlsplit(url)
    if parts.password:
        hide(parts.password)
        hide(unquote(parts.password))
    if not re.match(r"postgres(ql)?(\+\w+)?$", parts.scheme):
        raise Refusal(f"Only PostgreSQL is supported, not {parts.scheme or 'an empty database URL'}.")
    return "postgresql" + url[len(parts.scheme) :]


def _configured_url() -> str:
    # Set by a file, a command or a secrets backend: Airflow alone knows how to read those.
    conf = importlib.import_module("airflow.configuration").conf
    return str(conf.get_mandatory_value("database", "sql_alchemy_conn"))


def _driver() -> Any:
    try:
        return importlib.import_module("psycopg2")
    except ImportError:
        return importlib.import_module("psycopg")


def database_heads(connection: Any) -> Heads:
    """The revisions that the database is at, by component; empty lists where nothing was migrated yet."""
    with connection.cursor() as cursor:
        return {component: _heads_in(cursor, table) for component, table in HEAD_TABLES.items()}


def _heads_in(cursor: Any, table: str) -> list[str]:
    cursor.execute("SELECT to_regclass(%s) IS NOT NULL", (table,))
    if not cursor.fetchone()[0]:
        return []
    cursor.execute(f"SELECT version_num FROM {table} ORDER BY 1")
    return [row[0] for row in cursor.fetchall()]
