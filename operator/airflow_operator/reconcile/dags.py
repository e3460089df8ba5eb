"""What git-sync says about the DAG sources: the commit it reported, or its own words when it fails."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from airflow_operator.api import AirflowClusterSpec
from airflow_operator.domain.manifest import Live, dig
from airflow_operator.reconcile.types import Condition

_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")


def synced(spec: AirflowClusterSpec, pods: Sequence[Live], commits: Mapping[str, str]) -> Condition | None:
    """DagsSynced; None where no DAGs come from git. `pods` are those of the dag-processor."""
    if not spec.dags:
        return None
    # A pod that is being replaced speaks of what was declared before.
    staying = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
    if words := next((words for pod in staying if (words := complaint(pod))), ""):
        return Condition("DagsSynced", "False", "GitSyncFailed", f"git-sync: {words}")
    missing = [entry.name for entry in spec.dags if entry.name not in commits]
    if not missing:
        return Condition("DagsSynced", "True", "Synced", "The DAGs are those of the commits in status.dags.")
    if _syncing(staying):
        return Condition("DagsSynced", "True", "Synced", "git-sync works; it has not reported the commit to the operator.")
    return Condition("DagsSynced", "False", "Syncing", "The repository has not been fetched yet.", waiting=True)


def table(spec: AirflowClusterSpec, commits: Mapping[str, str]) -> list[dict[str, Any]]:
    """status.dags: each entry with what it follows and the commit that was synced last."""
    made = []
    for entry in spec.dags:
        row = {"name": entry.name, "ref": entry.git.ref if entry.git else None, "commit": commits.get(entry.name)}
        made.append({key: value for key, value in row.items() if value})
    return made


def known_commits(spec: AirflowClusterSpec, seen: Mapping[str, str], last_status: Live) -> dict[str, str]:
    """What was reported to this process, over what an earlier one wrote down of the same ref: git-sync speaks of each commit once."""
    refs = {entry.name: entry.git.ref for entry in spec.dags if entry.git}
    rows = [row for row in dig(last_status, "dags", default=[]) if row.get("commit") and row.get("ref") == refs.get(row["name"])]
    return {**{row["name"]: row["commit"] for row in rows}, **seen}


def _syncing(pods: Sequence[Live]) -> bool:
    """Whether a git-sync sidecar passed its startup probe, which it does after its first sync."""
    return any(
        status["name"].startswith("git-sync") and status.get("started")
        for pod in pods
        for status in dig(pod, "status", "containerStatuses", default=[])
    )


def complaint(pod: Live) -> str:
    """What git-sync says in this pod; empty where it works."""
    for field, back in (("initContainerStatuses", "ready"), ("containerStatuses", "started")):
        for status in dig(pod, "status", field, default=[]):
            if status["name"].startswith("git-sync") and (words := _failure(status, back)):
                return words
    return ""


def _failure(status: Live, back: str) -> str:
    """git-sync's last words while it is down or has not come back; empty while it works.

    `back` is what shows that it works again: a sidecar passes its startup probe, an init container ends well. During its back-off
    Kubernetes shows `terminated` for it, later `waiting` with the words in `lastState`.
    """
    if dig(status, "state", "running"):
        ended = dig(status, "lastState", "terminated", default={})
        return _words(ended) if ended.get("exitCode") and not status.get(back) else ""
    ended = dig(status, "state", "terminated") or dig(status, "lastState", "terminated") or {}
    return _words(ended) if ended.get("exitCode") else ""


def _words(ended: Live) -> str:
    """The git text in the last whole log line, which is JSON; the message may begin in the middle of a line."""
    for line in reversed((ended.get("message") or "").strip().splitlines()):
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict) and (entry.get("error") or entry.get("err") or entry.get("msg")):
            text = str(entry.get("error") or entry.get("err") or entry.get("msg"))
            return _CREDENTIALS.sub("", " ".join(text.split()))[:600]
    return f"exit code {ended.get('exitCode')}"
