"""What a spec names."""

from __future__ import annotations

from airflow_operator.reconcile.references import Reference, of_parts, of_spec
from tests.unit import factory

PARTS = {
    "volumes": [
        {"name": "a", "secret": {"secretName": "volume"}},
        {"name": "b", "projected": {"sources": [{"configMap": {"name": "projected"}}, {"secret": {"name": "soft", "optional": True}}]}},
        {"name": "c", "persistentVolumeClaim": {"claimName": "claim"}},
    ],
    "extraContainers": [
        {
            "name": "side",
            "env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "variable", "key": "k"}}}],
            "envFrom": [{"configMapRef": {"name": "whole"}}],
        }
    ],
    "podTemplate": {"spec": {"initContainers": [{"name": "first", "envFrom": [{"secretRef": {"name": "patched"}}]}]}},
}


def test_what_parts_of_pods_name_is_found_wherever_it_stands():
    spec = factory.cluster(scheduler=PARTS).spec
    found = {(item.field, item.kind, item.name) for item in of_parts(spec)}
    assert not any(item.optional for item in of_parts(spec))
    assert found == {
        ("spec.scheduler.volumes", "Secret", "volume"),
        ("spec.scheduler.volumes", "ConfigMap", "projected"),
        ("spec.scheduler.volumes", "PersistentVolumeClaim", "claim"),
        ("spec.scheduler.extraContainers", "Secret", "variable"),
        ("spec.scheduler.extraContainers", "ConfigMap", "whole"),
        ("spec.scheduler.podTemplate", "Secret", "patched"),
    }


def test_variables_of_components_and_tasks_are_waited_for():
    source = [{"secretRef": {"name": "s"}}]
    references = {("Secret", "s"): factory.secret("s", A="1")}
    cluster = factory.cluster(triggerer={"envFrom": source}, taskPods={"envFrom": source}, references=references)
    assert list(of_spec(cluster.spec)) == [
        Reference("spec.triggerer.envFrom[0]", "Secret", "s"),
        Reference("spec.taskPods.envFrom[0]", "Secret", "s"),
    ]


def test_accounts_of_the_user_are_waited_for_also_where_an_overlay_names_them():
    overlay = {"podTemplate": {"spec": {"serviceAccountName": "patched"}}}
    fields = {"serviceAccount": {"name": "all"}, "triggerer": {"serviceAccount": {"name": "own"}}, "jobs": overlay}
    assert list(of_spec(factory.cluster(**fields).spec)) == [
        Reference("spec.serviceAccount", "ServiceAccount", "all"),
        Reference("spec.triggerer.serviceAccount", "ServiceAccount", "own"),
        Reference("spec.jobs.podTemplate", "ServiceAccount", "patched"),
    ]
