"""The Job that asks a server which others run whether it answers, beside the base."""

from __future__ import annotations

from typing import Any

from airflow_operator.api import AirflowBaseSpec
from airflow_operator.api.external import External
from airflow_operator.domain import labels, names
from airflow_operator.domain.hashing import digest
from airflow_operator.domain.kinds import API_VERSION
from airflow_operator.domain.manifest import Live, Manifest
from airflow_operator.reconcile.build.errand import FILES, Errand, crew_of_base, job
from airflow_operator.reconcile.build.provision import administrator

COMPONENT = "probe"


def probe(base: Live, spec: AirflowBaseSpec, external: External, versions: Any, operator_image: str) -> Manifest:
    """Its name says what it was asked: another address, or another version of the Secret or the certificates, is another Job."""
    meta = base["metadata"]
    env = {
        "ACTION": "Probe",
        "PGHOST": external.host,
        "PGPORT": str(external.port),
        "PGSSLMODE": external.tls.mode,
        **({"PGSSLROOTCERT": f"{FILES}/ca.crt"} if external.tls.ca else {}),
        "DATABASE": external.admin_database or "postgres",
        "CONNECT_TIMEOUT": "30",
    }
    secret = external.admin_secret_ref.name if external.admin_secret_ref else ""
    if secret:
        env |= {"USER_FILE": f"{FILES}/admin-user", "PASSWORD_FILE": f"{FILES}/admin-password"}
    owner = {
        "apiVersion": API_VERSION,
        "kind": "AirflowBase",
        "name": meta["name"],
        "uid": meta["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }
    metadata = {
        "name": names.child(meta["name"], f"probe-{digest([env, secret, versions])}"),
        "namespace": meta["namespace"],
        "labels": labels.of_base(meta["name"], COMPONENT),
        "ownerReferences": [owner],
    }
    made = job(metadata, Errand(COMPONENT, "look", env, administrator(secret, external)), crew_of_base(spec, operator_image))
    # A failure is told at once, and asked about again by another Job.
    made["spec"]["backoffLimit"] = 0
    return made
