"""A cluster's keys: their form, and that none of them is seen where it should not be."""

from __future__ import annotations

import base64
import hashlib
import json

import pytest
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from airflow_operator.domain import labels, names
from airflow_operator.reconcile import keys, plan
from airflow_operator.reconcile.build import jobs
from airflow_operator.reconcile.build.provision import provision
from airflow_operator.reconcile.keys import MEMBERS, Keys, Malformed
from tests.unit import factory
from tests.unit.factory import KEYS


def pem(key, encryption=None):
    algorithm = serialization.BestAvailableEncryption(encryption) if encryption else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, algorithm).decode()


def secret(**changed):
    data = {**KEYS.data, **{name.replace("_", "-"): value for name, value in changed.items()}}
    return {"data": keys.encode({name: value for name, value in data.items() if value is not None})}


def test_generated_keys_are_well_formed_and_never_the_same():
    one, other = keys.generate(), keys.generate()
    assert set(one) == set(MEMBERS)
    assert all(one[member] != other[member] for member in MEMBERS)
    Fernet(one[keys.FERNET].encode())
    assert keys.read({"data": keys.encode(one)}).data == one


@pytest.mark.parametrize("member", MEMBERS)
@pytest.mark.parametrize("value", [None, ""])
def test_a_missing_member_is_named(member, value):
    with pytest.raises(Malformed, match=f"no member {member}"):
        keys.read(secret(**{member: value}))


@pytest.mark.parametrize(
    "value", ["short", "x" * 44, base64.urlsafe_b64encode(b"x" * 31).decode(), "\u00e4" * 44, "a" * 43 + "\u2028", ","]
)
def test_a_fernet_key_of_another_form_is_refused(value):
    with pytest.raises(Malformed, match="fernet-key is not 32 bytes"):
        keys.read(secret(fernet_key=value))


def test_several_fernet_keys_are_one_value():
    both = f"{Fernet.generate_key().decode()}, {Fernet.generate_key().decode()}"
    assert keys.read(secret(fernet_key=both)).data[keys.FERNET] == both


BAD_KEYS = {
    "no PEM": "nonsense",
    "public": Ed25519PrivateKey.generate()
    .public_key()
    .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    .decode(),
    "encrypted": pem(Ed25519PrivateKey.generate(), b"password"),
    "cut": pem(Ed25519PrivateKey.generate())[:60],
    "unknown algorithm": "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2V/BCIEI" + "A" * 43 + "\n-----END PRIVATE KEY-----\n",
}


@pytest.mark.parametrize("value", BAD_KEYS.values(), ids=BAD_KEYS)
def test_a_token_key_that_cannot_be_read_is_refused(value):
    with pytest.raises(Malformed, match="jwt-private-key is not a private key"):
        keys.read(secret(jwt_private_key=value))


def test_another_kind_of_token_key_is_refused():
    # Airflow's own key id of an RSA key is not the thumbprint of RFC 7638.
    with pytest.raises(Malformed, match="not an Ed25519 key"):
        keys.read(secret(jwt_private_key=pem(rsa.generate_private_key(65537, 2048))))


def test_the_key_set_holds_the_public_half_under_its_rfc_7638_thumbprint():
    private = serialization.load_pem_private_key(KEYS.data[keys.JWT_PRIVATE].encode(), None)
    assert isinstance(private, Ed25519PrivateKey)
    (jwk,) = json.loads(KEYS.jwks())["keys"]
    raw = base64.urlsafe_b64decode(jwk["x"] + "=")
    assert raw == private.public_key().public_bytes_raw()
    # RFC 8037, appendix A.3: the members crv, kty and x in this order, without spaces.
    told = '{"crv":"Ed25519","kty":"OKP","x":"' + jwk["x"] + '"}'
    assert jwk["kid"] == base64.urlsafe_b64encode(hashlib.sha256(told.encode()).digest()).decode().rstrip("=")
    assert (jwk["kty"], jwk["crv"], jwk["alg"], jwk["use"]) == ("OKP", "Ed25519", "EdDSA", "sig")
    assert "d" not in jwk


def test_the_thumbprint_of_rfc_8037():
    # Appendix A: the private key of the example, and its thumbprint in A.3.
    seed = base64.urlsafe_b64decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=")
    own = Keys({**KEYS.data, keys.JWT_PRIVATE: pem(Ed25519PrivateKey.from_private_bytes(seed))})
    (jwk,) = json.loads(own.jwks())["keys"]
    assert jwk["x"] == "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
    assert jwk["kid"] == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


def test_keys_do_not_show_themselves():
    assert not any(value in f"{KEYS!r} {KEYS}" for value in KEYS.data.values())


def test_the_secrets_outlive_the_cluster():
    own = keys.secret_of("demo", "team", KEYS.data)
    copy = keys.copy_of("demo", "team", "platform", "base-namespace", KEYS.data)
    assert (own["metadata"]["name"], own["metadata"]["namespace"]) == (names.keys("demo"), "team")
    assert (copy["metadata"]["name"], copy["metadata"]["namespace"]) == (names.keys_copy("team", "demo"), "base-namespace")
    assert copy["metadata"]["labels"][labels.CLUSTER_NAMESPACE] == "team"
    for made in (own, copy):
        assert "ownerReferences" not in made["metadata"]
        assert labels.INSTANCE not in made["metadata"]["labels"]
        assert made["metadata"]["annotations"] == labels.KEPT_BY_ARGO_CD
        assert keys.read(made).data == KEYS.data


CANARIES = {
    **keys.generate(),
    keys.API_SECRET: "canary-of-the-api-secret",
    keys.CHECKSUM: "canary-of-the-checksum-key",
    keys.DATABASE_PASSWORD: "canary-of-the-password",
    keys.KEY_ID: "canary-of-the-key-id",
}


def spellings(value):
    """The text itself, in base64 at any offset, and its pieces where it has lines."""
    for text in [value, *(line for line in value.splitlines() if len(line) > 30)]:
        yield text
        yield from (base64.b64encode(b"x" * shift + text.encode())[4:-4].decode() for shift in range(3))


def test_no_key_is_seen_in_any_manifest_but_in_the_data_of_secrets():
    own, git = Keys(CANARIES), {"repo": "https://git.example.com/a.git", "credentialsSecretRef": {"name": "git"}}
    references = {("Secret", "git"): factory.secret("git", username="canary-user", password="canary-git-password")}
    cluster = factory.cluster(references=references, dags=[{"git": git}], logs={"volume": {"size": "1Gi"}})
    made = [*plan.prerequisites(cluster, own), *plan.components(cluster, own), provision(cluster, own)]
    made += [jobs.check(cluster, "1/1"), jobs.migrate(cluster, "1/1", "uid", '"Empty"'), jobs.users(cluster, "1/1", "admin", "v")]
    secrets = [item for item in made if item["kind"] == "Secret"]
    assert "canary-of-the-password" in keys.decode(secrets[0])["connection"]
    text = json.dumps([{**item, "data": {}} if item["kind"] == "Secret" else item for item in made])
    hidden = {**CANARIES, "git user": "canary-user", "git password": "canary-git-password"}
    assert [name for name, value in hidden.items() for spelling in spellings(value) if spelling in text] == []
