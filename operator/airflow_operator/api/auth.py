"""How users log in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from airflow_operator.api.access import WebUrl
from airflow_operator.api.cel import at_most_one, exactly_one, matches
from airflow_operator.api.certificates import FileReference
from airflow_operator.api.common import Atomic, ListMap, Model, ObjectReference

_Role = Annotated[str, Field(min_length=1, max_length=64)]
_Claim = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^\S+$")]


class FabAdmin(Model):
    """The first administrator."""

    enabled: bool = Field(default=True, description="Whether the operator makes an administrator.")
    secret_ref: ObjectReference | None = Field(
        default=None,
        description="Secret with the keys username and password. Absent: the operator makes one; status.auth.adminSecretRef names it.",
    )


class Oidc(Model):
    """Login by an OpenID Connect provider. The groups that it tells of a user decide the user's roles, at every login."""

    name: Annotated[str, Field(max_length=40), matches("^[a-z][a-z0-9-]*$", "must be lower-case letters, digits and -, such as sso")] = (
        Field(default="oidc", description="Name of the button. The provider must know the address EXTERNAL-URL/auth/oauth-authorized/NAME.")
    )
    issuer_url: WebUrl = Field(
        alias="issuerURL", description="URL of the provider; its settings are read below it, at /.well-known/openid-configuration."
    )
    client_secret_ref: ObjectReference = Field(
        description="Secret with the keys client-id and client-secret. A change restarts the API server."
    )
    scopes: Annotated[tuple[Annotated[str, Field(min_length=1, max_length=128, pattern=r"^\S+$")], ...], Field(max_length=32), Atomic()] = (
        Field(default=("openid", "profile", "email"), description="What is asked of the provider.")
    )
    username_claim: _Claim = Field(default="preferred_username", description="Claim with the user's name in Airflow.")
    roles_claim: _Claim = Field(
        default="groups", description="Claim with the user's groups; a path such as realm_access.roles leads into objects."
    )
    role_mapping: Annotated[Mapping[str, _Role], Field(max_length=256)] = Field(
        default_factory=dict, description="Group to role of Airflow: Admin, Op, User, Viewer, or one of your own."
    )
    default_role: _Role | None = Field(
        default=None, description="Role of every user, beside those of the groups. Absent: who is in no mapped group cannot log in."
    )


class FabAuth(Model):
    """Users and roles in Airflow's own database (Flask AppBuilder)."""

    admin: FabAdmin = Field(default=FabAdmin(), description="The first administrator.")
    oidc: Oidc | None = Field(
        default=None,
        description="Login by an OpenID Connect provider. The administrator's password then works for the REST API alone.",
    )
    webserver_config_ref: FileReference | None = Field(
        default=None, description="A webserver_config.py of your own, for every other way to log in. A change restarts the API server."
    )

    rules = (at_most_one("oidc", "webserverConfigRef"),)


class SimpleUser(Model):
    """One user of the simple auth manager."""

    name: Annotated[str, Field(max_length=63), matches("^[A-Za-z0-9][A-Za-z0-9._-]*$", "must be letters, digits, ., _ and -")] = Field(
        description="Name to log in with."
    )
    role: Literal["viewer", "user", "op", "admin"] = Field(description="What the user may do.")


class SimpleAuth(Model):
    """A few users without a database, for development: one API server alone, and passwords that are no secret to who reads Secrets."""

    users: Annotated[tuple[SimpleUser, ...], Field(min_length=1, max_length=32), ListMap()] | None = Field(
        default=None, description="The users; status.auth.usersSecretRef names the Secret with their passwords. Absent: admin alone."
    )
    all_admins: bool | None = Field(default=None, description="true: everybody who reaches Airflow is an administrator, without a login.")

    rules = (at_most_one("users", "allAdmins"),)


class AuthManager(Model):
    """Any other auth manager of Airflow."""

    class_name: Annotated[
        str, Field(max_length=256), matches(r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$", "must be a class with its module, such as a.b.Manager")
    ] = Field(description="Class with its module; the image must hold it. Its options go to config, its secrets to env.")


class Auth(Model):
    """How users log in: exactly one."""

    fab: FabAuth | None = Field(default=None, description="Users and roles in Airflow's own database.")
    simple: SimpleAuth | None = Field(default=None, description="A few users, for development.")
    manager: AuthManager | None = Field(default=None, description="Another auth manager.")

    rules = (exactly_one("fab", "simple", "manager"),)
