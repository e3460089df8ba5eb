"""The names of everything that the operator makes, in one place."""

from __future__ import annotations

import re

from airflow_operator.domain.hashing import digest

LIMIT = 52
"""Longest child name: a StatefulSet's pods carry it with ten characters more in a label of at most 63."""

STATSD = "statsd"
"""What the StatsD exporter is called among the components."""

IDENTIFIER_LIMIT = 63
"""Longest identifier of PostgreSQL, in bytes."""


def child(owner: str, suffix: str) -> str:
    """`OWNER-SUFFIX`, valid as the name of any kind.

    An owner's name that is too long, begins with a digit or holds a dot is shortened or mended; a digest of the whole name
    then keeps two owners apart that differ only in what was lost.
    """
    stem = re.sub(r"[^a-z0-9-]", "-", owner)
    stem = stem if stem[0].isalpha() else f"a{stem}"
    room = LIMIT - len(suffix) - 1
    if stem == owner and len(stem) <= room:
        return f"{stem}-{suffix}"
    mark = digest(owner, 8)
    return f"{stem[: room - len(mark) - 1].rstrip('-')}-{mark}-{suffix}"


def database(namespace: str, cluster: str) -> str:
    """Name of a cluster's database and of its role: a readable prefix and a digest of namespace and name."""
    readable = re.sub(r"[^a-z0-9]+", "_", f"{namespace}_{cluster}").strip("_")
    mark = digest([namespace, cluster], 12)
    return f"airflow_{readable[: IDENTIFIER_LIMIT - len(mark) - 9]}_{mark}"


def keys(cluster: str) -> str:
    """Secret with a cluster's generated keys, in its own namespace."""
    return child(cluster, "keys")


def keys_copy(namespace: str, cluster: str) -> str:
    """Secret with the copy of a cluster's keys, in the namespace of its base."""
    return child(cluster, f"keys-copy-{digest([namespace, cluster], 8)}")


def connection(cluster: str) -> str:
    """Secret with the URL of the metadata database."""
    return child(cluster, "connection")


def admin(cluster: str) -> str:
    """Secret with the generated administrator's user name and password."""
    return child(cluster, "admin")


def users(cluster: str) -> str:
    """Secret with the passwords of the simple auth manager's users."""
    return child(cluster, "users")


def logs(cluster: str) -> str:
    """PersistentVolumeClaim of the task logs."""
    return child(cluster, "logs")


def api_server(cluster: str) -> str:
    """Service (and Deployment) of the API server."""
    return child(cluster, "api-server")


def statsd(cluster: str) -> str:
    """Service (and Deployment) of the StatsD exporter."""
    return child(cluster, STATSD)


def postgres(base: str) -> str:
    """StatefulSet, Service and password Secret of a base's embedded PostgreSQL."""
    return child(base, "postgres")


def postgres_claim(base: str) -> str:
    """PersistentVolumeClaim of a base's embedded PostgreSQL, as the StatefulSet controller names it."""
    return f"data-{postgres(base)}-0"
