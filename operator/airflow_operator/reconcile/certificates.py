"""Certificates that the user brings, and whether they can be read."""

from __future__ import annotations

import base64

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from airflow_operator.api.certificates import CertificateAuthority
from airflow_operator.domain.errors import Waiting
from airflow_operator.domain.manifest import Live, dig

FIELD = "spec.database.external.tls.ca"


def place(ca: CertificateAuthority) -> tuple[str, str, str]:
    """Kind, name and key of where they are."""
    if ca.secret_key_ref:
        return "Secret", ca.secret_key_ref.name, ca.secret_key_ref.key
    assert ca.config_map_key_ref is not None
    return "ConfigMap", ca.config_map_key_ref.name, ca.config_map_key_ref.key


def read(ca: CertificateAuthority, live: Live | None) -> str:
    """The certificates in PEM and nothing else: they go to ConfigMaps, and a private key may stand beside them.

    Raises Waiting where they are missing or are none.
    """
    kind, name, key = place(ca)
    if live is None:
        raise Waiting(f"{kind}NotFound", f"{FIELD} names {kind} {name}, which does not exist in its namespace.")
    text = dig(live, "data", key)
    if text is None:
        raise Waiting("KeyNotFound", f"{FIELD} names the key {key} of {kind} {name}, which has no such key.")
    try:
        pem = base64.b64decode(text).decode() if kind == "Secret" else str(text)
        found = x509.load_pem_x509_certificates(pem.encode())
    except ValueError:
        raise Waiting("CertificateMalformed", f"{FIELD}: the key {key} of {kind} {name} holds no certificate in PEM.") from None
    return "".join(certificate.public_bytes(Encoding.PEM).decode() for certificate in found)
