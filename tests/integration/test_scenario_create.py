"""From `kubectl apply` to Ready on a real API server, with the whole operator and pods that are played."""

from __future__ import annotations

import pytest

from airflow_operator.domain.manifest import dig
from tests.integration.scenario import Stage, base, cluster

pytestmark = pytest.mark.integration


async def test_create_to_ready(stage: Stage) -> None:
    async with stage.operator():
        await stage.apply(base(), cluster())
        made = await stage.ready()
        assert dig(made, "status", "phase") == "Running"
        assert dig(made, "status", "schedulers") == "1/1"
        await stage.quiet()
    print("\n".join(stage.audit.writes()))
    print(stage.audit.writes(client="kopf"))
    print(await stage.events(), await stage.events("platform"))
