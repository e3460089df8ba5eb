"""What users add to pods and change of them: security, containers, volumes, and an overlay with the last word.

What the operator relies on stays: InvalidSpec names the field that would break it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from airflow_operator.api.config_rules import refused_variable
from airflow_operator.api.pods import OWN_KEYS, PodSettings, PodTemplate
from airflow_operator.domain.errors import InvalidSpec
from airflow_operator.domain.manifest import Manifest, dig
from airflow_operator.reconcile.build import pods
from airflow_operator.reconcile.build.overlay import overlay
from airflow_operator.reconcile.validate import ValidatedCluster


class Layer(NamedTuple):
    """Settings of pods, and the field of the spec that holds them."""

    field: str
    settings: PodSettings


Entries = Sequence[Mapping[str, Any]]


def layers(cluster: ValidatedCluster, field: str, own: PodSettings) -> tuple[Layer, ...]:
    """What the spec says of one kind of pod; the last wins."""
    return Layer("spec.pods", cluster.spec.pods), Layer(f"spec.{field}", own)


def customized(template: Manifest, main: str, found: Iterable[Layer], *, image: str = "") -> Manifest:
    """A pod with all that its layers add; `image` is the only one that the container `main` may have, if it matters."""
    found = tuple(found)
    spec = pods.secured(template["spec"], main, *(layer.settings for layer in found))
    for name, place in (("init_containers", "initContainers"), ("extra_containers", "containers"), ("volumes", "volumes")):
        field, entries = _last(found, name)
        if entries:
            made = entries if name == "volumes" else [overlay(_CONTAINER, entry) for entry in entries]
            spec[place] = _joined(spec.get(place, ()), made, "name", field)
    _require_own_names(found)
    field, mounts = _last(found, "volume_mounts")
    if mounts:
        spec["containers"] = [_mounting(item, mounts, field) if item["name"] == main else item for item in spec["containers"]]
    made_pod = {**template, "spec": spec}
    for layer in found:
        if layer.settings.pod_template:
            field, before = f"{layer.field}.podTemplate", made_pod
            made_pod = overlaid(before, main, layer.settings.pod_template, field, image=image)
            if dig(before, "spec", "serviceAccountName") != dig(made_pod, "spec", "serviceAccountName"):
                raise InvalidSpec("OwnedSetting", f"{field}.spec.serviceAccountName: use serviceAccount, to which rights are bound.")
    _require_volumes(found, made_pod)
    return made_pod


_CONTAINER: Mapping[str, Any] = {"securityContext": pods.container_security(), "terminationMessagePolicy": "FallbackToLogsOnError"}
"""What a container of the user has where it does not say otherwise."""


def _last(found: Sequence[Layer], attribute: str) -> tuple[str, Entries]:
    """The list of the last layer that has one, and its field."""
    for layer in reversed(found):
        entries = getattr(layer.settings, attribute, None)
        if entries is not None:
            head, *rest = attribute.split("_")
            return f"{layer.field}.{head}{''.join(part.title() for part in rest)}", entries
    return "", ()


def _require_own_names(found: Sequence[Layer]) -> None:
    """A pod's containers and init containers must not share a name; they may come of different layers."""
    (first, init), (field, extra) = _last(found, "init_containers"), _last(found, "extra_containers")
    for name in sorted({entry["name"] for entry in init} & {entry["name"] for entry in extra}):
        raise InvalidSpec("InvalidSpec", f"{field}: {first} has a container {name} too: name one of the two otherwise.")


def _require_volumes(found: Sequence[Layer], pod: Manifest) -> None:
    """What the one list mounts must be in the other, which may come of another layer, or in an overlay."""
    (field, mounts), (source, _) = _last(found, "volume_mounts"), _last(found, "volumes")
    there = [volume.get("name") for volume in dig(pod, "spec", "volumes", default=[])]
    # One without a name the API server refuses.
    for name in [mount["name"] for mount in mounts if "name" in mount and mount["name"] not in there]:
        where = f"{source}, the list that this pod takes" if source else field.removesuffix("Mounts") + "s"
        raise InvalidSpec("InvalidSpec", f"{field}: there is no volume {name}: add it to {where}.")


def _joined(ours: Entries, theirs: Entries, key: str, field: str) -> list[dict[str, Any]]:
    taken = {item[key] for item in ours}
    for entry in theirs:
        if entry[key] in taken:
            message = f"{field}: {key} {entry[key]} is taken by the operator: use another, or change the operator's in podTemplate."
            raise InvalidSpec("OwnedSetting", message)
    return [*map(dict, ours), *map(dict, theirs)]


def _mounting(container: Mapping[str, Any], mounts: Entries, field: str) -> dict[str, Any]:
    return {**container, "volumeMounts": _joined(container.get("volumeMounts", ()), mounts, "mountPath", field)}


def overlaid(before: Manifest, main: str, template: PodTemplate, field: str, *, image: str = "") -> Manifest:
    """A pod with an overlay; InvalidSpec names `field` where that would break what the operator relies on."""
    patch: dict[str, Any] = {}
    if template.metadata:
        given = {"labels": template.metadata.labels, "annotations": template.metadata.annotations}
        patch["metadata"] = {name: value for name, value in given.items() if value is not None}
    if template.spec is not None:
        patch["spec"] = template.spec
    after = overlay(before, patch)
    for name in ("labels", "annotations"):
        _keep_keys(dig(before, "metadata", name, default={}), dig(after, "metadata", name, default={}), f"{field}.metadata.{name}")
    _keep_main(_container(before, main), _container(after, main), f"{field}.spec.containers[{main}]", image)
    return after


def _container(pod: Manifest, name: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = next((item for item in dig(pod, "spec", "containers", default=[]) if item.get("name") == name), {})
    return found


def _keep_keys(before: Mapping[str, Any], after: Mapping[str, Any], field: str) -> None:
    for key in {**before, **after}:
        if key.startswith(OWN_KEYS) and before.get(key) != after.get(key):
            raise InvalidSpec("OwnedSetting", f"{field}: {key} is set by the operator: use another key.")


def _keep_main(before: Mapping[str, Any], after: Mapping[str, Any], field: str, image: str) -> None:
    if not after:
        raise InvalidSpec("OwnedSetting", f"{field}: this container is the component itself: it can be changed, not taken out.")
    if image and after.get("image") != image:
        raise InvalidSpec("OwnedSetting", f"{field}.image: use spec.image, since the database must fit the image.")
    ours, theirs = ({item.get("name"): item for item in container.get("env", ())} for container in (before, after))
    for name in {**ours, **theirs}:
        refused = refused_variable(str(name))
        if refused and ours.get(name) != theirs.get(name):
            raise InvalidSpec("OwnedSetting", f"{field}.env: {refused}.")
