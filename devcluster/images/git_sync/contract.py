"""The documented settings and the log of git-sync v4, as far as this test double goes."""

import json
import os
import re
import sys
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_TRUE = {"1", "t", "T", "true", "TRUE", "True"}
_FALSE = {"0", "f", "F", "false", "FALSE", "False", ""}


class ConfigError(Exception):
    """A setting that git-sync would refuse at its start."""


class SyncError(Exception):
    """One failed attempt to sync."""


def duration(text: str) -> float:
    """Seconds in a Go duration such as "1m30s"."""
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|h|m|s)", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ConfigError(f"invalid env value {text!r}: must be a duration")
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def boolean(text: str) -> bool:
    """A Go boolean."""
    if text not in _TRUE | _FALSE:
        raise ConfigError(f"invalid env value {text!r}: must be a boolean")
    return text in _TRUE


def integer(text: str) -> int:
    """A whole number."""
    try:
        return int(text)
    except ValueError:
        raise ConfigError(f"invalid env value {text!r}: must be an integer") from None


@dataclass
class Settings:
    """The documented GITSYNC_* settings with their defaults; times in seconds."""

    repo: str = ""
    ref: str = "HEAD"
    root: str = ""
    link: str = ""
    depth: int = 1
    submodules: str = "recursive"
    period: float = 10.0
    sync_timeout: float = 120.0
    one_time: bool = False
    max_failures: int = 0
    add_user: bool = False
    group_write: bool = False
    error_file: str = ""
    username: str = ""
    password: str = ""
    password_file: str = ""
    ssh_key_file: str = "/etc/git-secret/ssh"
    ssh_known_hosts: bool = True
    ssh_known_hosts_file: str = "/etc/git-secret/known_hosts"
    git_config: str = ""
    github_base_url: str = "https://api.github.com/"
    github_app_private_key_file: str = ""
    github_app_client_id: str = ""
    github_app_application_id: int = 0
    github_app_installation_id: int = 0
    http_bind: str = ""
    webhook_url: str = ""
    webhook_method: str = "POST"
    webhook_success_status: int = 200
    webhook_timeout: float = 1.0
    webhook_backoff: float = 3.0

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> "Settings":
        """Parse and check the environment as strictly as git-sync does."""
        settings = cls()
        for name, text in environ.items():
            if name.startswith("GIT_SYNC_"):
                raise ConfigError(f"{name} is a name of git-sync v3: this test double takes GITSYNC_* alone")
            if name.startswith("GITSYNC_"):
                settings._take(name, text)
        settings._check()
        return settings

    def _take(self, name: str, text: str) -> None:
        key = name.removeprefix("GITSYNC_").lower()
        if key not in self.__dataclass_fields__:
            raise ConfigError(f"this test double does not know {name}")
        default = getattr(self, key)
        parsers: dict[type, Callable[[str], object]] = {bool: boolean, int: integer, float: duration, str: str}
        # git-sync takes an empty variable for one that is not set.
        if text:
            setattr(self, key, parsers[type(default)](text))

    def git_options(self) -> dict[str, str]:
        """Options of `git_config`, a list of KEY:VALUE with commas between; quotes and escapes are not understood here."""
        if set(self.git_config) & set("\"'\\"):
            raise ConfigError("this test double does not understand quotes and escapes in GITSYNC_GIT_CONFIG")
        pairs = [part.strip().partition(":") for part in self.git_config.split(",") if part.strip()]
        if any(not (key and value) for key, _, value in pairs):
            raise ConfigError("invalid flag: --git-config must be a list of key:val")
        return {key: value for key, _, value in pairs}

    def _check_app(self) -> None:
        named = bool(self.github_app_client_id), bool(self.github_app_application_id)
        app = bool(self.github_app_private_key_file)
        for wrong, sentence in (
            (app and all(named), "invalid flag: only one of --github-app-application-id or --github-app-client-id may be specified"),
            (
                app and not any(named),
                "invalid flag: an id of the app must be specified when --github-app-private-key-file is",
            ),
            (app and not self.github_app_installation_id, "invalid flag: --github-app-installation-id must be specified"),
            (not app and (any(named) or self.github_app_installation_id), "invalid flag: a GitHub app needs a private key"),
            (app and self.username, "invalid flag: --github-app-private-key-file may not be specified when --username is specified"),
        ):
            if wrong:
                raise ConfigError(sentence)

    def _check(self) -> None:
        self._check_app()
        self.git_options()
        url = urllib.parse.urlsplit(self.repo)
        for wrong, sentence in (
            (not self.root, "required flag: --root must be specified"),
            (not self.repo, "required flag: --repo must be specified"),
            (self.depth < 0, "invalid flag: --depth must be greater than or equal to 0"),
            (self.submodules not in ("recursive", "shallow", "off"), 'invalid flag: --submodules must be "recursive", "shallow" or "off"'),
            (self.period < 0.01, "invalid flag: --period must be at least 10ms"),
            (self.sync_timeout < 0.01, "invalid flag: --sync-timeout must be at least 10ms"),
            (self.webhook_url and self.webhook_timeout < 1, "invalid flag: --webhook-timeout must be at least 1s"),
            (self.webhook_url and self.webhook_backoff < 1, "invalid flag: --webhook-backoff must be at least 1s"),
            (self.password and self.password_file, "invalid flag: only one of $GITSYNC_PASSWORD and --password-file may be specified"),
            (
                self.username and not (self.password or self.password_file),
                "required flag: $GITSYNC_PASSWORD or --password-file must be specified when --username is specified",
            ),
            (
                not self.username and (self.password or self.password_file),
                "invalid flag: a password may only be specified when --username is specified",
            ),
            (self.username and url.username, "invalid flag: credentials may not be specified in --repo when --username is specified"),
        ):
            if wrong:
                raise ConfigError(sentence)


class Log:
    """JSON lines on stderr, and the optional error file."""

    def __init__(self, error_file: Path | None) -> None:
        """Write errors to `error_file` too."""
        self._error_file = error_file

    def _write(self, fields: dict[str, object]) -> None:
        stamp = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
        print(json.dumps({"logger": "", "ts": stamp, **fields}, separators=(",", ":")), file=sys.stderr, flush=True)

    def info(self, message: str, **fields: object) -> None:
        """Say what happens."""
        self._write({"level": 0, "msg": message, **fields})

    def error(self, error: object, message: str, **fields: object) -> None:
        """Say what failed, and leave it in the error file."""
        self._write({"msg": message, "error": str(error), **fields})
        if self._error_file:
            self._error_file.parent.mkdir(parents=True, exist_ok=True)
            unfinished = self._error_file.with_name(f"tmp-err-{os.getpid()}")
            unfinished.write_text(json.dumps({"Msg": message, "Err": str(error), "Args": fields}, separators=(",", ":")))
            unfinished.replace(self._error_file)

    def all_is_well(self) -> None:
        """Remove the error file."""
        if self._error_file:
            self._error_file.unlink(missing_ok=True)
