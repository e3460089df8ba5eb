"""How late the event loop runs: an operator that hangs must be restarted."""

from __future__ import annotations

import asyncio

TICK = 0.5
MOST = 5.0


class LagMeter:
    """Measures by how many seconds a short sleep overslept."""

    def __init__(self) -> None:
        self.worst = 0.0

    async def run(self) -> None:
        """Measure until cancelled."""
        clock = asyncio.get_running_loop().time
        while True:
            began = clock()
            await asyncio.sleep(TICK)
            self.worst = max(self.worst, clock() - began - TICK)

    def take(self) -> float:
        """The worst lag since the last call, in seconds."""
        worst, self.worst = self.worst, 0.0
        return worst
