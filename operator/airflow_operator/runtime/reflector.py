"""Watches the metadata of Secrets and ConfigMaps and wakes the clusters that refer to one that changed.

Users' objects do not bear our labels, so they cannot be selected on the server; their contents never come here.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial

from airflow_operator.domain import labels
from airflow_operator.domain.kinds import CONFIG_MAP, SECRET
from airflow_operator.domain.manifest import Kind, Live, dig
from airflow_operator.kube.errors import ApiError, Forbidden, NotFound
from airflow_operator.kube.protocol import Kube
from airflow_operator.runtime.wakeups import References, Wakeups

log = logging.getLogger("airflow_operator.reflector")

REFERENCED = (SECRET, CONFIG_MAP)
"""Kinds that a spec refers to by name."""

PAUSE = 1.0
"""Between two watches, in seconds: a server that ends each one at once is not hammered."""
ABSENT_PAUSE = 300.0
"""Between two looks for a kind that is not installed."""
LONGEST_PAUSE = 30.0
"""After many failures in a row."""


Watch = Coroutine[None, None, None]
May = Callable[[], Awaitable[bool]]
"""Whether a watch may begin."""


async def always() -> bool:
    """Nobody takes it back."""
    return True


class Reflector:
    """Knows which versions were seen, so that a list after a broken watch tells nothing twice."""

    def __init__(self, references: References, wakeups: Wakeups) -> None:
        """Nothing is watched yet."""
        self._references = references
        self._wakeups = wakeups
        self._versions: dict[tuple[str, str, str], str] = {}

    def watches(self, kube: Kube, namespace: str, *, may: May = always) -> list[Watch]:
        """One for each kind in a namespace (empty: in all), each to be run until it is cancelled; `may`: see `follow`."""
        return [follow(kube, kind, namespace, partial(self.noticed, kind), may=may) for kind in REFERENCED]

    def noticed(self, kind: Kind, event: str, live: Live) -> None:
        """Wake who refers to the object, if it is one that changed since it was last seen."""
        meta = live["metadata"]
        key = (kind.kind, meta["namespace"], meta["name"])
        if dig(meta, "labels", labels.MANAGED_BY) == labels.MANAGER:
            return  # seen through its labels already
        users = self._references.users(*key)
        if not users or event == "DELETED":
            self._versions.pop(key, None)
        elif self._versions.get(key) == meta["resourceVersion"]:
            return  # told again, by a list after a broken watch
        else:
            self._versions[key] = meta["resourceVersion"]
        for user in users:
            self._wakeups.wake(user)


def nobody(came: bool) -> None:
    """Nobody waits for a list."""


async def follow(
    kube: Kube,
    kind: Kind,
    namespace: str,
    noticed: Callable[[str, Live], None],
    *,
    labels: str = "",
    may: May = always,
    listed: Callable[[bool], None] = nobody,
) -> None:
    """Watch the metadata of a kind until `may`, which is asked before each start, says no; `noticed` gets each event.

    `listed` is told of each list whether it came; of a kind that is not installed there is nothing to list.
    """
    where = f"{kind.plural} in {namespace or 'all namespaces'}"
    failures = 0
    while True:
        pause = PAUSE
        try:
            if not await may():
                return
            async for event, live in kube.watch_metadata(kind, namespace, labels=labels, listed=partial(listed, True)):
                failures = 0
                noticed(event, live)
        except Exception as error:
            failures += 1
            listed(isinstance(error, NotFound))
            # A kind that is not installed may be some day; until then nobody waits for it.
            pause = ABSENT_PAUSE if isinstance(error, NotFound) else min(PAUSE * 2.0**failures, LONGEST_PAUSE)
            _report(where, error, failures)
        await asyncio.sleep(pause * random.uniform(0.8, 1.2))


def _report(where: str, error: Exception, failures: int) -> None:
    if not isinstance(error, ApiError):
        log.error("watch of %s failed", where, exc_info=error)
    elif isinstance(error, Forbidden) and failures == 1:
        log.warning("%s cannot be watched: %s", where, error.message)
    else:
        log.info("watch of %s ended: %s", where, error)
