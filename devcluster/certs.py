"""A certificate authority of our own, and the kubeconfig files made from it."""

import base64
import datetime
import ipaddress
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFETIME = datetime.timedelta(days=365)
CLOCK_SKEW = datetime.timedelta(hours=1)


@dataclass(frozen=True)
class Pair:
    """A certificate and its private key, both PEM files."""

    cert: Path
    key: Path


def write_private(path: Path, content: bytes | str) -> Path:
    """Write a file that only its owner can read."""
    data = content.encode() if isinstance(content, str) else content
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
    return path


def _pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def _name(common_name: str, organization: str = "") -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization)] if organization else []
    return x509.Name([*attributes, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


class Authority:
    """A certificate authority whose files live in one directory."""

    def __init__(self, directory: Path, name: str = "devcluster-ca") -> None:
        """Make a new authority with the files NAME.crt and NAME.key in `directory`."""
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._subject = _name(name)
        builder = self._builder(self._subject, self._key.public_key())
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        self.pair = self._write(name, builder, self._key)

    def _builder(self, subject: x509.Name, public_key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(self._subject).public_key(public_key)
        builder = builder.serial_number(x509.random_serial_number())
        return builder.not_valid_before(now - CLOCK_SKEW).not_valid_after(now + LIFETIME)

    def _write(self, name: str, builder: x509.CertificateBuilder, key: ec.EllipticCurvePrivateKey) -> Pair:
        certificate = builder.sign(self._key, hashes.SHA256())
        cert_path = self._directory / f"{name}.crt"
        cert_path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return Pair(cert_path, write_private(self._directory / f"{name}.key", _pem(key)))

    def issue(self, name: str, common_name: str, organization: str = "", hosts: tuple[str, ...] = ()) -> Pair:
        """Issue NAME.crt and NAME.key: a serving certificate when `hosts` are given, else a client certificate."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = self._builder(_name(common_name, organization), key.public_key())
        usage = [ExtendedKeyUsageOID.SERVER_AUTH] if hosts else [ExtendedKeyUsageOID.CLIENT_AUTH]
        builder = builder.add_extension(x509.ExtendedKeyUsage(usage), critical=False)
        if hosts:
            names = x509.SubjectAlternativeName([_alternative(host) for host in hosts])
            builder = builder.add_extension(names, critical=False)
        return self._write(name, builder, key)


def service_account_key(directory: Path) -> Pair:
    """Make the RSA pair that signs service account tokens; `cert` is its public key."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = directory / "service-accounts.pub"
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    public.write_bytes(key.public_key().public_bytes(serialization.Encoding.PEM, spki))
    return Pair(public, write_private(directory / "service-accounts.key", _pem(key)))


def kubeconfig(path: Path, server: str, authority: Path, client: Pair, name: str = "devcluster") -> Path:
    """Write a self-contained kubeconfig with one context called `name`."""

    def embedded(file: Path) -> str:
        return base64.b64encode(file.read_bytes()).decode()

    user = {"client-certificate-data": embedded(client.cert), "client-key-data": embedded(client.key)}
    content: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": server, "certificate-authority-data": embedded(authority)}}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }
    return write_private(path, yaml.safe_dump(content, sort_keys=False))
