"""Keys and databases that a cluster brings itself, and servers that others run."""

from __future__ import annotations

import base64
import configparser
from dataclasses import replace
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from airflow_operator.domain.errors import InvalidSpec, Waiting
from airflow_operator.domain.manifest import key_of
from airflow_operator.reconcile import certificates, copies, evidence, keys
from airflow_operator.reconcile.build import components, config, provision, secrets
from airflow_operator.reconcile.offline import PLATFORM
from airflow_operator.reconcile.plan import plan, prerequisites
from airflow_operator.reconcile.validate import validate
from tests.unit import factory
from tests.unit.factory import KEYS, NAME, NAMESPACE

FERNET = "xK1dX7rEWbCmvLTSTDGrZKmQ8P1JQNSyZ0F5yEJZ2kg="
OWN = {"fernet": {"name": "mine"}, "apiSecret": {"name": "mine"}, "jwt": {"name": "mine", "key": "signing"}}
SECRET = {"fernet-key": FERNET, "api-secret-key": "s", "signing": "t"}
BUILDERS = {"api-server": components.api_server, "scheduler": components.scheduler}
BUILDERS |= {"dag-processor": components.dag_processor, "triggerer": components.triggerer}


def mine(**changed):
    return {("Secret", "mine"): factory.secret("mine", **{**SECRET, **changed})}


def external(**fields):
    made = factory.base()
    made["spec"]["database"] = {"external": {"host": "db.example.com", "adminSecretRef": {"name": "admin"}, **fields}}
    return made


UNMANAGED = {"provisioning": "None", "adminSecretRef": None}
VERIFIED = {"tls": {"mode": "verify-full", "ca": {"configMapKeyRef": {"name": "ca", "key": "ca.crt"}}}}


@pytest.fixture
def authority():
    """A ConfigMap with a certificate that can be read."""
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ca")])
    start = factory.NOW
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(private.public_key()).serial_number(1)
    signed = made.not_valid_before(start).not_valid_after(start + timedelta(days=9)).sign(private, hashes.SHA256())
    pem = signed.public_bytes(serialization.Encoding.PEM).decode()
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "ca"}, "data": {"ca.crt": pem}}


def cluster_on(base_live, found=None, ca=None, **fields):
    picture = factory.seen(base_live=base_live, references=found, fields=fields)
    return validate(replace(picture, base_ca=ca), PLATFORM)


def environment(made):
    (main, *_) = made["spec"]["template"]["spec"]["containers"]
    return {item["name"]: item.get("valueFrom", {}).get("secretKeyRef") for item in main["env"]}


def test_brought_keys_are_used_as_they_are():
    cluster = factory.cluster(keys=OWN, references=mine())
    signers = {"api-server", "scheduler"}
    for name, build in BUILDERS.items():
        made = build(cluster, KEYS)
        env = environment(made)
        assert env["AIRFLOW__CORE__FERNET_KEY"] == {"name": "mine", "key": "fernet-key"}
        assert ("AIRFLOW__API_AUTH__JWT_SECRET" in env) is (name in signers)
        assert "jwt" not in {volume["name"] for volume in made["spec"]["template"]["spec"]["volumes"]}
    assert environment(components.api_server(cluster, KEYS))["AIRFLOW__API_AUTH__JWT_SECRET"] == {"name": "mine", "key": "signing"}
    assert environment(components.api_server(cluster, KEYS))["AIRFLOW__API__SECRET_KEY"] == {"name": "mine", "key": "api-secret-key"}
    parser = configparser.RawConfigParser()
    parser.read_string(config.airflow_cfg(cluster)["data"][config.CONFIG_FILE])
    assert not parser.has_option("api_auth", "jwt_private_key_path")
    assert not parser.has_option("api_auth", "trusted_jwks_url")
    assert not [item for item in prerequisites(cluster, KEYS) if "jwks" in item["metadata"]["name"]]


@pytest.mark.parametrize(
    ("member", "rolls"),
    [("fernet-key", set(BUILDERS)), ("signing", {"api-server", "scheduler"}), ("api-secret-key", {"api-server", "triggerer"})],
)
def test_a_changed_key_rolls_what_uses_it(member, rolls):
    other = base64.urlsafe_b64encode(b"z" * 32).decode() if member == "fernet-key" else "another"
    before, after = factory.cluster(keys=OWN, references=mine()), factory.cluster(keys=OWN, references=mine(**{member: other}))
    changed = {name for name, build in BUILDERS.items() if build(before, KEYS) != build(after, KEYS)}
    assert changed == rolls


@pytest.mark.parametrize(
    ("found", "reason", "words"),
    [
        ({("Secret", "mine"): None}, "SecretNotFound", "spec.keys.fernet names Secret mine"),
        (mine(**{"fernet-key": "short"}), "KeyMalformed", "spec.keys.fernet: the key fernet-key of Secret mine is not 32 bytes"),
        (mine(signing=" \n"), "KeyMalformed", "spec.keys.jwt: the key signing of Secret mine is empty"),
    ],
)
def test_a_key_that_is_none_is_named(found, reason, words):
    with pytest.raises(Waiting) as caught:
        factory.cluster(keys=OWN, references=found)
    assert caught.value.reason == reason
    assert words in caught.value.message


