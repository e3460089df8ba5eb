"""A cluster's keys: made once, checked for form, copied to the base's namespace, never overwritten."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import secrets
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from airflow_operator.domain import labels, names
from airflow_operator.domain.hashing import keyed_digest
from airflow_operator.domain.manifest import Live, Manifest, dig

FERNET = "fernet-key"
API_SECRET = "api-secret-key"
JWT_PRIVATE = "jwt-private-key"
JWT_SECRET = "jwt-secret"  # the user's alone: the operator makes a private key
CHECKSUM = "checksum-key"
DATABASE_PASSWORD = "database-password"
KEY_ID = "key-id"

MEMBERS = (FERNET, API_SECRET, JWT_PRIVATE, CHECKSUM, DATABASE_PASSWORD, KEY_ID)


class Malformed(Exception):
    """The Secret's data cannot be used; the text says which member and what it should be."""


@dataclass(frozen=True, repr=False)
class Keys:
    """The keys of one cluster, decoded and known to be well-formed."""

    data: Mapping[str, str]

    @property
    def database_password(self) -> str:
        """Password of the cluster's own database role."""
        return self.data[DATABASE_PASSWORD]

    @property
    def key_id(self) -> str:
        """What the database's comment names, so that keys and database can be told to belong together."""
        return self.data[KEY_ID]

    def checksum(self, value: object, length: int = 16) -> str:
        """Digest of secret data for an annotation or a token: says nothing without the cluster's own key."""
        return keyed_digest(self.data[CHECKSUM].encode(), value, length)

    def jwks(self) -> str:
        """Public half of the token key as a JSON Web Key Set.

        Ed25519 only: its key id in Airflow is the thumbprint of RFC 7638, which for RSA it is not (seen on 3.3.2).
        """
        raw = _private_key(self.data[JWT_PRIVATE]).public_key().public_bytes_raw()
        jwk = {"crv": "Ed25519", "kty": "OKP", "x": _base64url(raw)}
        digest = hashlib.sha256(json.dumps(jwk, sort_keys=True, separators=(",", ":")).encode()).digest()
        return json.dumps({"keys": [{**jwk, "alg": "EdDSA", "kid": _base64url(digest), "use": "sig"}]}, sort_keys=True)


def generate() -> dict[str, str]:
    """Fresh keys; the only place where any is made."""
    private = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return {
        FERNET: base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        API_SECRET: secrets.token_hex(32),
        JWT_PRIVATE: private.decode(),
        CHECKSUM: secrets.token_hex(32),
        DATABASE_PASSWORD: secrets.token_urlsafe(32),
        KEY_ID: str(uuid.uuid4()),
    }


def read(secret: Live) -> Keys:
    """The keys of a Secret; raises Malformed."""
    data = decode(secret)
    for member in MEMBERS:
        if not data.get(member):
            raise Malformed(f"it has no member {member}")
    require_fernet(FERNET, data[FERNET])
    _private_key(data[JWT_PRIVATE])
    return Keys({member: data[member] for member in MEMBERS})


def require_fernet(member: str, text: str) -> None:
    """Raises Malformed where a text is not one or several fernet keys."""
    for part in text.split(","):
        try:
            size = len(base64.urlsafe_b64decode(part.strip()))
        except (binascii.Error, ValueError):
            size = -1
        if size != 32:
            raise Malformed(f"{member} is not 32 bytes in url-safe base64")


def secret_of(cluster: str, namespace: str, data: Mapping[str, str]) -> Manifest:
    """The Secret in the cluster's own namespace. It outlives the cluster: no owner reference."""
    return _secret(names.keys(cluster), namespace, labels.retained(labels.of_cluster(cluster, "keys")), data)


def copy_of(cluster: str, namespace: str, base: str, base_namespace: str, data: Mapping[str, str]) -> Manifest:
    """The copy in the base's namespace, from which a lost Secret is restored."""
    marks = {**labels.of_cluster(cluster, "keys-copy"), labels.CLUSTER_NAMESPACE: namespace, labels.BASE: base}
    return _secret(names.keys_copy(namespace, cluster), base_namespace, labels.retained(marks), data)


def encode(data: Mapping[str, str]) -> dict[str, str]:
    """A Secret's `data` from text."""
    return {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}


def decode(secret: Live) -> dict[str, str]:
    """Text from a Secret's `data`."""
    return {key: base64.b64decode(value or "").decode(errors="replace") for key, value in dig(secret, "data", default={}).items()}


def _secret(name: str, namespace: str, marks: dict[str, str], data: Mapping[str, str]) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace, "labels": marks, "annotations": dict(labels.KEPT_BY_ARGO_CD)},
        "type": "Opaque",
        "data": encode(data),
    }


def _private_key(pem: str) -> Ed25519PrivateKey:
    try:
        key = serialization.load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise Malformed(f"{JWT_PRIVATE} is not a private key in PKCS#8 PEM") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise Malformed(f"{JWT_PRIVATE} is not an Ed25519 key")
    return key


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
