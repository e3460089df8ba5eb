"""uv.lock: each file by its hash, and none that was published a moment before it was locked."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
LOCK: dict[str, Any] = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))
YOUNGEST = timedelta(days=7)


def files() -> Iterator[tuple[str, dict[str, Any]]]:
    for package in LOCK["package"]:
        for found in [*package.get("wheels", []), *([package["sdist"]] if "sdist" in package else [])]:
            yield package["name"], found


def test_every_file_has_its_hash() -> None:
    assert len(list(files())) > 100
    assert [name for name, found in files() if not found.get("hash", "").startswith("sha256:")] == []


def test_every_package_but_our_own_comes_as_such_a_file() -> None:
    named = {name for name, _ in files()}
    assert {package["name"] for package in LOCK["package"]} - named == {"airflow-operator"}


def test_nothing_was_locked_that_is_younger_than_seven_days() -> None:
    assert LOCK["options"]["exclude-newer-span"] == f"P{YOUNGEST.days}D"
    # What uv was told when it locked is not kept, but no age only grows.
    newest = datetime.now(UTC) - YOUNGEST
    assert [name for name, found in files() if datetime.fromisoformat(found["upload-time"]) > newest] == []
