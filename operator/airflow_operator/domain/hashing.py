"""Digests: of public data by SHA-256, of secret data only under a key."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any


def digest(value: Any, length: int = 10) -> str:
    """A short, stable hexadecimal digest of JSON data that is not secret."""
    return hashlib.sha256(_canonical(value)).hexdigest()[:length]


def keyed_digest(key: bytes, value: Any, length: int = 16) -> str:
    """The same for data that may hold a weak secret: without `key` nothing can be guessed from it."""
    return hmac.new(key, _canonical(value), hashlib.sha256).hexdigest()[:length]


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()
