"""Is the database's schema the one of the image? Decided anew each time from the Jobs that can prove it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from airflow_operator.domain.manifest import ObjectKey
from airflow_operator.reconcile.evidence import DATABASE, IMAGE, SUPERSEDES, Evidence


@dataclass(frozen=True)
class Provisioned:
    """What the provision Job answered of a database that exists."""

    job: Evidence
    identity: str
    """Server's system identifier and the database's OID: another server or a re-created database is another identity."""
    empty: bool


@dataclass(frozen=True)
class Schema:
    """What to do next about the schema."""

    state: Literal["Current", "Check", "Migrate", "Wait", "Hold"]
    """Check and Migrate ask for a Job; Wait has one running; Hold waits for a person or for the time of a retry."""
    reason: str
    message: str
    keep: tuple[ObjectKey, ...] = ()
    discard: tuple[ObjectKey, ...] = ()
    """Evidence that is used up; gone before the next Job is made."""
    asked_by: str = ""
    """UID of the Job whose answer asks for this migration; it names the migrate Job."""
    expect: str = ""
    """The state that the migrate Job must still find, as JSON."""
    supersedes: tuple[str, ...] = ()
    """UIDs of the migrate Jobs whose answers are void once this one has ended."""
    retry_in: float | None = None


def decide(jobs: Sequence[Evidence], provisioned: Provisioned, image: str, now: datetime) -> Schema:
    """The next step towards a schema that `image` can work with.

    A check's answer is used for one decision only: it goes before the migration that it asked for is made, and the migration
    verifies once more that the database is what the check saw. A migration is kept until the next one has ended: without one the
    database would be taken for as empty as the provision Job found it.
    """
    migrations = _standing([job for job in jobs if job.component == "migrate"])
    schema = _decide(jobs, migrations, provisioned, image, now)
    return replace(schema, keep=tuple(dict.fromkeys((*schema.keep, *(k for k in _keys(migrations) if k not in schema.discard)))))


def _standing(migrations: Sequence[Evidence]) -> list[Evidence]:
    """Without those that a later one made void."""
    void = {uid for job in migrations if job.state != "Running" for uid in job.annotations.get(SUPERSEDES, "").split(",")}
    return [job for job in migrations if job.uid not in void]


def _decide(jobs: Sequence[Evidence], migrations: Sequence[Evidence], provisioned: Provisioned, image: str, now: datetime) -> Schema:
    running = [job for job in migrations if job.state == "Running"]
    if running:
        return _while_running(running, image, now)
    every_check = [job for job in jobs if job.component == "check"]
    checks = [job for job in every_check if _speaks_of(job, provisioned.identity, image)]
    finished = [job for job in migrations if _speaks_of(job, provisioned.identity, image)]
    # Whatever was ever said of this database is void once it is migrated.
    uids = tuple(job.uid for job in migrations)
    migrate = Schema("Migrate", "Migrating", "The database is being migrated.", discard=_keys(every_check), supersedes=uids)
    if any(job.verdict == "Migrated" for job in finished):
        return Schema("Current", "UpToDate", "The database has the schema of this image.")
    if checks:
        return _after_check(checks[0], migrate, now)
    if finished:
        return _after_failure(finished[0], now)
    if provisioned.empty and not migrations:
        return replace(migrate, asked_by=provisioned.job.uid, expect='"Empty"')
    return _compare()


def _compare(*used_up: Evidence) -> Schema:
    return Schema("Check", "Checking", "The database's schema is compared with the image's.", discard=_keys(used_up))


def _while_running(running: Sequence[Evidence], image: str, now: datetime) -> Schema:
    """A migration is waited for, however long it takes; one whose container never started has touched nothing and may be given up."""
    blocked = [job for job in running if job.obstacle]
    given_up = tuple(job for job in blocked if job.annotations.get(IMAGE) != image or job.hopeless(now))
    if given_up:
        return _compare(*given_up)
    if blocked and blocked[0].obstacle:
        reason, words = blocked[0].obstacle
        return Schema("Hold", reason, f"The migration cannot start: {words}", keep=_keys(running))
    return Schema("Wait", "Migrating", "The database is being migrated.", keep=_keys(running))


def _after_failure(job: Evidence, now: datetime) -> Schema:
    """A migration that failed is shown, then the database is looked at again.

    The Job stays until then: without it the database could be taken for as empty as the provision Job found it, for ever.
    """
    if job.verdict == "Stale" or job.state == "Lost":
        return _compare()
    wait = job.retry_in(now)
    if wait:
        return Schema("Hold", "MigrationFailed", f"The migration failed: {job.last_words}", retry_in=wait)
    return Schema("Check", "MigrationFailed", f"The migration failed and is tried again: {job.last_words}")


def _after_check(check: Evidence, migrate: Schema, now: datetime) -> Schema:
    if check.state == "Running":
        return _while_checking(check, now)
    if check.state == "Lost":
        return _compare(check)
    if check.verdict == "Current":
        return Schema("Current", "UpToDate", "The database has the schema of this image.", keep=(check.key,))
    if check.verdict in ("Behind", "Empty"):
        expect = json.dumps("Empty" if check.verdict == "Empty" else check.result.get("database"), sort_keys=True)
        return replace(migrate, asked_by=check.uid, expect=expect)
    if check.verdict in ("Unknown", "WrongVersion") and not check.recheck_in(now):
        # An older image may have been put back, or another pushed under the same tag.
        return _compare(check)
    if check.verdict == "Unknown":
        found = json.dumps(check.result.get("database"), sort_keys=True)
        message = f"The database has a schema that this image does not know ({found}). Use the image that made it, or a newer one."
        return Schema("Hold", "UnknownRevision", message, keep=(check.key,))
    if check.verdict == "WrongVersion":
        found = check.result.get("airflowVersion", "another version")
        message = f"The image holds Airflow {found}. Set spec.version to it, or spec.image to an image of the version declared."
        return Schema("Hold", "WrongVersion", message, keep=(check.key,))
    if wait := check.retry_in(now):
        return Schema("Hold", "CheckFailed", f"The schema could not be read: {check.last_words}", keep=(check.key,), retry_in=wait)
    message = f"The schema could not be read and is looked at again: {check.last_words}"
    return Schema("Check", "CheckFailed", message, discard=(check.key,))


def _while_checking(check: Evidence, now: datetime) -> Schema:
    if check.hopeless(now):
        return _compare(check)
    if check.obstacle:
        reason, words = check.obstacle
        return Schema("Hold", reason, f"The schema cannot be looked at: {words}", keep=(check.key,))
    return Schema("Wait", "Checking", "The database's schema is compared with the image's.", keep=(check.key,))


def _speaks_of(job: Evidence, identity: str, image: str) -> bool:
    return job.annotations.get(DATABASE) == identity and job.annotations.get(IMAGE) == image


def _keys(jobs: Sequence[Evidence]) -> tuple[ObjectKey, ...]:
    return tuple(job.key for job in jobs)
