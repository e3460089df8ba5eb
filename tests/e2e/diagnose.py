"""What a person would look at first when something in a namespace does not work."""

from __future__ import annotations

import json

from tests.e2e.kubectl import Kubectl, KubectlError, Object

LINES = 25


def diagnose(kubectl: Kubectl) -> str:
    """Conditions, pods, the last words of every container that is not well, events, and the operator's log."""
    parts = [_try(kubectl, "get", "afb,afc,deploy,sts,jobs,pods,pvc", "--output=wide")]
    try:
        parts += [_conditions(item) for item in kubectl.list("afb,afc")]
        parts += [text for pod in kubectl.list("pods") for text in _unwell(kubectl, pod)]
    except KubectlError as error:
        parts.append(str(error))
    parts.append(
        _try(kubectl, "get", "events", "--sort-by=.lastTimestamp", "--output=custom-columns=R:.reason,O:.involvedObject.name,M:.message")
    )
    operator = kubectl.within("airflow-operator")
    parts.append(_try(operator, "logs", "deployment/airflow-operator", "--tail=60"))
    return "\n\n".join(_last(part) for part in parts if part)


def _try(kubectl: Kubectl, *arguments: str) -> str:
    try:
        return f"$ kubectl {' '.join(arguments)}\n{kubectl(*arguments)}"
    except KubectlError as error:
        return str(error)


def _last(text: str) -> str:
    head, *lines = text.splitlines()
    return "\n".join([head, *lines[-80:]])


def _conditions(resource: Object) -> str:
    rows = (resource.get("status") or {}).get("conditions") or []
    lines = [f"  {row['type']}={row['status']} {row['reason']}: {row['message']}" for row in rows]
    return "\n".join([f"{resource['kind']} {resource['metadata']['name']}: {json.dumps(resource['spec'])[:600]}", *lines])


def _unwell(kubectl: Kubectl, pod: Object) -> list[str]:
    name = pod["metadata"]["name"]
    status = pod.get("status", {})
    found = []
    for row in [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]:
        ended = row.get("state", {}).get("terminated")
        if row.get("ready") or (ended and ended.get("exitCode") == 0):
            continue
        found.append(f"pod {name}, container {row['name']}: {json.dumps(row.get('state'))}")
        chosen = [f"--container={row['name']}", f"--tail={LINES}"]
        found.append(_try(kubectl, "logs", name, *chosen))
        if row.get("restartCount"):
            found.append(_try(kubectl, "logs", name, "--previous", *chosen))
    return found
