"""Keys of Airflow that the user brings, under the names that the official Helm chart gives them."""

from __future__ import annotations

from pydantic import Field

from airflow_operator.api.common import DataKey, Model, ObjectName

_NAME = "Name of a Secret in the same namespace."


class FernetKey(Model):
    """Where the fernet key is."""

    name: ObjectName = Field(description=_NAME)
    key: DataKey = Field(default="fernet-key", description="Key within its data.")


class ApiSecret(Model):
    """Where the secret of the API server's sessions and of log requests is."""

    name: ObjectName = Field(description=_NAME)
    key: DataKey = Field(default="api-secret-key", description="Key within its data.")


class WebserverSecret(Model):
    """Where the secret of the web server's sessions and of log requests is."""

    name: ObjectName = Field(description=_NAME)
    key: DataKey = Field(default="webserver-secret-key", description="Key within its data.")


class JwtSecret(Model):
    """Where the secret that signs tokens is."""

    name: ObjectName = Field(description=_NAME)
    key: DataKey = Field(default="jwt-secret", description="Key within its data.")


BroughtKey = FernetKey | ApiSecret | WebserverSecret | JwtSecret


class OwnKeys(Model):
    """Keys that the user brings; the operator makes those that are absent, once. A change of a value restarts what uses it."""

    fernet: FernetKey | None = Field(
        default=None,
        description="Encrypts connections and variables: 32 bytes in url-safe base64, or several of them with commas, "
        "the newest first. Connections that were stored under another key cannot be read.",
    )
    api_secret: ApiSecret | None = Field(default=None, description="[api] secret_key of Airflow 3.")
    webserver_secret: WebserverSecret | None = Field(default=None, description="[webserver] secret_key of Airflow 2.")
    jwt: JwtSecret | None = Field(
        default=None,
        description="[api_auth] jwt_secret of Airflow 3, held by the API server and the schedulers. Absent: tokens are signed "
        "with a private key, which can be replaced without an end of running tasks.",
    )
