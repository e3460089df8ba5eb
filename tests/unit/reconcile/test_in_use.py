"""What is not taken from under running pods."""

from __future__ import annotations

from airflow_operator.domain import labels
from airflow_operator.domain.manifest import key_of
from airflow_operator.reconcile.build import components, rbac, task_pods
from airflow_operator.reconcile.in_use import accounts_in_use, objects_in_use
from tests.unit import factory
from tests.unit.factory import KEYS

CLUSTER = factory.cluster()
ACCOUNTS = rbac.service_accounts(CLUSTER)
TEMPLATE = task_pods.template_config_map(CLUSTER)


def pod(component, phase="Running", **spec):
    made = factory.pod(component)
    return {**made, "spec": spec, "status": {"phase": phase}}


def kept(children=(), pods=()):
    found = objects_in_use(factory.seen(children=[*ACCOUNTS, TEMPLATE, *children], pods=pods))
    return {key.name for key in found}


def test_nothing_is_kept_for_nobody():
    assert kept() == set()
    assert kept(pods=[pod("scheduler", "Succeeded", serviceAccountName="demo-scheduler")]) == set()


def test_the_account_of_a_pod_and_of_a_workload():
    assert kept(pods=[pod("triggerer", serviceAccountName="demo-triggerer")]) == {"demo-triggerer"}
    assert "demo-api-server" in kept(children=[components.api_server(CLUSTER, KEYS)])


def test_what_the_template_of_tasks_names_in_text():
    assert kept(children=[components.scheduler(CLUSTER, KEYS)]) >= {"demo-scheduler", "demo-task", key_of(TEMPLATE).name}


def test_an_address_in_a_text_is_not_the_name_of_an_account():
    config = {
        **TEMPLATE,
        "metadata": {**TEMPLATE["metadata"], "name": "demo-config"},
        "data": {"airflow.cfg": "url = http://demo-api-server:8080"},
    }
    volumes = [{"name": "config", "configMap": {"name": "demo-config"}}]
    assert kept(children=[config], pods=[pod("scheduler", volumes=volumes)]) == {"demo-config"}


def test_accounts_by_component():
    old = pod("scheduler", serviceAccountName="old")
    old["metadata"]["labels"] = labels.of_cluster("demo", "scheduler")
    found = accounts_in_use(factory.seen(children=[components.scheduler(CLUSTER, KEYS)], pods=[old]))
    assert found == {"scheduler": {"old", "demo-scheduler"}}
