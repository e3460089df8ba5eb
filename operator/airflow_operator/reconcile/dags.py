"""What git-sync says about the DAG sources: the commit it reported, or its own words when it fails."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from airflow_operator.api import AirflowClusterSpec
from airflow_operator.api.dags import DAGS_FOLDER, ONCE, DagSource
from airflow_operator.domain.manifest import Live, dig
from airflow_operator.reconcile.types import Condition

LONGEST_WORDS = 600
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")
_ESCAPED_BREAK = re.compile(r"(?:\\+[rnt])+")
_END = re.compile(r"(?:\\+\")?\s*\}?\"(?:,\s*\"\w+\":[^,{}\"]+)*\}$")
"""The end of a log line behind git's text."""


def synced(spec: AirflowClusterSpec, pods: Sequence[Live], commits: Mapping[str, str]) -> Condition | None:
    """DagsSynced; None where no DAGs come from git. `pods` are those of the component that parses DAGs."""
    if not _synced(spec):
        return None
    # A pod that is being replaced speaks of what was declared before.
    staying = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
    if found := next((found for pod in staying if (found := _complaint(pod))), None):
        whose = f" of {entry_of(found[0])}" if len(_synced(spec)) > 1 else ""
        return Condition("DagsSynced", "False", "GitSyncFailed", f"git-sync{whose}: {found[1]}")
    followed = [entry.name for entry in _synced(spec) if entry.git and entry.git.period != ONCE]
    if not followed and _fetched(staying):
        return Condition("DagsSynced", "True", "Synced", "Each pod fetched the DAGs when it started.")
    if followed and all(name in commits for name in followed):
        return Condition("DagsSynced", "True", "Synced", "The DAGs are those of the commits in status.dags.")
    if followed and _syncing(staying):
        return Condition("DagsSynced", "True", "Synced", "git-sync works; it has not reported the commit to the operator.")
    return Condition("DagsSynced", "False", "Syncing", "The repository has not been fetched yet.", waiting=True)


def table(spec: AirflowClusterSpec, commits: Mapping[str, str], last_status: Live) -> list[dict[str, Any]]:
    """status.dags: each entry with the commit that was synced last, and what that is a commit of.

    Until another repository or ref reports its first commit, this is what ran before it, and still does: should it be declared again,
    nobody would report its commit a second time.
    """
    synced_before = {row["name"]: row for row in dig(last_status, "dags", default=[]) if row.get("commit")}
    made = []
    for entry in spec.dags:
        follows = {"repo": entry.git.repo, "ref": entry.git.ref} if entry.git else {}
        row = {"name": entry.name, **follows, "commit": commits.get(entry.name)}
        if entry in _synced(spec) and not row["commit"]:
            row = synced_before.get(entry.name, row)
        made.append({key: value for key, value in row.items() if value})
    return made


def known_commits(spec: AirflowClusterSpec, seen: Mapping[str, str], last_status: Live) -> dict[str, str]:
    """What was reported to this process, over what an earlier one wrote down of the same repository and ref.

    git-sync speaks of each commit once.
    """
    follows = {entry.name: (entry.git.repo, entry.git.ref) for entry in spec.dags if entry.git}
    rows = [row for row in dig(last_status, "dags", default=[]) if row.get("commit")]
    same = [row for row in rows if (row.get("repo"), row.get("ref")) == follows.get(row["name"])]
    return {**{row["name"]: row["commit"] for row in same}, **seen}


def gone(spec: AirflowClusterSpec, last_status: Live) -> list[str]:
    """Entries that the last status names and the spec does not: removed, or renamed."""
    kept = {entry.name for entry in spec.dags}
    return [row["name"] for row in dig(last_status, "dags", default=[]) if row["name"] not in kept]


def farewell(name: str) -> str:
    """What a person should know of an entry that is gone."""
    return (
        f"spec.dags no longer has an entry {name}. Its DAGs are not scheduled any more unless another entry has them. Their runs stay in "
        "the database, and can be repeated once an entry of that name is back."
    )


def complaint(pod: Live) -> str:
    """What git-sync says in this pod; empty where it works."""
    found = _complaint(pod)
    return found[1] if found else ""


def entry_of(container: str) -> str:
    """The entry that a git-sync container works for."""
    for stem in ("git-sync-init", "git-sync-of"):
        if container.startswith(f"{stem}-"):
            return container.removeprefix(f"{stem}-")
    return DAGS_FOLDER


def _synced(spec: AirflowClusterSpec) -> list[DagSource]:
    """The entries that git-sync fetches."""
    return [entry for entry in spec.dags if entry.git and entry.git.delivery == "Sidecar"]


def _syncing(pods: Sequence[Live]) -> bool:
    """Whether the git-sync sidecars of a pod passed their startup probes, which they do after their first sync."""
    return any(all(status.get("started") for status in found) for pod in pods if (found := _ours(pod, "containerStatuses")))


def _fetched(pods: Sequence[Live]) -> bool:
    """Whether the first syncs of a pod ended well."""
    return any(all(status.get("ready") for status in found) for pod in pods if (found := _ours(pod, "initContainerStatuses")))


def _ours(pod: Live, field: str) -> list[Live]:
    return [status for status in dig(pod, "status", field, default=[]) if status["name"].startswith("git-sync")]


def _complaint(pod: Live) -> tuple[str, str] | None:
    """(container, words) of the first git-sync that fails."""
    for field, back in (("initContainerStatuses", "ready"), ("containerStatuses", "started")):
        for status in _ours(pod, field):
            if words := _failure(status, back):
                return status["name"], words
    return None


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
    lines = (ended.get("message") or "").strip().splitlines()
    for line in reversed(lines):
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict) and (entry.get("error") or entry.get("err") or entry.get("msg")):
            return _shortened(_sentences(str(entry.get("error") or entry.get("err") or entry.get("msg"))))
    if lines and lines[-1].endswith("}"):
        # One line longer than all that is kept of it (ssh has much to say about a changed host key); its first sentence is cut.
        return _shortened(_sentences(_END.sub("", lines[-1]))[1:]) or f"exit code {ended.get('exitCode')}"
    return f"exit code {ended.get('exitCode')}"


def _sentences(text: str) -> list[str]:
    """The lines of a text in which line breaks may be escaped."""
    return [line for part in _ESCAPED_BREAK.sub("\n", text).splitlines() if (line := " ".join(part.split()))]


def _shortened(sentences: list[str]) -> str:
    """What fits, from the end: there stands what git made of it all."""
    kept: list[str] = []
    for sentence in reversed(sentences):
        if kept and len(sentence) + sum(len(item) + 1 for item in kept) > LONGEST_WORDS:
            break
        kept.insert(0, sentence[:LONGEST_WORDS])
    return _CREDENTIALS.sub("", " ".join(kept))
