"""Secrets that follow from others and go with the cluster."""

from __future__ import annotations

import base64
from urllib.parse import quote, urlencode

from airflow_operator.domain.manifest import Manifest, dig
from airflow_operator.reconcile.build import meta
from airflow_operator.reconcile.build.airflow_env import ASYNC_CONNECTION_KEY, CA_DIR, CA_FILE, CONNECTION_KEY
from airflow_operator.reconcile.keys import Keys, encode
from airflow_operator.reconcile.references import CREDENTIALS
from airflow_operator.reconcile.validate import ValidatedCluster


def connection(cluster: ValidatedCluster, keys: Keys) -> Manifest:
    """The URL of the metadata database. It names the driver: a plain postgresql:// means another one in SQLAlchemy 2.1."""
    role, password = credentials(cluster, keys)
    place = f"{quote(role, safe='')}:{quote(password, safe='')}@{cluster.base.host}:{cluster.base.port}/{quote(cluster.database, safe='')}"
    data = {CONNECTION_KEY: f"postgresql+psycopg2://{place}"}
    if cluster.base.external:
        tls = urlencode(_tls(cluster), quote_via=quote)
        data[CONNECTION_KEY] += f"?{tls}"
        # asyncpg knows sslrootcert only within a URL of its own (tried with 0.31 and SQLAlchemy 2.0); Airflow would pass the other one on.
        data[ASYNC_CONNECTION_KEY] = f"postgresql+asyncpg://{place}?{urlencode({'dsn': f'postgresql:///?{tls}'})}"
    return meta.child(cluster, "v1", "Secret", "connection", type="Opaque", data=encode(data))


def credentials(cluster: ValidatedCluster, keys: Keys) -> tuple[str, str]:
    """Role and password: the cluster's own role, or that which the user brings."""
    if cluster.spec.database is None:
        return cluster.database, keys.database_password
    data = dig(cluster.references.get(("Secret", cluster.spec.database.credentials_secret_ref.name)), "data", default={})
    username, password = (base64.b64decode(data.get(key, "")).decode().rstrip("\r\n") for key in CREDENTIALS)
    return username, password


def _tls(cluster: ValidatedCluster) -> dict[str, str]:
    """Parameters of libpq."""
    external = cluster.base.external
    assert external is not None
    return {"sslmode": external.tls.mode, **({"sslrootcert": f"{CA_DIR}/{CA_FILE}"} if cluster.base.ca else {})}
