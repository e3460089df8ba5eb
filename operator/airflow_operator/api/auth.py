"""How users log in."""

from __future__ import annotations

from pydantic import Field

from airflow_operator.api.cel import exactly_one
from airflow_operator.api.common import Model, ObjectReference


class FabAdmin(Model):
    """The first administrator."""

    enabled: bool = Field(default=True, description="Whether the operator makes an administrator.")
    secret_ref: ObjectReference | None = Field(
        default=None,
        description="Secret with the keys username and password. Absent: the operator makes one; status.auth.adminSecretRef names it.",
    )


class FabAuth(Model):
    """Users and roles in Airflow's own database (Flask AppBuilder)."""

    admin: FabAdmin = Field(default=FabAdmin(), description="The first administrator.")


class Auth(Model):
    """How users log in: exactly one."""

    fab: FabAuth | None = Field(default=None, description="Users and roles in Airflow's own database.")

    rules = (exactly_one("fab"),)
