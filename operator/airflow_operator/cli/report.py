"""`airflow-operator report --security FILE`: what the pods of a file hold and may do, for whoever has to approve it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from airflow_operator.domain.manifest import Manifest, dig, key_of
from airflow_operator.reconcile.security_report import PodFacts, pods_of

_WIDTH = 14


def lines(manifests: Sequence[Manifest]) -> Iterator[str]:
    """The report; values of Secrets are in none of it."""
    pods = pods_of(manifests)
    lesser = [pod for pod in pods if pod.level != "restricted"]
    yield f"{len(pods)} kinds of pods, {len(pods) - len(lesser)} at Pod Security level restricted" + (
        f"; not so: {', '.join(pod.title for pod in lesser)}" if lesser else ""
    )
    for pod in pods:
        yield ""
        yield from _of_pod(pod)
    yield ""
    yield from _doors(manifests)


def _of_pod(pod: PodFacts) -> Iterator[str]:
    yield pod.title
    yield from _row("Pod Security", [pod.level, *(f"not restricted: {fault}" for fault in pod.faults)])
    yield from _row("Images", pod.images)
    yield from _row("Identity", [_identity(pod)])
    yield from _row("Rights", pod.rights or ["none in Kubernetes"])
    yield from _row("Secrets", [f"{name}: {', '.join(uses)}" for name, uses in pod.secrets.items()] or ["none"])
    yield from _row("Addresses", pod.reaches or ["none in its settings"])


def _identity(pod: PodFacts) -> str:
    account = f"ServiceAccount {pod.account or 'default'}"
    rest = ", which is not made here: what else it may do is not known" if pod.brought else ""
    return f"{account}, {'with' if pod.token else 'without'} a token{rest}"


def _row(title: str, values: Iterable[str]) -> Iterator[str]:
    for position, value in enumerate(values):
        yield f"  {title if position == 0 else '':{_WIDTH}}{value}"


def _doors(manifests: Iterable[Manifest]) -> Iterator[str]:
    """What lets others in, and what limits who may go where."""
    yield "Network"
    policies = [item for item in manifests if item["kind"] == "NetworkPolicy"]
    for item in manifests:
        if item["kind"] == "Service":
            ports = ", ".join(str(port["port"]) for port in item["spec"]["ports"])
            yield f"  {key_of(item)}: port {ports}, within the Kubernetes cluster"
        if item["kind"] == "Ingress":
            yield from (f"  {key_of(item)}: host {rule['host']}, from outside" for rule in item["spec"]["rules"])
        if item["kind"] == "HTTPRoute":
            gateways = ", ".join("/".join(filter(None, (dig(ref, "namespace"), ref["name"]))) for ref in item["spec"]["parentRefs"])
            yield f"  {key_of(item)}: host {', '.join(item['spec']['hostnames'])}, by Gateway {gateways}"
    inwards = f"limited by {', '.join(item['metadata']['name'] for item in policies)}" if policies else "not limited by a NetworkPolicy"
    yield f"  Who may reach the pods: {inwards}"
    outwards = [item for item in policies if "Egress" in item["spec"]["policyTypes"]]
    yield f"  What the pods may reach: {'limited' if outwards else 'not limited'} by a NetworkPolicy"