class Patches:
    """Notes what is changed."""

    def __init__(self):
        self.done = []

    async def patch(self, kind, namespace, name, operations):
        self.done += operations
        return {}


COPY = keys.copy_of(NAME, NAMESPACE, "platform", NAMESPACE, KEYS.data)


async def test_the_copy_keeps_every_value_that_was_brought():
    kube = Patches()
    await copies.keep_beside_base(kube, factory.cluster(keys=OWN, references=mine()), KEYS, COPY)
    paths = {operation["path"] for operation in kube.done}
    assert {path.rsplit("-", 1)[0] for path in paths} == {
        "/data/brought-fernet-key",
        "/data/brought-api-secret-key",
        "/data/brought-jwt-secret",
    }
    held = {**COPY, "data": {**COPY["data"], **{item["path"].rsplit("/", 1)[1]: item["value"] for item in kube.done}}}
    kube.done.clear()
    await copies.keep_beside_base(kube, factory.cluster(keys=OWN, references=mine()), KEYS, held)
    assert kube.done == []
    await copies.keep_beside_base(kube, factory.cluster(keys=OWN, references=mine(signing="new")), KEYS, held)
    assert len(kube.done) == 1, "the old value stays"
    assert keys.read(held).data == KEYS.data


def test_a_server_of_others_is_spoken_to_as_its_base_says(authority):
    cluster = cluster_on(external(**VERIFIED, port=6432), ca=authority)
    urls = keys.decode(secrets.connection(cluster, KEYS))
    sync, asynchronous = urlsplit(urls["connection"]), urlsplit(urls["connection-async"])
    assert (sync.scheme, sync.hostname, sync.port, sync.path) == ("postgresql+psycopg2", "db.example.com", 6432, f"/{cluster.database}")
    verified = {"sslmode": ["verify-full"], "sslrootcert": ["/opt/airflow/database-ca/ca.crt"]}
    assert parse_qs(sync.query) == verified
    assert asynchronous.scheme == "postgresql+asyncpg"
    assert parse_qs(urlsplit(parse_qs(asynchronous.query)["dsn"][0]).query) == verified
    (ca,) = [item for item in prerequisites(cluster, KEYS) if "database-ca" in item["metadata"]["name"]]
    assert (ca["metadata"]["namespace"], ca["data"]) == (NAMESPACE, authority["data"])
    for build in BUILDERS.values():
        made = build(cluster, KEYS)
        spec = made["spec"]["template"]["spec"]
        assert {"name": "database-ca", "configMap": {"name": ca["metadata"]["name"]}} in spec["volumes"]
        assert {"name": "database-ca", "mountPath": "/opt/airflow/database-ca", "readOnly": True} in spec["containers"][0]["volumeMounts"]
        assert "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC" in environment(made)


def test_without_checks_there_are_no_certificates():
    cluster = cluster_on(external(tls={"mode": "require"}))
    urls = keys.decode(secrets.connection(cluster, KEYS))
    assert urls["connection"].endswith("?sslmode=require")
    assert not [item for item in prerequisites(cluster, KEYS) if "database-ca" in item["metadata"]["name"]]
    embedded = keys.decode(secrets.connection(factory.cluster(), KEYS))
    assert set(embedded) == {"connection"}
    assert "?" not in embedded["connection"]


def test_an_external_administrator_is_read_from_files_beside_the_base(authority):
    base = {**external(**VERIFIED, adminDatabase="defaultdb"), "metadata": {**factory.base()["metadata"], "namespace": "platform"}}
    base["spec"]["allowedClusters"] = {"namespaces": {"from": "All"}}
    cluster = cluster_on(base, ca=authority, baseRef={"name": "platform", "namespace": "platform"})
    job = provision.provision(cluster, KEYS)
    assert job["metadata"]["namespace"] == "platform"
    spec = job["spec"]["template"]["spec"]
    env = {item["name"]: item["value"] for item in spec["containers"][0]["env"]}
    assert env["ADMIN_USER_FILE"] == "/run/secrets/provision/admin-user"
    assert (env["PGSSLMODE"], env["PGSSLROOTCERT"]) == ("verify-full", "/run/secrets/provision/ca.crt")
    assert env["ADMIN_DATABASE"] == "defaultdb"
    assert "CLOSE_TO_PUBLIC" not in env, "others use that server too"
    sources = spec["volumes"][0]["projected"]["sources"]
    assert {"configMap": {"name": "ca", "items": [{"key": "ca.crt", "path": "ca.crt"}]}} in sources


