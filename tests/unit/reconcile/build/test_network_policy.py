"""Who reaches whom under the policies, judged pod by pod."""

from __future__ import annotations

import pytest

from airflow_operator.domain import labels
from airflow_operator.reconcile.build import components, network_policy, task_pods
from tests.unit import factory
from tests.unit.reconcile.build.policies import Place, lets_in


def place(marks, namespace="team", **of_namespace):
    return Place(namespace, marks, {"kubernetes.io/metadata.name": namespace, **of_namespace})


def own(component, name="demo"):
    return place(labels.of_cluster(name, component))


OPERATOR = place({"app.kubernetes.io/name": "airflow-operator"}, "airflow-operator")
IMPOSTOR = place({"app.kubernetes.io/name": "airflow-operator"}, "elsewhere")
STRANGER = place({"app": "x"}, "elsewhere")
NEIGHBOUR = place({"app": "x"})
PROXY = place({"app": "proxy"}, "ingress", team="platform")
ONLY_PROXIES = {
    "apiServerFrom": [{"namespaceSelector": {"matchLabels": {"team": "platform"}}, "podSelector": {"matchLabels": {"app": "proxy"}}}]
}

STATSD = 9125

TRAFFIC = (
    # from, to, port, by default, with apiServerFrom
    (STRANGER, "api-server", 8080, True, False),
    (NEIGHBOUR, "api-server", 8080, True, False),
    (PROXY, "api-server", 8080, True, True),
    (OPERATOR, "api-server", 8080, True, True),
    (IMPOSTOR, "api-server", 8080, True, False),
    (own("task"), "api-server", 8080, True, True),
    (own("scheduler"), "api-server", 8080, True, True),
    (own("triggerer"), "api-server", 8080, True, True),
    (own("api-server"), "triggerer", 8794, True, True),
    (own("api-server"), "scheduler", 8793, True, True),
    (STRANGER, "triggerer", 8794, False, False),
    (own("scheduler"), "triggerer", 8794, False, False),
    (own("api-server", "other"), "triggerer", 8794, False, False),
    (STRANGER, "scheduler", 8793, False, False),
    (STRANGER, "scheduler", 8974, False, False),
    (own("api-server"), "scheduler", 8974, False, False),
    (STRANGER, "dag-processor", 1234, False, False),
    (own("task"), "statsd", STATSD, True, True),
    (own("scheduler"), "statsd", STATSD, True, True),
    (STRANGER, "statsd", STATSD, False, False),
    (own("task", "other"), "statsd", STATSD, False, False),
    (STRANGER, "statsd", 9102, True, True),
    (OPERATOR, "task", 22, False, False),
    (STRANGER, "api-server", 22, False, False),
)


@pytest.mark.parametrize(("source", "target", "port", "usual", "restricted"), TRAFFIC)
def test_traffic(source, target, port, usual, restricted):
    for settings, expected in (({}, usual), (ONLY_PROXIES, restricted)):
        policies = network_policy.objects(factory.cluster(executors=["LocalExecutor"], networkPolicy=settings, metrics={}))
        assert lets_in(policies, own(target), source, port, "UDP" if port == STATSD else "TCP") is expected


def test_statsd_is_open_for_udp_alone():
    policies = network_policy.objects(factory.cluster(networkPolicy={}, metrics={}))
    assert not lets_in(policies, own("statsd"), own("scheduler"), STATSD)


@pytest.mark.parametrize("fields", [{}, {"networkPolicy": {"enabled": False}}])
def test_without_policies_everything_passes(fields):
    policies = network_policy.objects(factory.cluster(**fields))
    assert policies == []
    assert lets_in(policies, own("scheduler"), STRANGER, 8974)


def test_other_pods_of_the_namespace_are_left_alone():
    policies = network_policy.objects(factory.cluster(networkPolicy={}))
    assert lets_in(policies, NEIGHBOUR, STRANGER, 80)
    assert lets_in(policies, own("scheduler", "other"), STRANGER, 8974)


def test_every_pod_of_the_cluster_is_selected():
    cluster = factory.cluster(executors=["KubernetesExecutor"], networkPolicy={})
    policies = network_policy.objects(cluster)
    templates = [build(cluster, factory.KEYS)["spec"]["template"] for build in components.COMPONENTS.values()]
    for template in [*templates, task_pods.template(cluster)]:
        target = place(template["metadata"]["labels"])
        assert not lets_in(policies, target, STRANGER, 22)


def test_the_scheduler_serves_logs_only_where_it_runs_tasks():
    policies = network_policy.objects(factory.cluster(executors=["KubernetesExecutor"], networkPolicy={}))
    assert not lets_in(policies, own("scheduler"), own("api-server"), 8793)
