"""One DAGs folder of all sources, for an Airflow that knows one folder only: a link to each of them.

Airflow 2 walks the folder and follows links, but it must not walk git-sync's worktrees, so the sources stay where they are.
"""

from __future__ import annotations

import shlex
from typing import Any

from airflow_operator.reconcile.build import pods
from airflow_operator.reconcile.validate import ValidatedCluster

FOLDER = "/opt/airflow/dag-sources"
VOLUME = "dag-sources"


def wanted(cluster: ValidatedCluster) -> bool:
    """Whether there are several sources and one folder, or a source whose folder is a link that git-sync moves."""
    release, sources = cluster.release, cluster.spec.dags
    return not release.dag_bundle_class and (len(sources) > 1 or (release.resolves_folder and any(source.git for source in sources)))


def volume() -> dict[str, Any]:
    """The folder, made anew with each pod."""
    return {"name": VOLUME, "emptyDir": {}}


def mount(*, read_only: bool) -> dict[str, Any]:
    """The folder as Airflow reads it, or as it is made."""
    return {"name": VOLUME, "mountPath": FOLDER, **({"readOnly": True} if read_only else {})}


def init_container(cluster: ValidatedCluster, targets: dict[str, str]) -> dict[str, Any]:
    """Makes the links; `targets` are the sources' folders by their names."""
    links = [f"ln -sfn {shlex.quote(target)} {FOLDER}/{name}" for name, target in targets.items()]
    return {
        "name": "link-dags",
        "image": cluster.image,
        "imagePullPolicy": cluster.spec.image.pull_policy,
        "command": ["bash", "-c", " && ".join(links)],
        "resources": pods.resources("git-sync"),
        "securityContext": pods.container_security(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [mount(read_only=False)],
    }
