"""Secrets that are made once: found, restored, generated, or a person is asked."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from airflow_operator.domain import labels, names
from airflow_operator.domain.errors import Waiting
from airflow_operator.domain.manifest import key_of
from airflow_operator.kube.errors import AlreadyExists
from airflow_operator.reconcile import evidence, keys, secrets
from airflow_operator.reconcile.build.provision import provision
from airflow_operator.reconcile.secrets import Making
from tests.unit import factory
from tests.unit.factory import BASE, KEYS, NAME, NAMESPACE, ended

CLUSTER = factory.cluster()
OWN = keys.secret_of(NAME, NAMESPACE, KEYS.data)
COPY = keys.copy_of(NAME, NAMESPACE, BASE, NAMESPACE, KEYS.data)
PROVISIONED = ended(provision(CLUSTER, KEYS), {"result": "Provisioned", "systemIdentifier": "7", "oid": 1, "empty": False})


@dataclass
class Store:
    """Creates and reads Secrets by name; nothing else of the API is asked for."""

    there: list = field(default_factory=list)
    created: list = field(default_factory=list)

    async def create(self, manifest):
        if any(key_of(item) == key_of(manifest) for item in self.there):
            raise AlreadyExists(409, "AlreadyExists", "it exists")
        self.created.append(manifest)
        return manifest

    async def get(self, kind, namespace, name):
        return next((item for item in self.there if (item["metadata"]["namespace"], item["metadata"]["name"]) == (namespace, name)), None)

    async def patch(self, kind, namespace, name, operations):
        found = await self.get(kind, namespace, name)
        (operation,) = operations
        found["metadata"]["labels"] = operation["value"]
        return found

    @property
    def names(self):
        return [item["metadata"]["name"] for item in self.created]


def changed(secret, **data):
    return {**secret, "data": {**secret["data"], **keys.encode({name.replace("_", "-"): value for name, value in data.items()})}}


async def kept(store, *, own=None, copy=None, provisioning=()):
    picture = factory.seen(children=[own] if own else [], provisioning=[*([copy] if copy else []), *provisioning])
    async with Making(store) as making:
        return await secrets.keep_keys(store, CLUSTER, picture, making)


async def keep_admin(store, cluster, own, picture):
    async with Making(store) as making:
        return await secrets.keep_admin(store, cluster, own, picture, making)


async def test_keys_that_are_there_are_used_and_nothing_is_written():
    store = Store()
    found = await kept(store, own=OWN, copy=COPY, provisioning=PROVISIONED)
    assert (found.data, store.created) == (KEYS.data, [])


async def test_a_new_cluster_gets_keys_beside_the_base_first():
    store = Store()
    found = await kept(store)
    assert store.names == [names.keys_copy(NAMESPACE, NAME)]
    assert keys.read(store.created[0]).data == found.data


async def test_keys_are_not_given_to_a_namespace_of_the_same_name():
    of_the_earlier_one = [{**item, "metadata": {**item["metadata"], "annotations": {evidence.OWNER: "gone"}}} for item in PROVISIONED]
    store = Store()
    await kept(store, copy=COPY, provisioning=of_the_earlier_one)
    assert store.created == []


async def test_the_clusters_own_secret_is_made_once_the_database_is():
    store = Store()
    await kept(store, copy=COPY)
    assert store.created == []
    await kept(store, copy=COPY, provisioning=PROVISIONED)
    assert store.names == [names.keys(NAME)]
    assert keys.read(store.created[0]).data == KEYS.data


async def test_a_lost_copy_is_made_again():
    store = Store()
    await kept(store, own=OWN, provisioning=PROVISIONED)
    assert store.names == [names.keys_copy(NAMESPACE, NAME)]


@pytest.mark.parametrize("verdict", ["Provisioned", "KeyMismatch"])
async def test_keys_of_a_database_that_exists_are_never_made_anew(verdict):
    store = Store()
    with pytest.raises(Waiting, match="Put the Secret back") as caught:
        await kept(store, provisioning=ended(provision(CLUSTER, KEYS), {"result": verdict}))
    assert caught.value.reason == "KeyLost"
    assert store.created == []


@pytest.mark.parametrize("member", ["fernet_key", "jwt_private_key", "checksum_key"])
async def test_a_malformed_key_is_named_and_left(member):
    store = Store()
    with pytest.raises(Waiting, match=member.replace("_", "-")) as caught:
        await kept(store, own=changed(OWN, **{member: ""}), copy=COPY, provisioning=PROVISIONED)
    assert caught.value.reason == "KeyMalformed"
    assert names.keys(NAME) in caught.value.message
    assert store.created == []


async def test_a_secret_and_its_copy_must_be_of_one_piece():
    store = Store()
    with pytest.raises(Waiting, match="differ in database-password, key-id") as caught:
        await kept(store, own=changed(OWN, key_id="another", database_password="another"), copy=COPY, provisioning=PROVISIONED)
    assert caught.value.reason == "KeyMismatch"
    assert "another" not in caught.value.message
    assert store.created == []


async def test_a_foreign_secret_of_the_name_is_not_taken():
    foreign = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": names.keys(NAME), "namespace": NAMESPACE}, "data": {}}
    store = Store([foreign])
    with pytest.raises(Waiting) as caught:
        await kept(store, copy=COPY, provisioning=PROVISIONED)
    assert caught.value.reason == "NameConflict"
    assert store.created == []


async def test_an_own_secret_without_its_labels_gets_them_back():
    bare = {**OWN, "metadata": {**OWN["metadata"], "labels": {labels.MANAGED_BY: labels.MANAGER}}}
    store = Store([bare])
    assert (await kept(store, copy=COPY, provisioning=PROVISIONED)).data == KEYS.data
    assert store.created == []
    assert bare["metadata"]["labels"][labels.CLUSTER] == NAME


async def test_an_administrator_is_made_once():
    store = Store()
    admin = await keep_admin(store, CLUSTER, KEYS, factory.seen())
    (made,) = store.created
    assert admin.secret == made["metadata"]["name"] == names.admin(NAME)
    data = keys.decode(made)
    assert data["username"] == "admin"
    assert len(data["password"]) >= 20
    assert labels.INSTANCE not in made["metadata"]["labels"]
    again = Store()
    assert await keep_admin(again, CLUSTER, KEYS, factory.seen(children=[made])) == admin
    assert again.created == []


async def test_an_administrator_that_no_list_shows_is_found_and_marked_again():
    store = Store()
    await keep_admin(store, CLUSTER, KEYS, factory.seen(first=True))
    (made,) = store.created
    bare = {**made, "metadata": {**made["metadata"], "labels": {labels.MANAGED_BY: labels.MANAGER}}}
    again = Store([bare])
    await keep_admin(again, CLUSTER, KEYS, factory.seen())
    assert again.created == []
    assert bare["metadata"]["labels"][labels.CLUSTER] == NAME


@pytest.mark.parametrize("first", [True, False])
async def test_an_administrator_of_somebody_else_is_not_taken(first):
    theirs = {**factory.secret(names.admin(NAME), password="theirs"), "metadata": {"name": names.admin(NAME), "namespace": NAMESPACE}}
    with pytest.raises(Waiting, match="was not made by this operator"):
        await keep_admin(Store([theirs]), CLUSTER, KEYS, factory.seen(first=first))


async def test_another_password_is_another_version_and_shows_nothing():
    made = factory.secret(names.admin(NAME), username="admin", password="one")
    other = factory.secret(names.admin(NAME), username="admin", password="other")
    first, second = [await keep_admin(Store(), CLUSTER, KEYS, factory.seen(children=[item])) for item in (made, other)]
    assert first.version != second.version
    rekeyed = await keep_admin(Store(), CLUSTER, keys.Keys(keys.generate()), factory.seen(children=[made]))
    assert rekeyed.version != first.version


async def test_an_administrators_secret_of_the_user_is_only_read():
    reference = {("Secret", "mine"): factory.secret("mine", username="me", password="p")}
    cluster = factory.cluster(references=reference, auth={"fab": {"admin": {"secretRef": {"name": "mine"}}}})
    store = Store()
    assert (await keep_admin(store, cluster, KEYS, factory.seen())).secret == "mine"
    assert store.created == []


async def test_no_administrator_where_none_is_wanted():
    store = Store()
    cluster = factory.cluster(auth={"fab": {"admin": {"enabled": False}}})
    assert await keep_admin(store, cluster, KEYS, factory.seen()) is None
    assert store.created == []
