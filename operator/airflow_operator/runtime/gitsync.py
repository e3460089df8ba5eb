"""What git-sync last told this process about each source of DAGs."""

from __future__ import annotations

import asyncio
import hmac
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Literal

Answer = Literal["recorded", "refused", "unexpected"]

_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


class GitSyncNews:
    """Commits by cluster and DAG entry, in memory until the status names them: git-sync tells each one until it is taken.

    The token in the webhook's path belongs to one entry of one cluster, so a tenant can only lie about itself.
    """

    def __init__(self) -> None:
        self._tokens: dict[tuple[str, str], dict[str, str]] = {}
        self._commits: dict[tuple[str, str], dict[str, str]] = {}
        self._kept: dict[tuple[str, str], dict[str, str]] = {}
        self._turn = asyncio.Event()

    def expect(self, namespace: str, cluster: str, tokens: Mapping[str, str]) -> None:
        """Accept news of each entry from who knows its token. Another token is another repository: its commit is not known yet."""
        known = self._tokens.get((namespace, cluster), {})
        for entry, token in tokens.items():
            if known.get(entry, token) != token:
                self._commits.get((namespace, cluster), {}).pop(entry, None)
        self._tokens[namespace, cluster] = {**known, **tokens}

    def expects(self, namespace: str, cluster: str) -> bool:
        """Whether this process knows what news of a cluster to expect, be it none."""
        return (namespace, cluster) in self._tokens

    def commit(self, namespace: str, cluster: str, entry: str) -> str | None:
        """The commit that git-sync last checked out; None while this process has not heard of it."""
        return self._commits.get((namespace, cluster), {}).get(entry)

    def commits(self, namespace: str, cluster: str) -> dict[str, str]:
        """The same for all entries of a cluster that were heard of."""
        return dict(self._commits.get((namespace, cluster), {}))

    def forget(self, namespace: str, cluster: str) -> None:
        """The cluster is gone."""
        self._tokens.pop((namespace, cluster), None)
        self._commits.pop((namespace, cluster), None)
        self._kept.pop((namespace, cluster), None)

    def keep(self, namespace: str, cluster: str, commits: Mapping[str, str]) -> None:
        """The status names these commits: they outlive this process."""
        self._kept[(namespace, cluster)] = dict(commits)
        self._turn.set()
        self._turn = asyncio.Event()

    async def is_kept(self, namespace: str, cluster: str, entry: str, commit: str, *, within: float) -> bool:
        """Whether the status names a commit within this time (seconds)."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                while self._kept.get((namespace, cluster), {}).get(entry) != commit:
                    await self._turn.wait()
                return True
        return False

    def record(self, namespace: str, cluster: str, entry: str, token: str, commit: str) -> Answer:
        """Take in one call of the webhook.

        `unexpected`: this process does not know the entry yet (it has just started): git-sync should try again.
        """
        expected = self._tokens.get((namespace, cluster), {}).get(entry)
        if expected is None:
            return "unexpected"
        if not hmac.compare_digest(expected.encode(), token.encode()) or not _COMMIT.fullmatch(commit):
            return "refused"
        self._commits.setdefault((namespace, cluster), {})[entry] = commit
        return "recorded"
