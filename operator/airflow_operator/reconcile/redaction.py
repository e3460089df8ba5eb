"""What containers say is taken in without the secret values that they were given: their last words end in conditions and events."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any
from urllib.parse import quote

from airflow_operator.domain.manifest import Live, dig

HIDDEN = "(secret)"
SHORTEST = 8
"""Characters: a shorter value would be found in words that have nothing to do with it."""
LONGEST = 4096
"""The kubelet keeps no longer message."""
MOST = 2000
"""Values, each in four forms: whoever fills Secrets with more of them must not hold up the others."""

_NO_SECRET = frozenset({"username", "key-id", "known_hosts", "ca.crt"})
"""Keys whose values messages may hold."""


def values_of(secrets: Iterable[Live | None]) -> tuple[str, ...]:
    """What must not be told, in each form in which a program prints it, the longest first; the first Secrets count first."""
    found = {form for value in islice(_values(secrets), MOST) for form in _forms(value)}
    return tuple(sorted(found, key=lambda form: (-len(form), form)))


def _values(secrets: Iterable[Live | None]) -> Iterator[str]:
    for secret in secrets:
        if dig(secret, "kind") != "Secret":
            continue
        for key, encoded in dig(secret, "data", default={}).items():
            if key not in _NO_SECRET:
                # Of a key in PEM form any line tells something.
                text = _text(encoded or "")
                yield from (part for part in dict.fromkeys((text, *map(str.strip, text.splitlines()))) if SHORTEST <= len(part) <= LONGEST)


def _text(encoded: str) -> str:
    try:
        return base64.b64decode(encoded).decode().strip()
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _forms(value: str) -> tuple[str, ...]:
    return value, json.dumps(value)[1:-1], quote(value, safe=""), base64.b64encode(value.encode()).decode()


def redacted(items: Iterable[Live], values: Sequence[str]) -> list[Live]:
    """The objects, in the messages of whose status none of the values stands."""
    return [{**item, "status": _walk(item["status"], values)} if item.get("status") else item for item in items]


def hide(text: str, values: Iterable[str]) -> str:
    """The text without the values; a log that the kubelet cut may begin in the midst of one."""
    for value in values:
        if value in text:
            text = text.replace(value, HIDDEN)
        at = value.find(text[:SHORTEST], 1) if len(text) >= SHORTEST else -1
        if at > 0 and text.startswith(value[at:]):
            text = HIDDEN + text[len(value) - at :]
    return text


def _walk(part: Any, values: Sequence[str]) -> Any:
    if isinstance(part, list):
        return [_walk(entry, values) for entry in part]
    if isinstance(part, dict):
        return {
            key: hide(value, values) if key == "message" and isinstance(value, str) else _walk(value, values) for key, value in part.items()
        }
    return part
