"""What every sample renders to, and the text in which it is kept."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml

from airflow_operator.cli.report import lines
from airflow_operator.domain.labels import TEMPLATE
from airflow_operator.domain.manifest import Manifest
from airflow_operator.reconcile.offline import render

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "manifests" / "samples"
KEPT = Path(__file__).resolve().parent
REPORTS = KEPT / "reports"

NAMES = tuple(sorted(path.stem for path in SAMPLES.glob("*.yaml")))


def rendered(name: str) -> list[Manifest]:
    """Every manifest of one sample."""
    return render(yaml.load_all((SAMPLES / f"{name}.yaml").read_text(encoding="utf-8"), yaml.CSafeLoader))


def text(name: str) -> str:
    """The manifests of one sample as YAML that reads well in a review.

    Scripts are reviewed where they are written: neither they nor the digests that change with them stand here.
    """
    manifests = rendered(name)
    digests = {manifest["metadata"]["name"][-10:] for manifest in manifests if _holds_scripts(manifest)}
    documents = [_without_scripts(manifest) for manifest in manifests]
    made = yaml.dump_all(documents, Dumper=_Dumper, sort_keys=False, explicit_start=True, width=140)
    for digest in digests:
        made = made.replace(digest, "(digest)")
    return made


def report(name: str) -> str:
    """What `report --security` prints of one sample."""
    return "\n".join(lines(rendered(name))) + "\n"


def _holds_scripts(manifest: Manifest) -> bool:
    return manifest["kind"] == "ConfigMap" and all(key.endswith(".py") for key in manifest["data"])


def _without_scripts(manifest: Manifest) -> Manifest:
    made = deepcopy(manifest)
    if _holds_scripts(made):
        made["data"] = dict.fromkeys(made["data"], "(the script)")
    if TEMPLATE in made["metadata"].get("annotations", {}):
        made["metadata"]["annotations"][TEMPLATE] = "(digest)"
    return made


class _Dumper(yaml.SafeDumper):
    """Texts of several lines as blocks; no aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text)


def pod_templates(manifests: list[Manifest]) -> Mapping[str, Manifest]:
    """Every pod that the manifests would start, by a name for a message: templates of workloads and Jobs, and that of tasks."""
    found: dict[str, Manifest] = {}
    for manifest in manifests:
        name = f"{manifest['kind']} {manifest['metadata']['name']}"
        spec = manifest.get("spec", {})
        if template := spec.get("jobTemplate", {}).get("spec", spec).get("template"):
            found[name] = template
        elif manifest["kind"] == "ConfigMap" and "pod_template.yaml" in manifest["data"]:
            for file, made in manifest["data"].items():
                name = "task" if file == "pod_template.yaml" else f"task {file}"
                found[name] = yaml.load(made, yaml.CSafeLoader)
    return found
