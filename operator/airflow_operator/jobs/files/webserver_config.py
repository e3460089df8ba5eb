"""Settings of Airflow's login pages for an OpenID Connect provider; they stand in oidc.json beside this file.

Runs in the API server, as Flask AppBuilder's configuration. Client id and secret are read from files, so that they stand in no
ConfigMap and in no environment.
"""

from __future__ import annotations

import importlib
import json
import logging
from pathlib import Path
from typing import Any

log = logging.getLogger("airflow.operator.oidc")

_here = Path(__file__).parent
_oidc: dict[str, Any] = json.loads((_here / "oidc.json").read_text())
_client = Path(_oidc["clientDirectory"])
_base: Any = importlib.import_module("airflow.providers.fab.auth_manager.security_manager.override").FabAirflowSecurityManagerOverride


def claim(claims: dict[str, Any], path: str) -> Any:
    """The value of a claim, or of one inside of it where the path has dots; None where there is none."""
    if path in claims:
        return claims[path]
    value: Any = claims
    for step in path.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return value


def user_of(claims: dict[str, Any]) -> dict[str, Any]:
    """A user as Flask AppBuilder takes it; empty, and so refused, for one without a name or without any role."""
    groups = claim(claims, _oidc["rolesClaim"]) or []
    keys = [groups] if isinstance(groups, str) else [str(group) for group in groups]
    username = claim(claims, _oidc["usernameClaim"]) or ""
    if not username:
        log.warning("The provider tells no %s of who logs in", _oidc["usernameClaim"])
        return {}
    if not _oidc["defaultRole"] and not set(keys) & set(_oidc["roleMapping"]):
        log.warning("User %s is in no group that has a role", username)
        return {}
    return {
        "username": str(username),
        "first_name": str(claims.get("given_name") or claims.get("name") or username),
        "last_name": str(claims.get("family_name") or ""),
        "email": str(claims.get("email") or ""),
        "role_keys": keys,
    }


class SecurityManager(_base):  # type: ignore[misc]
    """Reads any provider's claims; the one of Airflow knows a few providers by name."""

    def get_oauth_user_info(self, provider: str, resp: dict[str, Any]) -> dict[str, Any]:
        """What the ID token says, and what the provider's userinfo adds to it."""
        remote = self.oauth_remotes[provider]
        claims = dict(resp.get("userinfo") or {})
        if remote.load_server_metadata().get("userinfo_endpoint"):
            claims |= dict(remote.userinfo(token=resp))
        return user_of(claims)

    def _oauth_calculate_user_roles(self, userinfo: dict[str, Any]) -> list[Any]:
        """The roles of the groups and the default one; Airflow's own would add its registration role even where none is wanted."""
        roles = set(self.get_roles_from_keys(userinfo.get("role_keys", [])))
        if _oidc["defaultRole"]:
            roles.add(self.find_role(_oidc["defaultRole"]))
        return [role for role in roles if role]


AUTH_TYPE = 4  # OAuth, in Flask AppBuilder's constants
AUTH_USER_REGISTRATION = True
AUTH_ROLES_SYNC_AT_LOGIN = True
AUTH_ROLES_MAPPING = {group: [role] for group, role in _oidc["roleMapping"].items()}
SECURITY_MANAGER_CLASS = SecurityManager
OAUTH_PROVIDERS = [
    {
        "name": _oidc["name"],
        "icon": "fa-key",
        "token_key": "access_token",
        "remote_app": {
            "client_id": (_client / "client-id").read_text().strip(),
            "client_secret": (_client / "client-secret").read_text().strip(),
            "server_metadata_url": f"{_oidc['issuerURL'].rstrip('/')}/.well-known/openid-configuration",
            "client_kwargs": {"scope": " ".join(_oidc["scopes"])},
        },
    }
]