def test_base_and_cluster_must_agree_about_who_makes_the_database():
    brought = {"name": "finance", "credentialsSecretRef": {"name": "role"}}
    with pytest.raises(InvalidSpec, match=r"spec.database must be set: AirflowBase platform makes no databases"):
        cluster_on(external(**UNMANAGED))
    with pytest.raises(InvalidSpec, match="makes the database: leave it out"):
        cluster_on(factory.base(), database=brought)


def brought_cluster(**changed):
    found = {("Secret", "role"): factory.secret("role", username="fin@nce", password="p/w\n", **changed)}
    return cluster_on(external(**UNMANAGED), found, database={"name": "finance", "credentialsSecretRef": {"name": "role"}})


def test_a_brought_database_is_looked_at_where_its_credentials_are():
    cluster = brought_cluster()
    job = provision.database_job(cluster, KEYS)
    assert job["metadata"]["namespace"] == NAMESPACE
    assert job["metadata"]["ownerReferences"] == [cluster.owner]
    spec = job["spec"]["template"]["spec"]
    env = {item["name"]: item["value"] for item in spec["containers"][0]["env"]}
    assert (env["ACTION"], env["DATABASE"], env["PGSSLMODE"]) == ("Inspect", "finance", "require")
    secret_names = {source["secret"]["name"] for source in spec["volumes"][0]["projected"]["sources"]}
    assert secret_names == {"role"}
    url = urlsplit(keys.decode(secrets.connection(cluster, KEYS))["connection"])
    assert (url.username, url.password, url.path) == ("fin%40nce", "p%2Fw", "/finance")


def test_what_a_tenant_puts_into_its_own_namespace_proves_nothing_of_a_database_that_the_operator_makes():
    managed = factory.cluster()
    answer = {"result": "Provisioned", "systemIdentifier": "7", "oid": 1, "empty": True}
    forged = factory.ended(provision.provision(managed, KEYS), answer)
    picture = factory.seen(children=[item for item in forged if item["kind"] == "Job"], pods=[i for i in forged if i["kind"] == "Pod"])
    found = plan(validate(picture, PLATFORM), KEYS, None, picture)
    assert found.stage == "Provisioning"
    cluster = brought_cluster()
    own = factory.ended(provision.database_job(cluster, KEYS), answer)
    picture = replace(picture, children=tuple(own[:1]), pods=tuple(own[1:]))
    assert plan(cluster, KEYS, None, picture).stage == "Migrating"
    assert key_of(own[0]) in plan(cluster, KEYS, None, picture).keep


async def test_keys_of_an_earlier_namespace_are_not_given_out_where_no_server_can_tell():
    kube = Patches()
    await copies.keep_beside_base(kube, brought_cluster(), KEYS, COPY)
    assert kube.done[0]["value"][evidence.OWNER] == "namespace-uid"
    old = {**COPY, "metadata": {**COPY["metadata"], "annotations": {evidence.OWNER: "gone"}}}
    with pytest.raises(Waiting, match=r"adds \{namespace: team, uid: namespace-uid\} to its spec\.allowedClusters\.adopt"):
        await copies.keep_beside_base(kube, brought_cluster(), KEYS, old)
    await copies.keep_beside_base(kube, factory.cluster(), KEYS, old)


@pytest.mark.parametrize("case", ["plain", "brought", "unmanaged"])
async def test_a_new_copy_lacks_nothing(case):
    fields = {"keys": OWN, "references": mine()} if case == "brought" else {}
    cluster = brought_cluster() if case == "unmanaged" else factory.cluster(**fields)
    kube = Patches()
    await copies.keep_beside_base(kube, cluster, KEYS, copies.copy_of(cluster, KEYS))
    assert kube.done == []


@pytest.mark.parametrize(
    ("live", "reason"),
    [
        (None, "ConfigMapNotFound"),
        ({"data": {}}, "KeyNotFound"),
        ({"data": {"ca.crt": "no certificate"}}, "CertificateMalformed"),
        ({"data": {"ca.crt": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"}}, "CertificateMalformed"),
    ],
)
def test_certificates_that_cannot_be_read_are_named(live, reason):
    base = validate(factory.seen(), PLATFORM).base.spec.model_validate(external(**VERIFIED)["spec"])
    with pytest.raises(Waiting) as caught:
        certificates.read(base.database.external.tls.ca, live)
    assert caught.value.reason == reason
    with pytest.raises(Waiting) as caught:
        cluster_on(external(**VERIFIED), ca=live)
    assert caught.value.reason == "BaseNotReady"
    assert "spec.database.external.tls.ca" in caught.value.message


def test_of_a_file_with_certificates_nothing_else_is_told(authority):
    """They go to ConfigMaps, in the namespaces of other teams too."""
    base = validate(factory.seen(), PLATFORM).base.spec.model_validate(external(**VERIFIED)["spec"])
    pem = authority["data"]["ca.crt"]
    beside = f"-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIAbc\n-----END PRIVATE KEY-----\nuser: root\n{pem}# the end\n{pem}"
    assert certificates.read(base.database.external.tls.ca, {"data": {"ca.crt": beside}}) == pem + pem
