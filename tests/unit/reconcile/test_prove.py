"""Which parts of a spec are tried by dry run."""

from __future__ import annotations

import pytest
from pydantic.alias_generators import to_camel

from airflow_operator.api import AirflowClusterSpec
from airflow_operator.crdgen.structural import PRESERVE, structural_schema
from airflow_operator.reconcile.prove import OPAQUE, opaque_parts
from tests.unit import factory

FIELDS = ("pods", "scheduler", "taskPods", "jobs")


def holds_opaque(schema):
    inner = [*schema.get("properties", {}).values(), *([schema["items"]] if "items" in schema else [])]
    return bool(schema.get(PRESERVE)) or any(holds_opaque(item) for item in inner)


@pytest.mark.parametrize("field", FIELDS)
def test_every_field_that_the_schema_does_not_look_into_is_proven(field):
    properties = structural_schema(AirflowClusterSpec)["properties"][field]["properties"]
    assert {name for name, schema in properties.items() if holds_opaque(schema)} <= {to_camel(name) for name in OPAQUE}


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("name", [to_camel(name) for name in OPAQUE if name not in ("extra_containers", "templates")])
def test_a_spec_with_one_of_them_is_proven(field, name):
    entry = {"name": "a", "mountPath": "/a"}
    value = [entry] if name in ("tolerations", "topologySpreadConstraints", "initContainers", "volumes", "volumeMounts") else {"spec": {}}
    assert opaque_parts(factory.cluster(**{field: {name: value}}).spec)


def test_a_plain_spec_is_not():
    assert not opaque_parts(factory.cluster(pods={"nodeSelector": {"a": "b"}}, scheduler={"replicas": 0}).spec)
    assert opaque_parts(factory.cluster(scheduler={"extraContainers": [{"name": "a"}]}).spec)
    templates = [{"name": "gpu", "podTemplate": {}}]
    assert opaque_parts(factory.cluster(executors=["KubernetesExecutor"], taskPods={"templates": templates}).spec)
    assert opaque_parts(factory.cluster(gitSync={"securityContext": {"runAsUser": 5}}).spec)
