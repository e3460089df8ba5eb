"""Secrets that follow from others and go with the cluster."""

from __future__ import annotations

from urllib.parse import quote

from airflow_operator.domain.manifest import Manifest
from airflow_operator.reconcile.build import meta
from airflow_operator.reconcile.build.airflow_env import CONNECTION_KEY
from airflow_operator.reconcile.keys import Keys, encode
from airflow_operator.reconcile.validate import ValidatedCluster


def connection(cluster: ValidatedCluster, keys: Keys) -> Manifest:
    """The URL of the metadata database. It names the driver: a plain postgresql:// means another one in SQLAlchemy 2.1."""
    role = quote(cluster.database, safe="")
    password = quote(keys.database_password, safe="")
    server = f"{cluster.base.host}:{cluster.base.port}"
    url = f"postgresql+psycopg2://{role}:{password}@{server}/{role}"
    return meta.child(cluster, "v1", "Secret", "connection", type="Opaque", data=encode({CONNECTION_KEY: url}))
