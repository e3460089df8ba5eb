"""A route of the Gateway API, judged by its real CRDs; a cluster without them is told so and heals."""

from __future__ import annotations

import asyncio
import json
import subprocess
from pathlib import Path

import pytest

from airflow_operator.domain.kinds import HTTP_ROUTE
from airflow_operator.domain.manifest import Live, dig
from devcluster.golang import find_go
from tests.integration.scenario import CLUSTER, Stage, cluster

pytestmark = pytest.mark.integration

MODULE = "sigs.k8s.io/gateway-api@v1.4.0"
GATEWAY = {"parentRefs": [{"name": "public", "namespace": "gateways", "sectionName": "https"}]}


def crd() -> Path:
    """The CRD of HTTPRoute as the Gateway API's own module carries it."""
    done = subprocess.run([find_go(), "mod", "download", "-json", MODULE], capture_output=True, text=True, check=True, timeout=120)
    return Path(json.loads(done.stdout)["Dir"]) / "config/crd/standard/gateway.networking.k8s.io_httproutes.yaml"


async def accept(stage: Stage, route: Live) -> None:
    """What a Gateway's controller says of a route that it takes."""
    conditions = [
        {
            "type": kind,
            "status": "True",
            "reason": kind,
            "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
            "observedGeneration": route["metadata"]["generation"],
        }
        for kind in ("Accepted", "ResolvedRefs")
    ]
    parent = {"controllerName": "example.com/gateway", "parentRef": GATEWAY["parentRefs"][0], "conditions": conditions}
    patch = json.dumps({"status": {"parents": [parent]}})
    name = route["metadata"]["name"]
    await asyncio.to_thread(
        stage.kubectl, "patch", "httproutes.gateway.networking.k8s.io", name, "--subresource=status", "--type=merge", "-p", patch
    )


async def test_a_gateway_waits_for_its_crds_and_then_for_its_controller(stage: Stage) -> None:
    async with stage.operator(resync=1.0):
        await stage.up(cluster(externalURL="https://airflow.example.com", ingress={}))
        await stage.edit_spec(gateway=GATEWAY, ingress=None)
        await stage.says("GatewayAvailable", "False", "GatewayApiMissing")
        await stage.says("Ready", "False", "GatewayApiMissing")

        await asyncio.to_thread(stage.kubectl, "apply", "--server-side", "-f", str(crd()))
        await stage.says("GatewayAvailable", "False", "WaitingForGateway")
        route = await stage.must_get(HTTP_ROUTE, f"{CLUSTER}-api-server")
        assert dig(route, "spec", "hostnames") == ["airflow.example.com"]

        await accept(stage, route)
        await stage.ready()
        await stage.settled()
        stage.audit.reset()
        # Three times its resync.
        await stage.quiet(3.0)
        assert stage.audit.writes() == []

        await stage.edit_spec(gateway=None)
        await stage.gone(HTTP_ROUTE, f"{CLUSTER}-api-server")
        await stage.ready()
