"""A real Airflow of each version on this machine, as the scripts meet it in a container, with a database."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import airflow_operator.jobs
from airflow_operator.airflow.facts import Options
from airflow_operator.airflow.releases import release_of
from devcluster import paths
from devcluster.images.catalog import IMAGES

UV = os.environ.get("UV", "uv")  # `uv run` names itself
SCRIPTS = Path(airflow_operator.jobs.__file__).parent / "scripts"
FAB = "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager"
PASSWORD = "pa'ss w\"örd-1"

Result = dict[str, Any]


def installed(version: str) -> Path:
    """The Python of a virtual environment with the same packages as the test bed's image of that version; made once."""
    args = IMAGES[f"airflow-{version}"].args
    home = paths.cache() / "venvs" / f"airflow-{version}-{args['PINNED_TO']}"
    home.parent.mkdir(parents=True, exist_ok=True)
    with home.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home / "complete").exists():
            python = home / "bin" / "python"
            # The official images have authlib, for login pages, by an extra of many packages.
            packages = [f"apache-airflow[{args['AIRFLOW_EXTRAS']}]=={version}", "asyncpg", "psycopg2-binary", "authlib"]
            options = ["--python", str(python), "--compile-bytecode", "--exclude-newer", args["PINNED_TO"]]
            subprocess.run([UV, "venv", "--clear", "--python", "3.11", str(home)], check=True, timeout=120)
            subprocess.run([UV, "pip", "install", *options, *packages], check=True, timeout=600)
            (home / "complete").touch()
    return home / "bin" / "python"


@dataclass
class Image:
    """One Airflow as the scripts meet it in a container, with a database."""

    version: str
    folder: Path
    url: str

    @property
    def python(self) -> Path:
        """Its Python."""
        return installed(self.version)

    def env(self, **extra: str) -> dict[str, str]:
        """Nothing but what a Job sets."""
        return {
            "PATH": os.environ["PATH"],
            "AIRFLOW_HOME": str(self.folder / "home"),
            "AIRFLOW__CORE__AUTH_MANAGER": FAB,
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__FERNET_KEY": "eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHg=",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": self.url,
            "ADMIN_DIR": str(self.folder / "admin"),
            "TERMINATION_LOG": str(self.folder / "termination"),
            **variables(release_of(self.version).defaults),
            **extra,
        }

    def start(self, script: str, **env: str) -> subprocess.Popen[str]:
        """Start a script."""
        command = [str(self.python), str(SCRIPTS / f"{script}.py")]
        return subprocess.Popen(command, env=self.env(**env), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def run(self, script: str, **env: str) -> Result:
        """Run a script to its end and give its result; shows how long it took."""
        (self.folder / "termination").unlink(missing_ok=True)
        began = time.monotonic()
        process = self.start(script, **env)
        output, _ = process.communicate(timeout=300)
        message = (self.folder / "termination").read_text()
        print(f"{script}: {time.monotonic() - began:.2f} s {message}", file=sys.stderr)
        assert len(message.encode()) <= 4096
        assert output.splitlines()[-1] == message, output
        result: Result = json.loads(message)
        assert process.returncode == (1 if result["result"] == "Failed" else 0), output
        assert PASSWORD not in output
        return result

    def python_says(self, code: str, **env: str) -> str:
        """What a program prints that may import Airflow."""
        done = subprocess.run([str(self.python), "-c", code], env=self.env(**env), capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def login(self, username: str, password: str) -> bool:
        """Whether FAB itself takes the password, and the user is an administrator with permissions."""
        env = self.env(LOGIN_NAME=username, LOGIN_PASSWORD=password)
        done = subprocess.run([str(self.python), "-c", LOGIN], env=env, capture_output=True, text=True, timeout=300)
        assert done.returncode in (0, 3), done.stderr
        return done.returncode == 0


LOGIN = """
import os, sys
from airflow.providers_manager import ProvidersManager
ProvidersManager().initialize_providers_configuration()
try:
    from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder
except ImportError:
    from airflow.utils.cli_app_builder import get_application_builder
with get_application_builder() as builder:
    builder.sm.sync_roles()
    builder.sm._rotate_session_id = lambda: None  # there is no browser's session here
    user = builder.sm.auth_user_db(os.environ["LOGIN_NAME"], os.environ["LOGIN_PASSWORD"])
    if user is None:
        sys.exit(3)
    assert [role.name for role in user.roles] == ["Admin"]
    assert len(user.roles[0].permissions) > 50
"""


def url(postgres: Any) -> str:
    """The database of the test, which is made anew for each."""
    return f"postgresql+psycopg2://airflow:p%40ss%2Fword@127.0.0.1:{postgres.port}/airflow"


def variables(options: Options) -> dict[str, str]:
    """Options of airflow.cfg as environment variables."""
    return {f"AIRFLOW__{section}__{option}".upper(): value for section, found in options.items() for option, value in found.items()}


def expect(state: object) -> dict[str, str]:
    """What a migration has to find."""
    return {"EXPECT": json.dumps(state)}
