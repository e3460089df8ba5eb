"""Compares the schema of Airflow's database with the one that this image needs; changes nothing.

The answer of `airflow db check-migrations`, with both sides named, in a tenth of a second instead of three: the migration files are
read as text, and Airflow is not imported.
Results: Current, Empty, Behind, Unknown (a revision that the image does not know: made by a newer Airflow), WrongVersion.
"""

from __future__ import annotations

import ast
import os
import re
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from airflow_operator.jobs.scripts import common
else:  # beside this file, in the Airflow image
    import common

_ASSIGNMENT = re.compile(r"^(revision|down_revision)\s*(?::[^=\n]+)?=\s*(\([^)]*\)|.+?)\s*(?:#.*)?$", re.MULTILINE)


class Revisions(NamedTuple):
    """What a set of migration files says: its newest revisions and all that it knows."""

    heads: list[str]
    known: frozenset[str]


def read_revisions(sources: Iterable[str]) -> Revisions:
    """Revisions of migration files, from the two assignments that Alembic requires in each."""
    known: set[str] = set()
    parents: set[str] = set()
    for source in sources:
        values = {name: ast.literal_eval(value) for name, value in _ASSIGNMENT.findall(source)}
        if "revision" in values:
            known.add(values["revision"])
            down = values.get("down_revision") or ()
            parents.update([down] if isinstance(down, str) else down)
    return Revisions(sorted(known - parents), frozenset(known))


def verdict(database: common.Heads, image: dict[str, Revisions], finished: bool) -> str:
    """One word for how the database stands to the image; `finished` tells that a migration ran to its very end."""
    if not database["airflow"]:
        return "Empty"
    if any(head not in image[component].known for component in image for head in database[component]):
        return "Unknown"
    current = all(database[component] == image[component].heads for component in image)
    return "Current" if current and finished else "Behind"


def image_revisions(version: str) -> dict[str, Revisions]:
    """What this image would migrate: Airflow's own schema and, where it manages it, FAB's."""
    image = {"airflow": _revisions_of("airflow/migrations/versions")}
    if _manages_fab(version):
        image["fab"] = _revisions_of("airflow/providers/fab/migrations/versions")
    return image


def _manages_fab(version: str) -> bool:
    """Whether `airflow db migrate` of this image makes FAB's tables as a component of their own.

    2.x has them in its own migrations; 3.0 and 3.1 only ask the auth manager and the configuration (#63847); 3.2 finds the provider.
    """
    release = tuple(int(part) for part in version.split(".")[:2])
    if release >= (3, 2) or release < (3, 0):
        return release >= (3, 2)
    managers = (common.option("core", "auth_manager") or "") + (common.option("database", "external_db_managers") or "")
    return "airflow.providers.fab." in managers


def _revisions_of(path: str) -> Revisions:
    for root in sys.path:
        folder = os.path.join(root or ".", path)
        if os.path.isdir(folder):
            names = sorted(name for name in os.listdir(folder) if name.endswith(".py"))
            return read_revisions(_text(os.path.join(folder, name)) for name in names)
    return Revisions([], frozenset())


def _text(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read()


def heads_of(image: dict[str, Revisions]) -> common.Heads:
    """The revisions that the image wants, by component, in the shape of `database_heads`."""
    return {component: image[component].heads if component in image else [] for component in common.HEAD_TABLES}


def finished(connection: Any, database: common.Heads) -> bool:
    """Whether a migration got to its last step, which makes the default pool: heads are recorded before it."""
    if not database["airflow"]:
        return False
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM slot_pool WHERE pool = 'default_pool'")
        return bool(cursor.fetchone()[0])


def check() -> dict[str, Any]:
    """The comparison as a result."""
    version = common.airflow_version()
    wrong = common.require_version(version)
    if wrong:
        return wrong
    image = image_revisions(version)
    connection = common.connect()
    database = common.database_heads(connection)
    result = verdict(database, image, finished(connection, database))
    return {"result": result, "database": database, "image": heads_of(image), "airflowVersion": version}


if __name__ == "__main__":
    common.run(check)
