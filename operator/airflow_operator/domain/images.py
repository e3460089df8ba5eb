"""Names of container images, and those that are used where nobody names one."""

from __future__ import annotations

import re

AIRFLOW = "docker.io/apache/airflow"
"""The tag is the version of Airflow."""
POSTGRES = "docker.io/library/postgres"
"""The tag is the major version of PostgreSQL."""
GIT_SYNC = "registry.k8s.io/git-sync/git-sync:v4.7.1"
STATSD_EXPORTER = "docker.io/prom/statsd-exporter:v0.31.0"

REGISTRY = re.compile(r"([a-zA-Z0-9.-]+(:[0-9]+)?(/[a-z0-9._-]+)*)?")
"""A host with port and path, or nothing."""


def mirrored(image: str, registry: str) -> str:
    """The same image from another registry: the first part of its name is replaced."""
    return f"{registry}/{image.partition('/')[2]}" if registry else image


def split(image: str) -> tuple[str, str, str]:
    """Repository, tag and digest of an image's name; tag and digest are empty where there are none."""
    name, _, digest = image.partition("@")
    path, colon, tag = name.rpartition(":")
    return (path, tag, digest) if colon and "/" not in tag else (name, "", digest)


def joined(repository: str, tag: str, digest: str) -> str:
    """The name as the container runtime takes it: a digest wins over a tag."""
    return f"{repository}@{digest}" if digest else f"{repository}:{tag}"
