"""The password of the embedded server's superuser: nobody but the operator's own Jobs needs it, so that a lost one can be set anew."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING

from airflow_operator.domain import names
from airflow_operator.domain.manifest import Live
from airflow_operator.reconcile.build import postgres
from airflow_operator.reconcile.secrets import create_once, secret, unlisted

if TYPE_CHECKING:
    from airflow_operator.runtime.context import Context


async def keep_password(ctx: Context, base: Live, children: Sequence[Live]) -> Live:
    """The Secret with the password; made where it is missing, and marked where the server's data has another one already.

    Raises Waiting, reason NameConflict, when somebody else's Secret has the name.
    """
    name, namespace = base["metadata"]["name"], base["metadata"]["namespace"]
    has_data = any(item["kind"] == "PersistentVolumeClaim" for item in children)
    wanted = postgres.password_secret(name, namespace, secrets.token_urlsafe(32), to_set=has_data)
    if found := secret(tuple(children), names.postgres(name)) or await unlisted(ctx.kube, wanted):
        return found
    made = await create_once(ctx.kube, wanted)
    if has_data:
        words = f"Secret {names.postgres(name)} with the password of PostgreSQL was gone: a new one is set, with one restart of the server."
        await ctx.events.post(base, "Warning", "PasswordLost", words)
    return made
