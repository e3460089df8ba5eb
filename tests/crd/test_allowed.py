"""Which namespaces a base allows."""

from __future__ import annotations

import pytest

from airflow_operator.api.allowed import AllowedClusters, AllowedNamespaces, LabelSelector

LABELS = {"team": "data", "stage": "prod"}


def admits(namespace="team", labels=LABELS, **fields):
    return AllowedNamespaces.model_validate(fields).admit(namespace, labels, own="platform")


def test_by_default_its_own_alone():
    assert admits("platform")
    assert not admits()


def test_all_means_all():
    assert admits(**{"from": "All"})


def test_names_come_on_top_of_the_rest():
    assert admits(names=["team"])
    assert admits("platform", names=["team"])
    assert not admits("other", names=["team"])


def test_a_selector_alone_decides():
    chosen = {"from": "Selector", "selector": {"matchLabels": {"team": "data"}}}
    assert admits(**chosen)
    assert not admits("platform", {}, **chosen)
    assert admits("platform", {}, names=["platform"], **chosen)


@pytest.mark.parametrize(
    ("expression", "fits"),
    [
        ({"key": "team", "operator": "In", "values": ["data", "web"]}, True),
        ({"key": "team", "operator": "In", "values": ["web"]}, False),
        ({"key": "none", "operator": "In", "values": ["web"]}, False),
        ({"key": "team", "operator": "NotIn", "values": ["web"]}, True),
        ({"key": "none", "operator": "NotIn", "values": ["web"]}, True),
        ({"key": "team", "operator": "NotIn", "values": ["data"]}, False),
        ({"key": "team", "operator": "Exists"}, True),
        ({"key": "none", "operator": "Exists"}, False),
        ({"key": "none", "operator": "DoesNotExist"}, True),
        ({"key": "team", "operator": "DoesNotExist"}, False),
    ],
)
def test_expressions_are_read_as_kubernetes_reads_them(expression, fits):
    selector = LabelSelector.model_validate({"matchExpressions": [expression]})
    assert selector.fits(LABELS) is fits
    both = LabelSelector.model_validate({"matchLabels": {"stage": "prod"}, "matchExpressions": [expression]})
    assert both.fits(LABELS) is fits
    assert not both.fits({"team": "data"})


def test_an_empty_selector_fits_everything():
    assert LabelSelector().fits({})


def test_an_approval_is_for_one_namespace_and_no_later_one():
    allowed = AllowedClusters.model_validate({"adopt": [{"namespace": "team", "uid": "1"}]})
    assert allowed.adopts("team", "1")
    assert not allowed.adopts("team", "2")
    assert not allowed.adopts("other", "1")
