"""The Secrets that git-sync logs in with: which members they have, and what they must have."""

from __future__ import annotations

from airflow_operator.domain.errors import Waiting
from airflow_operator.domain.manifest import Live, dig
from airflow_operator.reconcile import references
from airflow_operator.reconcile.references import Reference


def require(reference: Reference, live: Live) -> None:
    """Raises Waiting where the Secret holds nothing that git-sync could log in with."""
    data = dig(live, "data", default={})
    if references.GIT_TOKEN in data or {references.GIT_USERNAME, references.GIT_PASSWORD} <= set(data):
        return
    message = f"{reference.field} names Secret {reference.name}, which needs the keys username and password, or the key token."
    raise Waiting("KeyNotFound", message)
