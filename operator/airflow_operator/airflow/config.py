"""airflow.cfg: the layers that it is made of, and its text."""

from __future__ import annotations

from collections.abc import Mapping

from airflow_operator.airflow.facts import Release

Config = dict[str, dict[str, str]]
"""Section -> option -> value, as airflow.cfg writes them."""

LONGEST_REFRESH = 10
"""Seconds; a new file is listed at a refresh only, and a listing costs next to nothing."""


def defaults(release: Release, git_period: float | None) -> Config:
    """Defaults that give way to `spec.config`; `git_period` in seconds where DAGs come from git."""
    # Airflow looks for new files only every 300 s; a pushed commit should show after git-sync's own period.
    seconds = max(1, min(LONGEST_REFRESH, int(git_period or LONGEST_REFRESH)))
    section, option = release.refresh
    return merge(release.defaults, {section: {option: str(seconds)}})


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
