"""The CustomResourceDefinitions, and how they are written."""

from __future__ import annotations

from typing import Any

import yaml

from airflow_operator.api.cel import VALIDATIONS
from airflow_operator.api.registry import CATEGORY, RESOURCES, Column, CustomResource
from airflow_operator.crdgen.structural import Schema, structural_schema
from airflow_operator.domain.kinds import GROUP, VERSION

NOTICE = "# Made by `make generate` from operator/airflow_operator/api: change it there.\n"


def definition(resource: CustomResource) -> dict[str, Any]:
    """The CustomResourceDefinition of a resource. Empty lists are left out: Argo CD would show them as a difference for ever."""
    kind = resource.kind
    version: dict[str, Any] = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": [_column(column) for column in resource.columns],
        "schema": {"openAPIV3Schema": _root(resource)},
    }
    if resource.scale:
        version["subresources"]["scale"] = {
            "specReplicasPath": resource.scale.spec_replicas,
            "statusReplicasPath": resource.scale.status_replicas,
            "labelSelectorPath": resource.scale.selector,
        }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind.kind,
                "listKind": f"{kind.kind}List",
                "plural": kind.plural,
                "singular": resource.singular,
                "shortNames": [resource.short_name],
                "categories": [CATEGORY],
            },
            "versions": [version],
        },
    }


def _root(resource: CustomResource) -> Schema:
    root: Schema = {
        "type": "object",
        "description": resource.model.__doc__,
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string", "description": "Version of the schema of this object."},
            "kind": {"type": "string", "description": "Kind of this object."},
            "metadata": {"type": "object"},
            "spec": structural_schema(resource.spec),
            "status": structural_schema(resource.status),
        },
    }
    if resource.model.rules:
        root[VALIDATIONS] = [rule.as_json() for rule in resource.model.rules]
    return root


def _column(column: Column) -> dict[str, Any]:
    made: dict[str, Any] = {"name": column.name, "type": column.type, "jsonPath": column.json_path}
    if column.description:
        made["description"] = column.description
    if column.priority:
        made["priority"] = column.priority
    return made


class _Dumper(yaml.SafeDumper):
    """Plain YAML: no anchors, lists indented below their key."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def to_yaml(manifest: Any) -> str:
    """YAML with the keys in the order given."""
    return yaml.dump(manifest, Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True)


def crd_files() -> dict[str, str]:
    """File name below crds/ to its text."""
    files = {f"{resource.kind.plural}.yaml": NOTICE + to_yaml(definition(resource)) for resource in RESOURCES}
    kustomization = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "resources": sorted(files)}
    return {**files, "kustomization.yaml": NOTICE + to_yaml(kustomization)}
