"""The apply engine on a real API server: what it writes, what it leaves alone, and what it refuses."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

import pytest

from airflow_operator.domain import labels
from airflow_operator.domain.errors import InvalidSpec
from airflow_operator.domain.kinds import (
    CHILD_KINDS,
    CONFIG_MAP,
    DEPLOYMENT,
    JOB,
    PERSISTENT_VOLUME_CLAIM,
    POD,
    ROLE_BINDING,
    STATEFUL_SET,
    kind_of,
)
from airflow_operator.domain.manifest import Live, Manifest, dig, key_of
from airflow_operator.kube.protocol import Kube
from airflow_operator.reconcile.apply import Applied, Desired, apply
from devcluster.control_plane import ControlPlane
from tests.integration import children
from tests.integration.audit import Audit
from tests.integration.eventually import eventually

pytestmark = pytest.mark.integration


@pytest.fixture
async def owner(kube: Kube, namespace: str, audit: Audit) -> Live:
    made = await kube.create(children.owner_manifest(namespace))
    audit.reset()
    return made


async def listed(kube: Kube, namespace: str) -> list[Live]:
    found = await asyncio.gather(*(kube.list(kind, namespace, labels=children.SELECTOR) for kind in CHILD_KINDS))
    return [child for of_kind in found for child in of_kind]


async def reconcile(kube: Kube, owner: Live, *objects: Manifest, **more: Any) -> Applied:
    """What the loop does: list, then apply."""
    return await apply(kube, Desired(objects, **more), await listed(kube, owner["metadata"]["namespace"]), owner=owner)


async def test_creates_in_order_and_then_writes_nothing(kube: Kube, owner: Live, audit: Audit) -> None:
    everything = children.everything(owner)
    first = await reconcile(kube, owner, *reversed(everything))
    assert set(first.changed) == {key_of(manifest) for manifest in everything}
    assert not first.refused
    written = [request.split()[1].split("/")[0] for request in audit.writes() if request.startswith("patch")]
    assert Counter(written) == Counter(kind_of(manifest).plural for manifest in everything)
    assert set(written[-3:]) == {"jobs", "statefulsets", "deployments"}, "what runs pods comes last"

    async def controllers_have_written() -> bool:
        live = {key_of(child): child for child in await listed(kube, owner["metadata"]["namespace"])}
        return all(dig(live[key_of(make(owner))], "status") for make in (children.job, children.stateful_set, children.deployment))

    await eventually(controllers_have_written)
    audit.reset()
    second = await reconcile(kube, owner, *everything)
    assert audit.writes() == []
    assert all(request.startswith("list") for request in audit.requests())
    assert not second.changed
    assert not second.refused
    assert second.live.keys() >= first.live.keys()


@pytest.mark.parametrize("make", children.ALL)
async def test_each_kind_is_made_anew_when_deleted(kube: Kube, owner: Live, make: Callable[[Live], Manifest]) -> None:
    manifest = make(owner)
    key = key_of(manifest)
    await reconcile(kube, owner, manifest)
    await kube.delete(kind_of(manifest), key.namespace, key.name)

    async def comes_back() -> bool:
        # A claim lingers until its protection finalizer is gone; that is a wait, and no failure.
        again = await reconcile(kube, owner, manifest)
        return key in again.changed

    await eventually(comes_back)


def _with(manifest: Live, path: Sequence[str | int], value: Any) -> Manifest:
    changed = deepcopy(dict(manifest))
    at: Any = changed
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    return changed


CONTAINER = ("spec", "template", "spec", "containers", 0)
DRIFTS: dict[str, tuple[Callable[[Live], Manifest], tuple[str | int, ...], Any]] = {
    "service account": (children.service_account, ("automountServiceAccountToken",), True),
    "service account annotation": (children.service_account, ("metadata", "annotations"), {"cloud.example/role": "root"}),
    "role binding": (children.role_binding, ("subjects",), [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "mallory"}]),
    "secret": (children.secret, ("data", "connection"), "bWFsbG9yeQ=="),
    "service port": (children.service, ("spec", "ports", 0, "targetPort"), 1),
    "service selector": (children.service, ("spec", "selector"), {"a": "b"}),
    "claim label": (children.claim, ("metadata", "labels"), {}),
    "config map label": (children.config_map, ("metadata", "labels", labels.COMPONENT), "other"),
    "job label": (children.job, ("metadata", "labels", labels.COMPONENT), "other"),
    "stateful set": (children.stateful_set, ("spec", "replicas"), 5),
    "stateful set image": (children.stateful_set, (*CONTAINER, "image"), "evil:latest"),
    "deployment": (children.deployment, ("spec", "replicas"), 0),
    "variable": (children.deployment, (*CONTAINER, "env", 1, "value"), "1"),
    "emptied variable": (children.deployment, (*CONTAINER, "env", 0, "value"), "x"),
    "list owned as a whole": (children.deployment, (*CONTAINER, "args"), ["webserver"]),
    "field removed": (children.deployment, ("spec", "template", "spec", "nodeSelector"), None),
    "resources": (children.deployment, (*CONTAINER, "resources", "requests", "cpu"), "2"),
    "owner reference": (children.deployment, ("metadata", "ownerReferences"), []),
}


@pytest.mark.parametrize("drift", DRIFTS)
async def test_drift_is_repaired_by_one_write(kube: Kube, owner: Live, control_plane: ControlPlane, audit: Audit, drift: str) -> None:
    make, path, value = DRIFTS[drift]
    manifest = make(owner)
    key = key_of(manifest)
    first = await reconcile(kube, owner, manifest)

    async def at_rest() -> bool:
        live = await kube.get(kind_of(manifest), key.namespace, key.name)
        # Replacing needs the newest resourceVersion, which the controllers still move.
        replaced = control_plane.kubectl("replace", "-f", "-", input=json.dumps(_with(live or {}, path, value)), check=False)
        return replaced.returncode == 0

    await eventually(at_rest)
    audit.reset()
    again = await reconcile(kube, owner, manifest)
    assert len(audit.writes()) == 1
    assert again.changed == (key,)
    expected, found = first.live[key], again.live[key]
    assert dig(found, *path) == dig(expected, *path)
    assert (await reconcile(kube, owner, manifest)).changed == ()


@pytest.mark.parametrize("make", [children.deployment, children.stateful_set])
async def test_what_others_put_into_a_pod_template_is_removed(
    kube: Kube, owner: Live, namespace: str, control_plane: ControlPlane, make: Callable[[Live], Manifest]
) -> None:
    manifest = make(owner)
    target = f"{manifest['kind']}/{manifest['metadata']['name']}"
    await reconcile(kube, owner, manifest)
    before = (await kube.get(kind_of(manifest), namespace, manifest["metadata"]["name"]) or {})["spec"]["template"]
    control_plane.kubectl("-n", namespace, "set", "env", target, "FOREIGN=1", "EMPTY-", "MORE=2")
    sidecar = {"spec": {"template": {"spec": {"containers": [{"name": "miner", "image": "miner:latest"}], "hostPID": True}}}}
    control_plane.kubectl("-n", namespace, "patch", target, "-p", json.dumps(sidecar))
    probe = {"readinessProbe": {"tcpSocket": {"port": 1}, "periodSeconds": 3}, "name": before["spec"]["containers"][0]["name"]}
    control_plane.kubectl("-n", namespace, "patch", target, "-p", json.dumps({"spec": {"template": {"spec": {"containers": [probe]}}}}))

    again = await reconcile(kube, owner, manifest)

    assert again.live[key_of(manifest)]["spec"]["template"] == before
    assert not again.refused


async def test_a_restart_that_somebody_asked_for_is_not_undone(
    kube: Kube, owner: Live, namespace: str, control_plane: ControlPlane, audit: Audit
) -> None:
    manifest = children.deployment(owner)
    await reconcile(kube, owner, manifest)
    control_plane.kubectl("-n", namespace, "rollout", "restart", "deployment/demo-scheduler")
    audit.reset()
    again = await reconcile(kube, owner, manifest)
    assert audit.writes() == []
    annotations = again.live[key_of(manifest)]["spec"]["template"]["metadata"]["annotations"]
    assert "kubectl.kubernetes.io/restartedAt" in annotations


async def test_a_variable_turned_into_a_reference_is_turned_back(
    kube: Kube, owner: Live, namespace: str, control_plane: ControlPlane
) -> None:
    manifest = children.deployment(owner)
    await reconcile(kube, owner, manifest)
    path = "/spec/template/spec/containers/0/env/1"
    operations = [
        {
            "op": "replace",
            "path": path,
            "value": {"name": "LOOKS_LIKE_A_QUANTITY", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}},
        }
    ]
    control_plane.kubectl("-n", namespace, "patch", "deployment/demo-scheduler", "--type=json", "-p", json.dumps(operations))
    again = await reconcile(kube, owner, manifest, prove=True)
    assert dig(again.live[key_of(manifest)], *CONTAINER, "env", 1) == {"name": "LOOKS_LIKE_A_QUANTITY", "value": "1000m"}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ((*CONTAINER, "env"), [{"name": "ONLY", "value": "1"}]),
        ((*CONTAINER, "envFrom"), []),
        (("spec", "template", "spec", "nodeSelector"), {"zone": "b"}),
        (("spec", "template", "spec", "volumes", 2), {"name": "tmp", "emptyDir": {}}),
        ((*CONTAINER, "ports"), [{"name": "http", "containerPort": 9090}]),
        ((*CONTAINER, "resources"), {"requests": {"cpu": "999m"}}),
        (("spec", "template", "metadata", "annotations"), {"other": "1"}),
    ],
)
async def test_what_is_no_longer_desired_disappears(kube: Kube, owner: Live, audit: Audit, path: tuple[str | int, ...], value: Any) -> None:
    manifest = children.deployment(owner)
    await reconcile(kube, owner, manifest)
    smaller = _with(manifest, path, value)
    changed = await reconcile(kube, owner, smaller)
    assert changed.changed == (key_of(manifest),)
    found = dig(changed.live[key_of(manifest)], *path)
    fresh = await kube.apply(smaller | {"metadata": smaller["metadata"] | {"name": "fresh"}}, dry_run=True)
    assert found == dig(fresh, *path)
    audit.reset()
    await reconcile(kube, owner, smaller)
    assert audit.writes() == []


async def test_the_order_of_variables_is_part_of_the_desire(kube: Kube, owner: Live, audit: Audit) -> None:
    manifest = children.deployment(owner)
    await reconcile(kube, owner, manifest)
    variables = list(reversed(dig(manifest, *CONTAINER, "env")))
    turned = _with(manifest, (*CONTAINER, "env"), variables)
    changed = await reconcile(kube, owner, turned)
    assert [variable["name"] for variable in dig(changed.live[key_of(manifest)], *CONTAINER, "env")] == [
        variable["name"] for variable in variables
    ]
    audit.reset()
    await reconcile(kube, owner, turned)
    assert audit.writes() == []


async def test_an_object_of_somebody_else_is_not_taken_over(
    kube: Kube, owner: Live, namespace: str, control_plane: ControlPlane, audit: Audit
) -> None:
    control_plane.kubectl("-n", namespace, "create", "service", "clusterip", "demo-api-server", "--tcp=80")
    rest = (children.service_account(owner), children.service(owner))
    applied = await reconcile(kube, owner, *rest)
    (refusal,) = applied.refused
    assert (refusal.key, refusal.reason) == (key_of(rest[1]), "NameConflict")
    assert "demo-api-server" in refusal.message
    assert refusal.key not in applied.live
    assert audit.writes() == ["patch serviceaccounts/demo-scheduler"]


async def test_a_child_of_another_resource_is_not_taken_over(kube: Kube, owner: Live, namespace: str) -> None:
    other = await kube.create(children.owner_manifest(namespace, "other"))
    theirs = await kube.apply(children.deployment(other))
    applied = await reconcile(kube, owner, children.deployment(owner))
    assert [refusal.reason for refusal in applied.refused] == ["NameConflict"]
    assert "ConfigMap other" in applied.refused[0].message
    # It carries no label of ours, and one that did would not be pruned either.
    pruned = await apply(kube, Desired(()), [theirs], owner=owner)
    assert (pruned.pruned, dict(pruned.live)) == ((), {})


async def test_a_child_that_lost_its_label_gets_it_back(kube: Kube, owner: Live, namespace: str, control_plane: ControlPlane) -> None:
    manifest = children.service(owner)
    await reconcile(kube, owner, manifest)
    control_plane.kubectl("-n", namespace, "label", "service/demo-api-server", f"{labels.CLUSTER}-", f"{labels.MANAGED_BY}-")
    again = await reconcile(kube, owner, manifest)
    assert again.changed == (key_of(manifest),)
    assert again.live[key_of(manifest)]["metadata"]["labels"] == manifest["metadata"]["labels"]


async def test_prunes_what_is_not_desired_kept_or_data(
    kube: Kube, owner: Live, namespace: str, control_plane: ControlPlane, audit: Audit
) -> None:
    maps = [children.config_map(owner, f"demo-config-{number}") for number in range(3)]
    retained = children.secret(owner)
    retained["metadata"] |= {"labels": labels.retained(retained["metadata"]["labels"]), "ownerReferences": []}
    claim = children.claim(owner)
    await reconcile(kube, owner, *maps, retained, claim)
    # Somebody's own object that copied our labels.
    control_plane.kubectl("-n", namespace, "create", "configmap", "theirs")
    control_plane.kubectl("-n", namespace, "label", "configmap/theirs", f"{labels.CLUSTER}={children.CLUSTER}")
    audit.reset()
    applied = await reconcile(kube, owner, maps[0], keep=frozenset({key_of(maps[1])}))
    assert applied.pruned == (key_of(maps[2]),)
    assert audit.writes() == ["delete configmaps/demo-config-2"]
    assert {key.name for key in applied.live} == {"demo-config-0", "demo-config-1", "demo-connection", "demo-logs", "theirs"}


async def test_prunes_nothing_while_something_new_is_refused(kube: Kube, owner: Live, namespace: str, control_plane: ControlPlane) -> None:
    old, new = children.config_map(owner, "demo-config-old"), children.config_map(owner, "demo-config-new")
    await reconcile(kube, owner, old)
    control_plane.kubectl("-n", namespace, "create", "quota", "few", "--hard=count/configmaps=1")

    async def quota_counts() -> bool:
        quota = json.loads(control_plane.kubectl("-n", namespace, "get", "quota", "few", "-o", "json").stdout)
        return bool(dig(quota, "status", "used"))

    await eventually(quota_counts)
    applied = await reconcile(kube, owner, new)
    assert [refusal.reason for refusal in applied.refused] == ["Forbidden"]
    assert "exceeded quota" in applied.refused[0].message
    assert applied.pruned == ()
    assert key_of(old) in applied.live


async def test_a_binding_to_another_role_replaces_the_old_one(kube: Kube, owner: Live) -> None:
    manifest = children.role_binding(owner)
    before = (await reconcile(kube, owner, manifest)).live[key_of(manifest)]
    changed = _with(manifest, ("roleRef", "name"), "edit")
    applied = await reconcile(kube, owner, changed, prove=True)
    assert not applied.refused
    after = await kube.get(ROLE_BINDING, *key_of(manifest)[2:])
    assert dig(after, "roleRef", "name") == "edit"
    assert dig(after, "metadata", "uid") != before["metadata"]["uid"]


async def test_a_job_with_another_template_replaces_the_old_one(kube: Kube, owner: Live) -> None:
    manifest = children.job(owner)
    before = (await reconcile(kube, owner, manifest)).live[key_of(manifest)]
    changed = _with(manifest, (*CONTAINER, "args"), ["other"])

    async def replaced() -> bool:
        await reconcile(kube, owner, changed)
        live = await kube.get(JOB, *key_of(manifest)[2:])
        return dig(live, *CONTAINER, "args") == ["other"] and dig(live, "metadata", "uid") != before["metadata"]["uid"]

    await eventually(replaced)


async def test_an_immutable_config_map_that_is_not_what_its_name_says_is_replaced(kube: Kube, owner: Live) -> None:
    manifest = children.config_map(owner)
    await reconcile(kube, owner, _with(manifest, ("data", "airflow.cfg"), "tampered"))
    applied = await reconcile(kube, owner, manifest)
    assert not applied.refused
    assert dig(await kube.get(CONFIG_MAP, *key_of(manifest)[2:]), "data") == manifest["data"]


async def test_a_stateful_set_is_replaced_without_its_pods(kube: Kube, owner: Live, namespace: str) -> None:
    manifest = children.stateful_set(owner)
    await reconcile(kube, owner, children.service_account(owner), manifest)

    async def pods() -> set[str]:
        return {pod["metadata"]["uid"] for pod in await kube.list(POD, namespace, labels=f"{labels.COMPONENT}=triggerer")}

    before = await eventually(pods)
    changed = _with(manifest, ("spec", "volumeClaimTemplates", 0, "spec", "resources", "requests", "storage"), "2Gi")
    reasons: list[str] = []

    async def replaced() -> bool:
        applied = await reconcile(kube, owner, children.service_account(owner), changed)
        reasons.extend(refusal.reason for refusal in applied.refused)
        claims = dig(await kube.get(STATEFUL_SET, *key_of(manifest)[2:]), "spec", "volumeClaimTemplates")
        return bool(claims) and claims[0]["spec"]["resources"]["requests"]["storage"] == "2Gi"

    await eventually(replaced)
    assert set(reasons) <= {"Terminating"}
    assert await pods() == before


async def test_an_immutable_field_that_may_not_be_replaced_is_refused(kube: Kube, owner: Live) -> None:
    manifest = children.deployment(owner)
    await reconcile(kube, owner, manifest)
    other = {"matchLabels": {"other": "1"}}
    changed = _with(_with(manifest, ("spec", "selector"), other), ("spec", "template", "metadata", "labels"), other["matchLabels"])
    applied = await reconcile(kube, owner, changed)
    (refusal,) = applied.refused
    assert refusal.reason == "Invalid"
    assert "immutable" in refusal.message
    assert dig(await kube.get(DEPLOYMENT, *key_of(manifest)[2:]), "spec", "selector") == manifest["spec"]["selector"]


@pytest.mark.parametrize("make", [children.stateful_set, children.job, children.role_binding])
async def test_an_invalid_change_deletes_nothing(kube: Kube, owner: Live, audit: Audit, make: Callable[[Live], Manifest]) -> None:
    manifest = make(owner)
    await reconcile(kube, owner, manifest)
    bad = {children.role_binding: ("subjects", 0, "kind")}.get(make, (*CONTAINER, "imagePullPolicy"))
    audit.reset()
    applied = await reconcile(kube, owner, _with(manifest, bad, "Nonsense"))
    assert [refusal.reason for refusal in applied.refused] == ["Invalid"]
    assert not any(request.startswith("delete") for request in audit.writes())


@pytest.mark.parametrize(
    ("path", "value", "word"),
    [
        (("spec", "template", "spec", "hostNet"), True, "hostNet"),
        ((*CONTAINER, "imagePullPolicy"), "Sometimes", "imagePullPolicy"),
        ((*CONTAINER, "env"), [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}], "duplicate"),
        (("spec", "template", "spec", "volumes", 3), {"name": "home", "emptyDir": []}, "emptyDir"),
    ],
)
async def test_proof_by_dry_run_writes_nothing_when_one_is_refused(
    kube: Kube, owner: Live, audit: Audit, path: tuple[str | int, ...], value: Any, word: str
) -> None:
    bad = _with(children.deployment(owner), path, value)
    with pytest.raises(InvalidSpec, match=word) as caught:
        await reconcile(kube, owner, children.service_account(owner), bad, prove=True)
    assert caught.value.reason == "Refused"
    assert "Deployment" in caught.value.message
    assert [request for request in audit.writes() if "dry run" not in request] == []


async def test_proof_tries_only_what_would_change(kube: Kube, owner: Live, audit: Audit) -> None:
    everything = children.everything(owner)
    await reconcile(kube, owner, *everything)
    audit.reset()
    changed = [*everything[:-1], _with(everything[-1], (*CONTAINER, "args"), ["other"])]
    await reconcile(kube, owner, *changed, prove=True)
    assert audit.writes() == ["patch deployments/demo-scheduler (dry run)", "patch deployments/demo-scheduler"]


async def test_a_child_that_is_being_deleted_is_waited_for(kube: Kube, owner: Live, namespace: str, audit: Audit) -> None:
    held = children.service(owner)
    held["metadata"]["finalizers"] = ["example.com/hold"]
    await reconcile(kube, owner, held)
    await kube.delete(kind_of(held), namespace, held["metadata"]["name"])
    audit.reset()
    applied = await reconcile(kube, owner, held)
    assert [refusal.reason for refusal in applied.refused] == ["Terminating"]
    assert audit.writes() == []
    await kube.patch(kind_of(held), namespace, held["metadata"]["name"], [{"op": "remove", "path": "/metadata/finalizers"}])
    assert (await reconcile(kube, owner, held)).changed == (key_of(held),)


async def test_children_of_an_earlier_owner_of_the_same_name_are_waited_for(kube: Kube, owner: Live, namespace: str) -> None:
    stale = {**owner, "metadata": {**owner["metadata"], "uid": "00000000-0000-0000-0000-000000000000"}}
    theirs = dict(await kube.apply(children.service(stale), dry_run=True))
    applied = await apply(kube, Desired((children.service(owner),)), [theirs], owner=owner)
    assert [refusal.reason for refusal in applied.refused] == ["Terminating"]
    assert dict(applied.live) == {}


async def test_a_claim_grows_but_never_goes(kube: Kube, owner: Live, control_plane: ControlPlane, namespace: str) -> None:
    claim = children.claim(owner)
    await reconcile(kube, owner, claim)
    smaller = _with(claim, ("spec", "resources", "requests", "storage"), "1Mi")
    applied = await reconcile(kube, owner, smaller)
    assert [refusal.reason for refusal in applied.refused] == ["Invalid"] or [refusal.reason for refusal in applied.refused] == [
        "Forbidden"
    ]
    assert await kube.get(PERSISTENT_VOLUME_CLAIM, namespace, "demo-logs")
