"""One of several replicas works, the others stand by: a Lease of coordination.k8s.io, held as client-go's leader election holds it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from airflow_operator.domain.kinds import GROUP, LEASE
from airflow_operator.domain.manifest import Live, dig
from airflow_operator.domain.permissions import OPERATOR_LEASE as NAME
from airflow_operator.kube.errors import AlreadyExists, ApiError, Conflict
from airflow_operator.kube.protocol import Kube
from airflow_operator.runtime.context import utc_now

log = logging.getLogger("airflow_operator.leader")

WEBHOOK = f"{GROUP}/webhook"
"""Annotation of the Lease: where its holder takes git-sync's calls."""


class NotLeading(Exception):
    """A write was asked for while another replica may have taken over."""


@dataclass(frozen=True)
class Timing:
    """Seconds; client-go's words."""

    duration: float
    """How long a Lease that nobody renews keeps the others waiting."""
    renew_deadline: float
    """How long its holder works on without having renewed it; below `duration`, so that two never work at once."""
    retry_period: float


class Leader:
    """This replica's claim to the Lease of one operator."""

    def __init__(
        self, kube: Kube, namespace: str, identity: str, timing: Timing, *, webhook: str = "", clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`identity` is unique among the replicas; `webhook` is the base URL of this replica's webhook.

        The clock runs on while a process is stopped: one that was frozen knows that its time is over.
        """
        self._kube = kube
        self._namespace = namespace
        self._identity = identity
        self._timing = timing
        self._webhook = webhook
        self._clock = clock
        self._renewed = float("-inf")
        self._seen: tuple[str, float] = ("", float("-inf"))
        self._holder = ""
        self._holder_webhook = ""

    @property
    def holder_webhook(self) -> str:
        """Base URL of the webhook of the replica that leads, as far as this one knows."""
        return self._holder_webhook

    def leads(self) -> bool:
        """Whether nobody else can hold the Lease now."""
        return self._clock() - self._renewed < self._timing.renew_deadline

    def require(self) -> None:
        """Raises NotLeading unless this replica leads."""
        if not self.leads():
            raise NotLeading("another replica may lead by now: nothing is written")

    async def take(self) -> None:
        """Wait until the Lease is ours."""
        told = ""
        while not await self._try():
            holder = self._holder
            if holder and holder != told:
                log.info("standing by: %s leads", holder)
                told = holder
            await asyncio.sleep(self._timing.retry_period)
        log.info("leading as %s", self._identity)

    async def keep(self) -> None:
        """Renew the Lease for ever; returns when it is lost."""
        while self.leads():
            await asyncio.sleep(self._timing.retry_period)
            await self._try()

    async def give_up(self) -> None:
        """Let the next replica begin at once."""
        if not self.leads():
            return
        with suppress(ApiError, TimeoutError):
            async with asyncio.timeout(self._timing.retry_period):
                live = await self._kube.get(LEASE, self._namespace, NAME)
                if live and dig(live, "spec", "holderIdentity") == self._identity:
                    await self._write(live, {**live["spec"], "holderIdentity": "", "leaseDurationSeconds": 1}, "")
        self._renewed = float("-inf")

    async def _try(self) -> bool:
        """One attempt to take or renew; False where another holds the Lease, or the API server does not answer."""
        asked = self._clock()
        try:
            async with asyncio.timeout(self._timing.renew_deadline):
                live = await self._kube.get(LEASE, self._namespace, NAME)
                if live is not None and not self._free(live):
                    return False
                await (self._make() if live is None else self._write(live, self._spec(live), self._webhook))
        except (AlreadyExists, Conflict):
            return False
        except (ApiError, TimeoutError) as error:
            log.warning("the Lease could not be renewed: %s", str(error) or "it did not answer in time")
            return False
        # From before the request: the others count from when it arrived.
        self._renewed = asked
        return True

    def _free(self, live: Live) -> bool:
        """Whether the Lease is ours, nobody's, or has not been renewed for its duration while we looked: clocks are never compared."""
        self._holder = str(dig(live, "spec", "holderIdentity", default=""))
        if self._holder in ("", self._identity):
            return True
        self._holder_webhook = str(dig(live, "metadata", "annotations", WEBHOOK, default=""))
        version = live["metadata"]["resourceVersion"]
        if self._seen[0] != version:
            self._seen = (version, self._clock())
        duration = float(dig(live, "spec", "leaseDurationSeconds", default=self._timing.duration))
        return self._clock() - self._seen[1] >= duration

    def _spec(self, live: Live | None) -> dict[str, Any]:
        last, now = dig(live, "spec", default={}), utc_now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        ours = last.get("holderIdentity") == self._identity
        return {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": max(1, round(self._timing.duration)),
            "acquireTime": last["acquireTime"] if ours else now,
            "renewTime": now,
            "leaseTransitions": int(last.get("leaseTransitions") or 0) + (0 if ours or live is None else 1),
        }

    async def _make(self) -> None:
        meta = {"name": NAME, "namespace": self._namespace, "annotations": {WEBHOOK: self._webhook}}
        await self._kube.create({"apiVersion": LEASE.api_version, "kind": LEASE.kind, "metadata": meta, "spec": self._spec(None)})

    async def _write(self, live: Live, spec: dict[str, Any], webhook: str) -> None:
        guard = {"op": "replace", "path": "/metadata/resourceVersion", "value": live["metadata"]["resourceVersion"]}
        notes = {**dig(live, "metadata", "annotations", default={}), WEBHOOK: webhook}
        change = [guard, {"op": "add", "path": "/metadata/annotations", "value": notes}, {"op": "add", "path": "/spec", "value": spec}]
        await self._kube.patch(LEASE, self._namespace, NAME, change)
