"""Whether the Gateways that the spec names take the route to the API server."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from airflow_operator.domain.kinds import HTTP_ROUTE
from airflow_operator.domain.manifest import Live, dig
from airflow_operator.reconcile.types import Condition
from airflow_operator.reconcile.validate import ValidatedCluster


def findings(cluster: ValidatedCluster, children: Iterable[Live]) -> Iterator[Condition]:
    """One condition where a gateway is asked for; nothing else."""
    if cluster.spec.gateway is None:
        return
    if HTTP_ROUTE in cluster.absent:
        message = (
            "spec.gateway needs the kind HTTPRoute (gateway.networking.k8s.io/v1), which this Kubernetes cluster does not know: "
            "install the CRDs of the Gateway API, or use spec.ingress."
        )
        yield Condition("GatewayAvailable", "False", "GatewayApiMissing", message)
        return
    route = next((child for child in children if child["kind"] == HTTP_ROUTE.kind), None)
    yield _told(route, len(cluster.spec.gateway.parent_refs))


def _told(route: Live | None, wanted: int) -> Condition:
    """What the controllers of the Gateways say about the route as it is now."""
    generation = dig(route, "metadata", "generation", default=0)
    said = [
        {item["type"]: item for item in dig(parent, "conditions", default=[]) if item.get("observedGeneration", generation) == generation}
        for parent in dig(route, "status", "parents", default=[])
    ]
    for conditions in said:
        for name in ("Accepted", "ResolvedRefs"):
            if dig(conditions, name, "status") == "False":
                words = dig(conditions, name, "message") or dig(conditions, name, "reason", default="")
                return Condition("GatewayAvailable", "False", "NotAccepted", f"A Gateway does not take the route: {words}")
    if sum(dig(conditions, "Accepted", "status") == "True" for conditions in said) >= wanted:
        return Condition("GatewayAvailable", "True", "Accepted", "Every Gateway has taken the route.")
    return Condition("GatewayAvailable", "False", "WaitingForGateway", "Not every Gateway has taken the route yet.", waiting=True)
