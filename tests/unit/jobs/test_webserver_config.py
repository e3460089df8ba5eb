"""Which users an OpenID Connect provider's claims become. The provider itself and Airflow are real in the end-to-end test."""

from __future__ import annotations

import json
import sys
import types
from importlib import resources

import pytest

SETTINGS = {
    "name": "sso",
    "issuerURL": "https://login.example.com/",
    "scopes": ["openid", "groups"],
    "usernameClaim": "preferred_username",
    "rolesClaim": "groups",
    "roleMapping": {"ops": "Op", "admins": "Admin"},
    "defaultRole": None,
}
CLAIMS = {"preferred_username": "ann", "given_name": "Ann", "family_name": "B", "email": "ann@example.com", "groups": ["ops", "x"]}


class Manager:
    """A double of Airflow's security manager, with the few methods that are used."""

    def find_role(self, name):
        return name

    def get_roles_from_keys(self, keys):
        return {{"ops": "Op", "admins": "Admin"}[key] for key in keys if key in SETTINGS["roleMapping"]}


@pytest.fixture
def load(tmp_path, monkeypatch):
    """The file's names, run as Flask runs a configuration file."""
    name = "airflow.providers.fab.auth_manager.security_manager.override"
    monkeypatch.setitem(sys.modules, name, types.SimpleNamespace(FabAirflowSecurityManagerOverride=Manager))
    parts = name.split(".")
    for length in range(1, len(parts)):
        monkeypatch.setitem(sys.modules, ".".join(parts[:length]), types.ModuleType(parts[length - 1]))

    def run(**changes):
        (tmp_path / "client-id").write_text("airflow\n")
        (tmp_path / "client-secret").write_text("s3cr3t\n")
        (tmp_path / "oidc.json").write_text(json.dumps({**SETTINGS, "clientDirectory": str(tmp_path), **changes}))
        text = (resources.files("airflow_operator.jobs") / "files" / "webserver_config.py").read_text()
        namespace = {"__file__": str(tmp_path / "webserver_config.py"), "__name__": "config"}
        exec(compile(text, "webserver_config.py", "exec"), namespace)
        return namespace

    return run


def test_the_provider(load):
    found = load()
    (provider,) = found["OAUTH_PROVIDERS"]
    assert provider["name"] == "sso"
    assert provider["remote_app"] == {
        "client_id": "airflow",
        "client_secret": "s3cr3t",
        "server_metadata_url": "https://login.example.com/.well-known/openid-configuration",
        "client_kwargs": {"scope": "openid groups"},
    }
    assert found["AUTH_ROLES_MAPPING"] == {"ops": ["Op"], "admins": ["Admin"]}
    assert found["AUTH_TYPE"] == 4


def test_a_user(load):
    assert load()["user_of"](CLAIMS) == {
        "username": "ann",
        "first_name": "Ann",
        "last_name": "B",
        "email": "ann@example.com",
        "role_keys": ["ops", "x"],
    }


@pytest.mark.parametrize("claims", [{**CLAIMS, "groups": ["x"]}, {**CLAIMS, "groups": None}, {**CLAIMS, "preferred_username": ""}])
def test_a_user_without_a_name_or_a_role_is_refused(load, claims):
    assert load()["user_of"](claims) == {}


def test_a_default_role_lets_everybody_in(load):
    found = load(defaultRole="Viewer")
    user = found["user_of"]({**CLAIMS, "groups": []})
    assert user["role_keys"] == []
    assert found["SecurityManager"]()._oauth_calculate_user_roles(user) == ["Viewer"]


def test_roles_are_those_of_the_groups(load):
    assert load()["SecurityManager"]()._oauth_calculate_user_roles({"role_keys": ["admins", "x"]}) == ["Admin"]


def test_claims_may_lie_in_objects_and_hold_one_group(load):
    found = load(rolesClaim="realm_access.roles", usernameClaim="email")
    user = found["user_of"]({"email": "a@example.com", "realm_access": {"roles": "ops"}})
    assert (user["username"], user["role_keys"]) == ("a@example.com", ["ops"])


def test_the_userinfo_of_the_provider_adds_to_the_token(load):
    class Remote:
        def load_server_metadata(self):
            return {"userinfo_endpoint": "https://login.example.com/userinfo"}

        def userinfo(self, token):
            assert token["access_token"] == "t"
            return {"groups": ["ops"]}

    manager = load()["SecurityManager"]()
    manager.oauth_remotes = {"sso": Remote()}
    assert manager.get_oauth_user_info("sso", {"access_token": "t", "userinfo": {**CLAIMS, "groups": None}})["role_keys"] == ["ops"]
