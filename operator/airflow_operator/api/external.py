"""A database server that others run."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from airflow_operator.api.cel import Cel, matches
from airflow_operator.api.certificates import CertificateAuthority
from airflow_operator.api.common import Model, ObjectReference

DatabaseName = Annotated[
    str, Field(min_length=1, max_length=63), matches(r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$", "must be letters, digits, and _ . - within")
]


class Tls(Model):
    """Encryption of the connections, in the words of PostgreSQL's sslmode."""

    mode: Literal["disable", "require", "verify-ca", "verify-full"] = Field(
        default="require",
        description="require encrypts; verify-ca also checks who signed the server's certificate; verify-full also that it names the host.",
    )
    ca: CertificateAuthority | None = Field(
        default=None, description="Certificates that may sign the server's; needed by verify-ca and verify-full."
    )

    rules = (
        Cel(
            rule="has(self.ca) == (has(self.mode) && self.mode.startsWith('verify'))",
            message="set ca with verify-ca or verify-full, and only then",
            check=lambda it: (it.ca is not None) == it.mode.startswith("verify"),
            field_path=".ca",
        ),
    )


class External(Model):
    """A database server that others run."""

    engine: Literal["postgresql"] = Field(default="postgresql", description="Kind of server: PostgreSQL 13 or newer.")
    host: Annotated[
        str,
        Field(min_length=1, max_length=253),
        matches(r"^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$", "must be a host name or an IPv4 address"),
    ] = Field(description="Name or address of the server as the pods reach it.")
    port: Annotated[int, Field(ge=1, le=65535, json_schema_extra={"format": "int32"})] = Field(default=5432, description="Its port.")
    provisioning: Literal["Managed", "None"] = Field(
        default="Managed",
        description="Managed: the operator makes a database and a role for each AirflowCluster, as the administrator in adminSecretRef. "
        "None: each AirflowCluster brings its own, in spec.database.",
    )
    admin_secret_ref: ObjectReference | None = Field(
        default=None,
        description="Secret with the keys username and password of an administrator (CREATEDB and CREATEROLE are enough). "
        "It never leaves the namespace of the base.",
    )
    admin_database: DatabaseName | None = Field(
        default=None, description="Database that the administrator connects to; absent means postgres."
    )
    tls: Tls = Field(default=Tls(), description="Encryption of the connections.")

    rules = (
        Cel(
            rule="has(self.adminSecretRef) == (self.provisioning == 'Managed')",
            message="set adminSecretRef with provisioning: Managed, and only then",
            check=lambda it: (it.admin_secret_ref is not None) == (it.provisioning == "Managed"),
            field_path=".adminSecretRef",
        ),
        Cel(
            rule="!has(self.adminDatabase) || self.provisioning == 'Managed'",
            message="adminDatabase is for provisioning: Managed",
            check=lambda it: it.admin_database is None or it.provisioning == "Managed",
            field_path=".adminDatabase",
        ),
    )


class BroughtDatabase(Model):
    """A database that was made by others, on the server of the base."""

    name: DatabaseName = Field(description="Name of the database.")
    credentials_secret_ref: ObjectReference = Field(
        description="Secret with the keys username and password of a role that may make tables in the database."
    )
