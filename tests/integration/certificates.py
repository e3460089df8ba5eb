"""Certificates for tests."""

from __future__ import annotations

import subprocess


def certificate() -> str:
    """One of an authority that nobody has heard of, in PEM."""
    arguments = (
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-keyout",
        "/dev/null",
        "-subj",
        "/CN=ca",
    )
    return subprocess.run(["openssl", *arguments], check=True, capture_output=True, text=True, timeout=60).stdout
