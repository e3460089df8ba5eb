"""Reading the YAML that a user names."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml

from airflow_operator.cli.errors import CommandError


def documents(file: str) -> list[Any]:
    """The documents of a file, `-` for standard input. CommandError where it cannot be read."""
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
        return [document for document in yaml.safe_load_all(text) if document]
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise CommandError(f"{file} cannot be read: {error}") from None
