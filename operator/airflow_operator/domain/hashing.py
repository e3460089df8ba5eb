"""Digests: of public data by SHA-256, of secret data only under a key."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterable
from typing import Any


def digest(value: Any, length: int = 10) -> str:
    """A short, stable hexadecimal digest of JSON data that is not secret."""
    return hashlib.sha256(_canonical(value)).hexdigest()[:length]


def keyed_digest(key: bytes, value: Any, length: int = 16) -> str:
    """The same for data that may hold a weak secret: without `key` nothing can be guessed from it."""
    return hmac.new(key, _canonical(value), hashlib.sha256).hexdigest()[:length]


def version_of(metadata: Any) -> int:
    """A number of 64 bits for one version of one object; those of several objects are added up by `together`."""
    which = "/".join(str(metadata.get(field)) for field in ("namespace", "name", "uid", "resourceVersion"))
    return int.from_bytes(hashlib.blake2b(which.encode(), digest_size=8).digest())


def together(versions: Iterable[int]) -> int:
    """One number for the versions of several objects, in whatever order they come."""
    return sum(versions) % 2**64


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()
