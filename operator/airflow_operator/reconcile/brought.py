"""What a cluster brings itself: keys, and a database on a base that makes none."""

from __future__ import annotations

import base64
from collections.abc import Mapping

from airflow_operator.api import AirflowClusterSpec
from airflow_operator.api.keys import BroughtKey
from airflow_operator.domain.errors import InvalidSpec, Waiting
from airflow_operator.domain.manifest import Live, dig
from airflow_operator.reconcile import keys, references
from airflow_operator.reconcile.base_access import BaseAccess

Found = Mapping[tuple[str, str], Live]


def brought_keys(spec: AirflowClusterSpec) -> dict[str, BroughtKey]:
    """Member of the generated Secret -> the user's own key in its place."""
    own = spec.keys
    if own is None:
        return {}
    wanted = {keys.FERNET: own.fernet, keys.API_SECRET: own.api_secret or own.webserver_secret, keys.JWT_SECRET: own.jwt}
    return {member: key for member, key in wanted.items() if key}


def value(key: BroughtKey, found: Found) -> str:
    """The user's key; empty where it is none."""
    return _text(found.get(("Secret", key.name)), key.key)


def _text(secret: Live | None, key: str) -> str:
    return base64.b64decode(dig(secret, "data", key, default="")).decode(errors="replace")


def require_keys(spec: AirflowClusterSpec, found: Found) -> None:
    """Raises Waiting where a key that the user brings cannot be one."""
    for reference in references.of_keys(spec):
        text = _text(found.get((reference.kind, reference.name)), reference.key)
        what = f"{reference.field}: the key {reference.key} of Secret {reference.name}"
        try:
            if reference.field == "spec.keys.fernet":
                keys.require_fernet(what, text)
            elif not text.strip():
                raise keys.Malformed(f"{what} is empty")
        except keys.Malformed as error:
            raise Waiting("KeyMalformed", f"{error}. Put the right value there; nothing is changed until then.") from None


def require_database(spec: AirflowClusterSpec, base: BaseAccess) -> None:
    """Raises InvalidSpec where cluster and base do not agree about who makes the database."""
    if base.makes_databases and spec.database:
        message = f"spec.database is for a base with provisioning: None. AirflowBase {base.name} makes the database: leave it out."
        raise InvalidSpec("InvalidSpec", message)
    if not base.makes_databases and spec.database is None:
        message = f"spec.database must be set: AirflowBase {base.name} makes no databases (provisioning: None)."
        raise InvalidSpec("InvalidSpec", message)
