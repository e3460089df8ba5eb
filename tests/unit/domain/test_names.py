"""Names of children: readable where they fit, never two owners' the same."""

from __future__ import annotations

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from airflow_operator.domain import names

OBJECT = st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?", fullmatch=True)


def test_a_name_that_fits_is_kept():
    assert names.child("prod", "scheduler") == "prod-scheduler"
    assert names.keys("prod") == "prod-keys"
    assert names.connection("prod") == "prod-connection"
    assert names.admin("prod") == "prod-admin"
    assert names.logs("prod") == "prod-logs"
    assert names.api_server("prod") == "prod-api-server"
    assert names.postgres("platform") == "platform-postgres"
    assert names.postgres_claim("platform") == "data-platform-postgres-0"


@pytest.mark.parametrize("owner", ["1st", "team.prod", "x" * 63, "x" * 42 + "-" * 20 + "y"])
def test_a_name_that_does_not_fit_is_mended(owner):
    name = names.child(owner, "scheduler")
    assert re.fullmatch(r"[a-z]([a-z0-9-]*[a-z0-9])?", name)
    assert len(name) <= names.LIMIT
    assert "--scheduler" not in name


def test_the_longest_name_that_fits_is_not_shortened():
    room = names.LIMIT - len("-scheduler")
    assert names.child("x" * room, "scheduler") == "x" * room + "-scheduler"
    assert names.child("x" * (room + 1), "scheduler") != "x" * (room + 1) + "-scheduler"


@given(OBJECT, OBJECT)
def test_two_owners_never_have_the_same_child(one, other):
    assume(one != other)
    assert names.child(one, "scheduler") != names.child(other, "scheduler")


@given(OBJECT, OBJECT)
def test_a_database_name_is_an_identifier_of_postgresql(namespace, cluster):
    name = names.database(namespace, cluster)
    assert re.fullmatch(r"[a-z][a-z0-9_]*", name)
    assert len(name.encode()) <= names.IDENTIFIER_LIMIT


def test_a_database_belongs_to_one_namespace_and_one_cluster():
    assert names.database("a-b", "c") != names.database("a", "b-c")
    assert names.keys_copy("a-b", "c") != names.keys_copy("a", "c")
    assert names.database("team", "prod").startswith("airflow_team_prod_")
