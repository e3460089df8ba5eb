"""Logging in as a GitHub App: a token signed with its private key is exchanged for one that git takes as a password."""

import base64
import hashlib
import json
import re
import time
import urllib.error
import urllib.request
from datetime import datetime
from pathlib import Path

from devcluster.images.git_sync.contract import Settings, SyncError

_SHA256 = bytes.fromhex("3031300d060960864801650304020105000420")
"""What stands before a SHA-256 digest in a signature of PKCS #1."""
_SEQUENCE, _INTEGER, _OCTETS = 0x30, 0x02, 0x04
_SOON = 30.0
"""Seconds before its end in which a token is not used any more."""


class App:
    """The token of one installation, fetched anew when it is about to end."""

    def __init__(self, settings: Settings) -> None:
        """Nothing is fetched yet."""
        self._settings = settings
        self._token = ""
        self._ends = 0.0

    def token(self) -> str:
        """A token that is good for now; SyncError with the server's words."""
        if self._ends - time.time() < _SOON:
            self._fetch()
        return self._token

    def _fetch(self) -> None:
        settings = self._settings
        url = f"{settings.github_base_url.rstrip('/')}/app/installations/{settings.github_app_installation_id}/access_tokens"
        request = urllib.request.Request(url, method="POST", headers={"Authorization": f"Bearer {self._signed()}"})
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                answer = json.load(response)
        except urllib.error.HTTPError as error:
            raise SyncError(f"failed to refresh GitHub app token: status {error.code}, body: {error.read().decode()!r}") from None
        except OSError as error:
            raise SyncError(f"failed to refresh GitHub app token: {error}") from None
        self._token, self._ends = answer["token"], datetime.fromisoformat(answer["expires_at"]).timestamp()

    def _signed(self) -> str:
        issuer = self._settings.github_app_client_id or str(self._settings.github_app_application_id)
        now = int(time.time())
        parts = [{"alg": "RS256", "typ": "JWT"}, {"iss": issuer, "iat": now, "exp": now + 600}]
        text = ".".join(_encoded(json.dumps(part, separators=(",", ":")).encode()) for part in parts)
        return f"{text}.{_encoded(sign(self._private_key(), text.encode()))}"

    def _private_key(self) -> str:
        try:
            return Path(self._settings.github_app_private_key_file).read_text()
        except OSError as error:
            raise SyncError(f"can't read private key file: {error}") from None


def sign(pem: str, message: bytes) -> bytes:
    """Signature of a message (RSA of PKCS #1 v1.5, SHA-256) with a private key of PKCS #1 or #8."""
    modulus, exponent = _read(pem)
    length = (modulus.bit_length() + 7) // 8
    digest = _SHA256 + hashlib.sha256(message).digest()
    padded = b"\x00\x01" + b"\xff" * (length - len(digest) - 3) + b"\x00" + digest
    return pow(int.from_bytes(padded), exponent, modulus).to_bytes(length)


def _read(pem: str) -> tuple[int, int]:
    body = re.search(r"-----BEGIN [A-Z ]+-----(.*?)-----END", pem, re.DOTALL)
    if not body:
        raise SyncError("invalid key: Key must be a PEM encoded PKCS1 or PKCS8 key")
    fields = _fields(_fields(base64.b64decode(body[1]))[0][1])
    if fields[1][0] == _SEQUENCE:
        # PKCS #8: the key of PKCS #1 lies in an octet string.
        fields = _fields(_fields(next(content for tag, content in fields if tag == _OCTETS))[0][1])
    numbers = [int.from_bytes(content) for tag, content in fields if tag == _INTEGER]
    return numbers[1], numbers[3]


def _fields(data: bytes) -> list[tuple[int, bytes]]:
    """(tag, content) of each DER value in a row."""
    found, place = [], 0
    while place < len(data):
        tag, length, start = data[place], data[place + 1], place + 2
        if length & 0x80:
            size = length & 0x7F
            length, start = int.from_bytes(data[start : start + size]), start + size
        found.append((tag, data[start : start + length]))
        place = start + length
    return found


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
