"""Brings the schema of Airflow's database to what this image needs, if the database still is what the decision was made on.

EXPECT is JSON: "Empty", or the database's revisions as check.py named them.
Results: Migrated (also when nothing was left to do), Stale (the database is not what EXPECT says; nothing was changed), WrongVersion.
`airflow db migrate` in this process, without its command line: Airflow's own function with Airflow's own lock.
"""

from __future__ import annotations

import importlib
import json
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_operator.jobs.scripts import check, common
else:  # beside this file, in the Airflow image
    import check
    import common

LOCK = 0x61666F7065726174
"""Our advisory lock, from the look at the database to the end of the migration. Airflow's own (number 1) covers only its DDL."""


def matches(expect: str, database: common.Heads) -> bool:
    """Whether the database is what EXPECT says."""
    wanted = json.loads(expect)
    if wanted == "Empty":
        return not database["airflow"]
    return all(sorted(wanted.get(component, [])) == database[component] for component in database)


def migrate() -> dict[str, Any]:
    """The migration as a result."""
    version = common.airflow_version()
    wrong = common.require_version(version)
    if wrong:
        return wrong
    wanted = check.heads_of(check.image_revisions(version))
    connection = common.connect()
    _take_lock(connection)
    database = common.database_heads(connection)
    if database != wanted and not matches(os.environ["EXPECT"], database):
        message = "The database has changed since this migration was decided on: nothing was done."
        return {"result": "Stale", "database": database, "airflowVersion": version, "message": message}
    common.say(f"Migrating the database to Airflow {version}.")
    _upgrade(lacks_fab=bool(database["airflow"] and wanted["fab"]) and not _has_users(connection))
    database = common.database_heads(connection)
    if database != wanted:
        raise common.Refusal(f"The migration ended at {json.dumps(database)} instead of {json.dumps(wanted)}.")
    return {"result": "Migrated", "database": database, "airflowVersion": version}


def _take_lock(connection: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", (LOCK,))
        if not cursor.fetchone()[0]:
            common.say("Another migration of this database is running: waiting for it.")
            cursor.execute("SELECT pg_advisory_lock(%s)", (LOCK,))


def _has_users(connection: Any) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('ab_user') IS NOT NULL")
        return bool(cursor.fetchone()[0])


def _upgrade(*, lacks_fab: bool) -> None:
    providers = importlib.import_module("airflow.providers_manager")
    providers.ProvidersManager().initialize_providers_configuration()
    if lacks_fab:
        # A migration was killed between Airflow's tables and FAB's. The FAB of Airflow 3.0 makes its tables only with a new database:
        # its one migration is empty.
        session = importlib.import_module("airflow.settings").Session()
        importlib.import_module("airflow.providers.fab.auth_manager.models.db").FABDBManager(session).create_db_from_orm()
        session.close()
    importlib.import_module("airflow.utils.db").upgradedb()


if __name__ == "__main__":
    common.run(migrate)
