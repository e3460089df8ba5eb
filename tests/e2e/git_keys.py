"""Keys for a git server over SSH and HTTPS, and for the one who may read it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import NameOID

_PLAIN = serialization.NoEncryption()


def generate(host: str, port: int) -> dict[str, str]:
    """Of the server `host-key`, `tls.key`, `tls.crt` and `authorized_keys`; of its user `ssh-privatekey`, `known_hosts` and `ca.crt`."""
    server, user = ed25519.Ed25519PrivateKey.generate(), ed25519.Ed25519PrivateKey.generate()
    authority = ec.generate_private_key(ec.SECP256R1())
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = _certificate("test authority", authority, "test authority", authority, x509.BasicConstraints(ca=True, path_length=0))
    certificate = _certificate(host, key, "test authority", authority, x509.SubjectAlternativeName([x509.DNSName(host)]))
    return {
        "host-key": _private(server),
        "ssh-privatekey": _private(user),
        "authorized_keys": f"{_public(user)}\n",
        "known_hosts": f"[{host}]:{port} {_public(server)}\n",
        "tls.key": key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, _PLAIN).decode(),
        "tls.crt": certificate,
        "ca.crt": issuer,
    }


def _private(key: ed25519.Ed25519PrivateKey) -> str:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, _PLAIN).decode()


def _public(key: ed25519.Ed25519PrivateKey) -> str:
    return key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode()


def _certificate(
    name: str, key: ec.EllipticCurvePrivateKey, issuer: str, signer: ec.EllipticCurvePrivateKey, extension: x509.ExtensionType
) -> str:
    def named(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(named(name)).issuer_name(named(issuer)).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).add_extension(
        extension, critical=isinstance(extension, x509.BasicConstraints)
    )
    builder = builder.not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(days=1))
    return builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()
