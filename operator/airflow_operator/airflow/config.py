"""The operator's own defaults of airflow.cfg, each with its reason, and what it owns there."""

from __future__ import annotations

from collections.abc import Mapping

Config = dict[str, dict[str, str]]
"""Section -> option -> value, as airflow.cfg writes them."""

LONGEST_REFRESH = 10
"""Seconds; a new file is listed at a refresh only, and a listing costs next to nothing."""


def defaults(git_period: float | None) -> Config:
    """Defaults that give way to `spec.config`; `git_period` in seconds where DAGs come from git."""
    refresh = max(1, min(LONGEST_REFRESH, int(git_period or LONGEST_REFRESH)))
    return {
        "core": {"load_examples": "False"},
        # Without one Airflow makes up an issuer from its own host name, which differs between replicas.
        "api_auth": {"jwt_issuer": "airflow"},
        "scheduler": {
            # A killed scheduler's tasks wait this long for adoption (Airflow: 300 s).
            "orphaned_tasks_check_interval": "60",
        },
        # Airflow looks for new files only every 300 s; a pushed commit should show after git-sync's own period.
        "dag_processor": {"refresh_interval": str(refresh)},
        "workers": {
            # A restart or a busy moment of the API server must not fail tasks (Airflow: 5 tries of 5 s).
            "execution_api_timeout": "30",
            "execution_api_retries": "15",
            "execution_api_retry_wait_max": "10",
            "max_failed_heartbeats": "10",
        },
    }


def merge(*layers: Mapping[str, Mapping[str, object]]) -> Config:
    """Layers of configuration in one; the last wins, option by option."""
    merged: Config = {}
    for layer in layers:
        for section, options in layer.items():
            merged.setdefault(section, {}).update({option: str(value) for option, value in options.items()})
    return merged


def render(config: Config) -> str:
    """The text of airflow.cfg, sections and options sorted, so that equal settings make equal text."""
    lines: list[str] = []
    for section in sorted(config):
        lines.append(f"[{section}]")
        lines += [f"{option} = {_escaped(config[section][option])}" for option in sorted(config[section])]
        lines.append("")
    return "\n".join(lines)


def _escaped(value: str) -> str:
    """A literal value as configparser reads it back: a percent sign is doubled, further lines are indented.

    A carriage return ends a line for it too, so that what follows could name another option.
    """
    lines = value.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return "\n\t".join(lines).replace("%", "%%")
