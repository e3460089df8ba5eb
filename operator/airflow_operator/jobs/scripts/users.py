"""Makes the administrator of an Airflow with the FAB auth manager, or brings back the password and role that are declared.

Reads the files `username` and `password` (and `email`, `firstname`, `lastname` where given) in ADMIN_DIR. No other user is touched.
Results: Created, Updated (with what was changed), Unchanged.
Written to FAB's tables directly: `airflow users create` builds a whole web application first, for 4 seconds of CPU, and writes all
roles and permissions in a race with the API server, which does the same at each of its starts. Here only the row of the role Admin is
made sure of; the API server fills it.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from airflow_operator.jobs.scripts import common
else:  # beside this file, in the Airflow image
    import common

ROLE = "Admin"


class Admin(NamedTuple):
    """The declared administrator."""

    username: str
    password: str
    email: str
    first_name: str
    last_name: str


def read_admin(folder: str) -> Admin:
    """The administrator as the mounted files declare it; a missing or empty required file is a Refusal."""
    username = _file(folder, "username")
    password = common.hide(_file(folder, "password"))
    for name, value in (("username", username), ("password", password)):
        if not value:
            raise common.Refusal(f"The Secret of the administrator has no key {name}, or it is empty.")
    email = _file(folder, "email") or (username if "@" in username else f"{username}@example.com")
    return Admin(username, password, email, _file(folder, "firstname") or username, _file(folder, "lastname") or "Administrator")


def _file(folder: str, name: str) -> str:
    try:
        with open(os.path.join(folder, name), encoding="utf-8") as file:
            # Secrets are often made with `echo` or an editor: a newline at the end is not part of the value.
            return file.read().rstrip("\r\n")
    except FileNotFoundError:
        return ""


def ensure(cursor: Any, admin: Admin) -> dict[str, Any]:
    """Create or correct the administrator within the caller's transaction; tells what was done."""
    role = _role(cursor)
    # As FAB looks names up (AUTH_USERNAME_CI), and as its unique index sees them.
    cursor.execute("SELECT id, password, active FROM ab_user WHERE lower(username) = lower(%s) FOR UPDATE", (admin.username,))
    row = cursor.fetchone()
    if row is None:
        _give_role(cursor, _create(cursor, admin), role)
        return {"result": "Created"}
    user, stored, active = row
    changed = [*_correct(cursor, admin, user, stored, active), *(["role"] if _give_role(cursor, user, role) else [])]
    return {"result": "Updated", "changed": changed} if changed else {"result": "Unchanged"}


def _role(cursor: Any) -> int:
    cursor.execute("SELECT to_regclass('ab_user') IS NOT NULL")
    if not cursor.fetchone()[0]:
        raise common.Refusal("The database has no table of users: it was not migrated with the FAB auth manager.")
    cursor.execute("INSERT INTO ab_role (id, name) VALUES (nextval('ab_role_id_seq'), %s) ON CONFLICT (name) DO NOTHING", (ROLE,))
    cursor.execute("SELECT id FROM ab_role WHERE name = %s", (ROLE,))
    return int(cursor.fetchone()[0])


def _create(cursor: Any, admin: Admin) -> int:
    cursor.execute("SELECT count(*) FROM ab_user WHERE email = %s", (admin.email,))
    if cursor.fetchone()[0]:
        raise common.Refusal(f"Another user already has the e-mail address {admin.email}: name another one in the Secret (key email).")
    cursor.execute(
        "INSERT INTO ab_user (id, first_name, last_name, username, password, active, email, created_on, changed_on)"
        " VALUES (nextval('ab_user_id_seq'), %s, %s, %s, %s, true, %s, now(), now()) RETURNING id",
        (admin.first_name, admin.last_name, admin.username, _hash(admin.password), admin.email),
    )
    return int(cursor.fetchone()[0])


def _correct(cursor: Any, admin: Admin, user: int, stored: str | None, active: bool | None) -> list[str]:
    changed = []
    if not stored or not _matches(stored, admin.password):
        cursor.execute("UPDATE ab_user SET password = %s, changed_on = now() WHERE id = %s", (_hash(admin.password), user))
        changed.append("password")
    if not active:
        cursor.execute("UPDATE ab_user SET active = true, changed_on = now() WHERE id = %s", (user,))
        changed.append("active")
    return changed


def _give_role(cursor: Any, user: int, role: int) -> bool:
    cursor.execute(
        "INSERT INTO ab_user_role (id, user_id, role_id) SELECT nextval('ab_user_role_id_seq'), %s, %s"
        " WHERE NOT EXISTS (SELECT FROM ab_user_role WHERE user_id = %s AND role_id = %s) ON CONFLICT DO NOTHING",
        (user, role, user, role),
    )
    return bool(cursor.rowcount)


def _matches(stored: str, password: str) -> bool:
    security = importlib.import_module("werkzeug.security")
    try:
        return bool(security.check_password_hash(stored, password))
    except ValueError:
        # Made with another Airflow, by a method that the library of this one does not know: nobody can log in with it.
        return False


def _hash(password: str) -> str:
    # By the library's own default, as FAB does it: scrypt, but for the library of Airflow 2.10 and 3.0, which does not know it.
    security = importlib.import_module("werkzeug.security")
    return common.hide(str(security.generate_password_hash(password)))


def users() -> dict[str, Any]:
    """The administrator made sure of, as a result."""
    admin = read_admin(os.environ.get("ADMIN_DIR", "/run/secrets/airflow-admin"))
    connection = common.connect()
    connection.autocommit = False
    with connection, connection.cursor() as cursor:
        return ensure(cursor, admin)


if __name__ == "__main__":
    common.run(users)
