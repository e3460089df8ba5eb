"""The route of a Gateway, and what its controllers say about it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_operator.domain.kinds import HTTP_ROUTE
from airflow_operator.domain.manifest import dig
from airflow_operator.reconcile import gateway
from airflow_operator.reconcile.build import ingress
from tests.unit import factory

URL = "https://data.example.com/airflow"
GATEWAY = {"parentRefs": [{"name": "public", "namespace": "gateways", "sectionName": "https"}, {"name": "inner"}]}


def cluster(**fields):
    return factory.cluster(**{"externalURL": URL, "gateway": GATEWAY, **fields})


def route(*parents, generation=2):
    return {
        "kind": "HTTPRoute",
        "metadata": {"generation": generation},
        "status": {"parents": [{"conditions": list(item)} for item in parents]},
    }


def says(kind, status, message="", generation=2):
    return {"type": kind, "status": status, "message": message, "observedGeneration": generation}


def told(live):
    (found,) = gateway.findings(cluster(), [live] if live else [])
    return found


def test_the_route_leads_to_the_api_server():
    (made,) = ingress.objects(cluster())
    assert (made["apiVersion"], made["kind"]) == ("gateway.networking.k8s.io/v1", "HTTPRoute")
    first, second = made["spec"]["parentRefs"]
    assert (first["name"], first["namespace"], first["sectionName"]) == ("public", "gateways", "https")
    assert "namespace" not in second
    assert made["spec"]["hostnames"] == ["data.example.com"]
    assert dig(made, "spec", "rules", 0, "matches", 0, "path") == {"type": "PathPrefix", "value": "/airflow"}
    assert dig(made, "spec", "rules", 0, "backendRefs", 0, "name") == "demo-api-server"


def test_host_names_may_be_others():
    (made,) = ingress.objects(cluster(gateway={**GATEWAY, "hostnames": ["*.example.com"]}))
    assert made["spec"]["hostnames"] == ["*.example.com"]


def test_without_the_gateway_api_nothing_is_made_and_it_is_said():
    lacking = replace(cluster(), absent=frozenset({HTTP_ROUTE}))
    assert ingress.objects(lacking) == []
    (found,) = gateway.findings(lacking, [])
    assert (found.type, found.status, found.reason, found.waiting) == ("GatewayAvailable", "False", "GatewayApiMissing", False)
    assert "use spec.ingress" in found.message


def test_nothing_is_said_where_no_gateway_is_asked_for():
    assert list(gateway.findings(factory.cluster(), [])) == []


ACCEPTED = (says("Accepted", "True"), says("ResolvedRefs", "True"))


@pytest.mark.parametrize(
    ("live", "status", "reason"),
    [
        (None, "False", "WaitingForGateway"),
        (route(), "False", "WaitingForGateway"),
        (route(ACCEPTED), "False", "WaitingForGateway"),
        (route(ACCEPTED, ACCEPTED), "True", "Accepted"),
        (route(ACCEPTED, [says("Accepted", "True", generation=1)]), "False", "WaitingForGateway"),
        (route(ACCEPTED, [says("Accepted", "False", "not allowed")]), "False", "NotAccepted"),
        (route([*ACCEPTED[:1], says("ResolvedRefs", "False", "no such Service")], ACCEPTED), "False", "NotAccepted"),
    ],
)
def test_what_the_controllers_say(live, status, reason):
    found = told(live)
    assert (found.status, found.reason, found.waiting) == (status, reason, reason == "WaitingForGateway")


def test_a_refusal_is_told_in_the_controllers_words():
    assert "no such Service" in told(route([says("ResolvedRefs", "False", "no such Service")], ACCEPTED)).message
