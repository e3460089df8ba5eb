"""A small judge of NetworkPolicies, by the rules of their documentation: what no network plugin of the test bed would show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Place:
    """A pod, by what policies look at."""

    namespace: str
    labels: Mapping[str, str]
    namespace_labels: Mapping[str, str]


def lets_in(policies: Sequence[Mapping[str, Any]], target: Place, source: Place, port: int, protocol: str = "TCP") -> bool:
    """Whether a connection from `source` to a port of `target` passes: policies that select a pod add up, without any all passes."""
    ours = [
        policy
        for policy in policies
        if policy["metadata"]["namespace"] == target.namespace
        and "Ingress" in policy["spec"]["policyTypes"]
        and _selects(policy["spec"]["podSelector"], target.labels)
    ]
    rules = [rule for policy in ours for rule in policy["spec"].get("ingress", [])]
    return not ours or any(_passes(rule, target, source, port, protocol) for rule in rules)


def _passes(rule: Mapping[str, Any], target: Place, source: Place, port: int, protocol: str) -> bool:
    ports = rule.get("ports")
    if ports and not any(item["port"] == port and item.get("protocol", "TCP") == protocol for item in ports):
        return False
    peers = rule.get("from")
    return not peers or any(_is(peer, target, source) for peer in peers)


def _is(peer: Mapping[str, Any], target: Place, source: Place) -> bool:
    if "namespaceSelector" in peer:
        if not _selects(peer["namespaceSelector"], source.namespace_labels):
            return False
    elif source.namespace != target.namespace:
        return False
    return _selects(peer.get("podSelector", {}), source.labels)


def _selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    assert set(selector) <= {"matchLabels"}, "the judge knows no other selector"
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())
