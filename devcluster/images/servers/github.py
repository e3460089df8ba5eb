"""What git asks of GitHub for an App, on port 8080: a token signed with the App's key is exchanged for one that its git server takes.

Settings: APP (the App's number), INSTALLATION, PUBLIC_KEY (PEM), TOKEN (what is given). `/healthz` answers everybody.
"""

import base64
import json
import os
import time
from datetime import UTC, datetime, timedelta

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

LONGEST = 660
"""Seconds for which GitHub believes a token, its own clock's error included."""

key = load_pem_public_key(os.environ["PUBLIC_KEY"].encode())
assert isinstance(key, RSAPublicKey)


def decoded(part: str) -> bytes:
    """Base64 as JSON Web Tokens have it."""
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def mistake(authorization: str) -> str:
    """What is wrong with what the App shows; empty if nothing is."""
    head, claims, signature = authorization.removeprefix("Bearer ").split(".")
    try:
        key.verify(decoded(signature), f"{head}.{claims}".encode(), PKCS1v15(), SHA256())
    except InvalidSignature:
        return "A JSON web token could not be decoded"
    said = json.loads(decoded(claims))
    if str(said["iss"]) != os.environ["APP"]:
        return "Integration not found"
    return "" if said["iat"] <= time.time() < said["exp"] <= time.time() + LONGEST else "'Expiration time' claim ('exp') is wrong"


@Request.application
def answer(request: Request) -> Response:
    """The one call, as GitHub documents it."""
    if request.path == "/healthz":
        return Response("ok\n")
    if (request.method, request.path) != ("POST", f"/app/installations/{os.environ['INSTALLATION']}/access_tokens"):
        return Response('{"message": "Not Found"}', status=404)
    if wrong := mistake(request.headers.get("Authorization", "..")):
        return Response(json.dumps({"message": wrong}), status=401)
    ends = datetime.now(UTC) + timedelta(hours=1)
    return Response(json.dumps({"token": os.environ["TOKEN"], "expires_at": ends.strftime("%Y-%m-%dT%H:%M:%SZ")}), status=201)


if __name__ == "__main__":
    make_server("0.0.0.0", 8080, answer, threaded=True).serve_forever()
