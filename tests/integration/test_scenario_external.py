"""A database server that others run, and what a cluster brings itself."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from airflow_operator.domain import names
from airflow_operator.domain.kinds import AIRFLOW_BASE, AIRFLOW_CLUSTER, CONFIG_MAP, JOB, SECRET
from airflow_operator.domain.manifest import Live, Manifest
from tests.integration.certificates import certificate
from tests.integration.scenario import API_VERSION, BASE, CLUSTER, Stage, cluster
from tests.integration.scenario_world import failed

pytestmark = pytest.mark.integration

FERNET = "xK1dX7rEWbCmvLTSTDGrZKmQ8P1JQNSyZ0F5yEJZ2kg="


def external(**fields: Any) -> Manifest:
    server = {"host": "db.example.com", **fields}
    return {"apiVersion": API_VERSION, "kind": "AirflowBase", "metadata": {"name": BASE}, "spec": {"database": {"external": server}}}


async def test_a_server_of_others_is_asked_by_a_job_and_its_certificates_reach_the_pods(stage: Stage) -> None:
    verified = {"mode": "verify-full", "ca": {"configMapKeyRef": {"name": "ca", "key": "ca.crt"}}}
    stage.world.answers("probe", failed("Failed", "certificate verify failed"))
    async with stage.operator():
        await stage.apply(external(adminSecretRef={"name": "admin"}, tls=verified), cluster())
        told = await stage.says("ReferencesResolved", "False", "SecretNotFound", name=BASE, kind=AIRFLOW_BASE)
        assert "spec.database.external.adminSecretRef names Secret admin" in told["message"]
        await stage.secret("admin", username="root", password="administrators own")
        await stage.says("ReferencesResolved", "False", "ConfigMapNotFound", name=BASE, kind=AIRFLOW_BASE)
        ca = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "ca"}, "data": {"ca.crt": "none"}}
        await stage.apply(ca)
        await stage.says("ReferencesResolved", "False", "CertificateMalformed", name=BASE, kind=AIRFLOW_BASE)
        pem = certificate()
        await stage.apply({**ca, "data": {"ca.crt": pem}})
        await stage.says(
            "DatabaseAvailable", "False", "DatabaseUnreachable", name=BASE, kind=AIRFLOW_BASE, words="certificate verify failed"
        )
        await stage.says("BaseReady", "False", "BaseNotReady")
        stage.world.answers_by_itself("probe")
        # The failed Job is made anew by itself.
        await stage.says("Ready", "True", name=BASE, kind=AIRFLOW_BASE, within=60)
        await stage.ready()
        base = await stage.must_get(AIRFLOW_BASE, BASE)
        assert base["status"]["database"] == "PostgreSQL 16.4"
        assert base["status"]["external"] == {"host": "db.example.com", "port": 5432, "version": "16.4"}
        brought: Live = await stage.child(CONFIG_MAP, f"{CLUSTER}-database-ca-")
        assert brought["data"]["ca.crt"] == pem
        for template in (await stage.templates()).values():
            assert "administrators own" not in str(template)
        connection = await stage.must_get(SECRET, f"{CLUSTER}-connection")
        assert b"sslmode=verify-full" in base64.b64decode(connection["data"]["connection"])
        await stage.edit(AIRFLOW_BASE, BASE, {"spec": {"pods": {"tolerations": [{"nobodyKnowsThis": 1}]}}})
        told = await stage.says("SpecValid", "False", "Refused", name=BASE, kind=AIRFLOW_BASE)
        assert told["message"].startswith("spec.pods.tolerations: ")


async def test_keys_and_a_database_of_ones_own_are_used_as_they_are(stage: Stage) -> None:
    own = {"database": {"name": "finance", "credentialsSecretRef": {"name": "role"}}, "keys": {"fernet": {"name": "mine"}}}
    async with stage.operator():
        await stage.apply(external(provisioning="None"), cluster())
        await stage.says("SpecValid", "False", "InvalidSpec", words="spec.database must be set")
        await stage.apply(cluster(**own))
        await stage.says("ReferencesResolved", "False", "SecretNotFound", words="spec.keys.fernet")
        await stage.secret("mine", **{"fernet-key": "short"})
        await stage.secret("role", username="finance", password="theirs")
        await stage.says("KeysAvailable", "False", "KeyMalformed", words="spec.keys.fernet")
        await stage.secret("mine", **{"fernet-key": FERNET})
        await stage.ready()
        await stage.quiet()
        assert not [job for job in await stage.children(JOB) if "-provision-" in job["metadata"]["name"]]
        copy = await stage.must_get(SECRET, names.keys_copy(stage.namespace, CLUSTER))
        (kept,) = [value for member, value in copy["data"].items() if member.startswith("brought-fernet-key-")]
        assert base64.b64decode(kept).decode() == FERNET

        # One that is malformed changes nothing that runs; another good one rolls.
        templates = await stage.templates()
        await stage.secret("mine", **{"fernet-key": "short"})
        await stage.says("KeysAvailable", "False", "KeyMalformed")
        assert await stage.templates() == templates
        await stage.secret("mine", **{"fernet-key": f"{base64.urlsafe_b64encode(b'n' * 32).decode()},{FERNET}"})
        await stage.ready(within=60)
        assert await stage.templates() != templates

        await stage.edit_spec(deletionPolicy="Delete")
        await stage.ready()
        await stage.delete(AIRFLOW_CLUSTER, CLUSTER)
        await stage.gone(AIRFLOW_CLUSTER, CLUSTER)
        assert "deprovision" not in stage.world.asked, "a database that was brought stays"
