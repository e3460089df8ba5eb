"""Reading managedFields: forms as the API server 1.37 writes them (the integration tests prove them on a real one)."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_operator.reconcile.fields import foreign_paths, is_applied, is_managed, same_quantity

Fields = dict[str, Any]


def entry(fields: Fields, manager: str = "airflow-operator", operation: str = "Apply", **more: str) -> dict[str, Any]:
    return {"manager": manager, "operation": operation, "apiVersion": "apps/v1", "fieldsType": "FieldsV1", "fieldsV1": fields, **more}


def desired(spec: Any) -> dict[str, Any]:
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a", "namespace": "b"}, "spec": spec}


def live(spec: Any, *entries: dict[str, Any]) -> dict[str, Any]:
    made = desired(spec)
    made["metadata"] |= {"uid": "1", "resourceVersion": "7", "managedFields": list(entries)}
    return made | {"status": {"replicas": 1}}


ENV = {"f:env": {'k:{"name":"A"}': {".": {}, "f:name": {}, "f:value": {}}, 'k:{"name":"B"}': {".": {}, "f:name": {}, "f:value": {}}}}
A, B = {"name": "A", "value": "1"}, {"name": "B", "value": "2"}
CLAIM = {"metadata": {"name": "data"}, "spec": {"resources": {"requests": {"storage": "1024Mi"}}}}
CLAIM_BACK = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "data", "creationTimestamp": None},
    "spec": {"resources": {"requests": {"storage": "1Gi"}}, "volumeMode": "Filesystem"},
    "status": {"phase": "Pending"},
}

SAME: dict[str, tuple[Any, Any, Fields]] = {
    "scalar": ({"replicas": 1}, {"replicas": 1, "paused": True}, {"f:replicas": {}}),
    "zero that is left out": ({"hostNetwork": False, "args": []}, {}, {"f:hostNetwork": {}, "f:args": {}}),
    "quantity": (
        {"requests": {"cpu": "1000m", "memory": "1024Mi"}, "limits": {"cpu": 2}},
        {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "2"}},
        {"f:requests": {"f:cpu": {}, "f:memory": {}}, "f:limits": {"f:cpu": {}}},
    ),
    "size limit": ({"emptyDir": {"sizeLimit": "1024Mi"}}, {"emptyDir": {"sizeLimit": "1Gi"}}, {"f:emptyDir": {"f:sizeLimit": {}}}),
    "keyed list": ({"env": [A, B]}, {"env": [A, B]}, ENV),
    "keyed list with an item of others between": ({"env": [A, B]}, {"env": [A, {"name": "X"}, B]}, ENV),
    "port without protocol": (
        {"ports": [{"containerPort": 53}, {"containerPort": 53, "protocol": "UDP"}]},
        {"ports": [{"containerPort": 53, "protocol": "TCP"}, {"containerPort": 53, "protocol": "UDP"}]},
        {
            "f:ports": {
                'k:{"containerPort":53,"protocol":"TCP"}': {".": {}, "f:containerPort": {}},
                'k:{"containerPort":53,"protocol":"UDP"}': {".": {}, "f:containerPort": {}, "f:protocol": {}},
            }
        },
    ),
    "keyed list of whole items": (
        {"imagePullSecrets": [{"name": "r"}]},
        {"imagePullSecrets": [{"name": "r"}]},
        {"f:imagePullSecrets": {'k:{"name":"r"}': {}}},
    ),
    "set": ({"finalizers": ["b", "a"]}, {"finalizers": ["a", "c", "b"]}, {"f:finalizers": {'v:"a"': {}, 'v:"b"': {}}}),
    "default inside a whole value": (
        {"fieldRef": {"fieldPath": "metadata.name"}},
        {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}},
        {"f:fieldRef": {}},
    ),
    "claim template": ({"volumeClaimTemplates": [CLAIM]}, {"volumeClaimTemplates": [CLAIM_BACK]}, {"f:volumeClaimTemplates": {}}),
    "empty structure": ({"emptyDir": {}}, {"emptyDir": {}}, {"f:emptyDir": {}}),
}

DIFFERENT: dict[str, tuple[Any, Any, Fields]] = {
    "value": ({"replicas": 1}, {"replicas": 2}, {"f:replicas": {}}),
    "number for a flag": ({"flag": True}, {"flag": 1}, {"f:flag": {}}),
    "field that is not owned": ({"replicas": 1, "paused": True}, {"replicas": 1, "paused": True}, {"f:replicas": {}}),
    "field that is no longer desired": ({"replicas": 1}, {"replicas": 1, "paused": True}, {"f:replicas": {}, "f:paused": {}}),
    "variable that looks like a quantity": ({"env": [{"name": "A", "value": "1000m"}, B]}, {"env": [A, B]}, ENV),
    "order of a keyed list": ({"env": [B, A]}, {"env": [A, B]}, ENV),
    "item that is missing": ({"env": [A, B]}, {"env": [A]}, ENV),
    "item that is no longer desired": ({"env": [A]}, {"env": [A, B]}, ENV),
    "item that is new": ({"env": [A, B, {"name": "C", "value": "3"}]}, {"env": [A, B, {"name": "C", "value": "3"}]}, ENV),
    "member of a set that is missing": ({"finalizers": ["a"]}, {"finalizers": ["b"]}, {"f:finalizers": {'v:"a"': {}}}),
    "whole map with a key too many": ({"nodeSelector": {"a": "1"}}, {"nodeSelector": {"a": "1", "b": "2"}}, {"f:nodeSelector": {}}),
    "whole list with an item too many": ({"args": ["a"]}, {"args": ["a", "b"]}, {"f:args": {}}),
    "emptied value": ({"env": [{"name": "A", "value": ""}, B]}, {"env": [A, B]}, ENV),
    "size of a claim template": (
        {"volumeClaimTemplates": [CLAIM]},
        {"volumeClaimTemplates": [CLAIM_BACK | {"spec": {"resources": {"requests": {"storage": "2Gi"}}}}]},
        {"f:volumeClaimTemplates": {}},
    ),
    "another form": ({"env": {"A": "1"}}, {"env": [A, B]}, ENV),
    "something that nobody could apply": ({"env": [{"name": {}}, B]}, {"env": [A, B]}, ENV),
}


@pytest.mark.parametrize("case", SAME)
def test_is_applied(case: str) -> None:
    wanted, found, fields = SAME[case]
    assert is_applied(desired(wanted), live(found, entry({"f:spec": fields})))


@pytest.mark.parametrize("case", DIFFERENT)
def test_is_not_applied(case: str) -> None:
    wanted, found, fields = DIFFERENT[case]
    assert not is_applied(desired(wanted), live(found, entry({"f:spec": fields})))


@pytest.mark.parametrize(
    "other",
    [
        entry({"f:spec": {"f:replicas": {}}}, manager="kubectl"),
        entry({"f:spec": {"f:replicas": {}}}, operation="Update"),
        entry({"f:spec": {"f:replicas": {}}}, subresource="scale"),
        entry({"f:spec": {"f:replicas": {}}}, apiVersion="apps/v1beta1"),
    ],
)
def test_only_what_our_manager_applied_counts(other: dict[str, Any]) -> None:
    assert not is_applied(desired({"replicas": 1}), live({"replicas": 1}, other))


def test_an_object_is_compared_outside_its_spec_too() -> None:
    wanted: dict[str, Any] = {
        "apiVersion": "apps/v1",
        "kind": "Secret",
        "metadata": {"name": "a", "labels": {"x": "y"}},
        "data": {"k": "dg=="},
    }
    fields = {"f:metadata": {"f:labels": {"f:x": {}}}, "f:data": {"f:k": {}}}
    found = deepcopy(wanted)
    found["metadata"]["managedFields"] = [entry(fields)]
    assert is_applied(wanted, found)
    found["data"]["k"] = "dw=="
    assert not is_applied(wanted, found)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("1000m", "1", True),
        ("1024Mi", "1Gi", True),
        (2, "2", True),
        ("0.5", "500m", True),
        ("1e3", "1k", True),
        ("1.", "1", True),
        ("1k", "1Ki", False),
        ("1E", "1e18", True),
        ("100", "100m", False),
        ("much", "much", False),
        ("", "0", False),
    ],
)
def test_quantities_are_compared_by_value(one: object, other: object, same: bool) -> None:
    assert same_quantity(one, other) is same


@given(st.integers(0, 10**9))
def test_every_quantity_equals_its_thousandths(number: int) -> None:
    assert same_quantity(f"{number * 1000}m", str(number))
    assert same_quantity(f"{number}Ki", str(number * 1024))
    assert not same_quantity(f"{number}m", str(number + 1))


def template(containers: list[Any], **pod: Any) -> dict[str, Any]:
    return {"template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": containers, **pod}}}


def owned(*variables: str, container: Fields | None = None, **pod: Fields) -> Fields:
    env = {f'k:{{"name":"{name}"}}': {".": {}, "f:name": {}, "f:value": {}} for name in variables}
    inside = {**({"f:env": env} if env else {}), **(container or {})}
    return {
        "f:spec": {
            "f:template": {"f:spec": {"f:containers": {'k:{"name":"c"}': inside}, **{f"f:{key}": value for key, value in pod.items()}}}
        }
    }


OURS = entry(owned("A", "B"))
C = {"name": "c", "env": [A, B]}


def test_what_others_add_is_foreign_and_comes_last_item_first() -> None:
    theirs = entry(
        owned("X", "Y", container={"f:readinessProbe": {"f:periodSeconds": {}, "f:tcpSocket": {"f:port": {}}}}, hostPID={}), "kubectl"
    )
    found = live(
        template([{"name": "c", "env": [A, {"name": "X"}, B, {"name": "Y"}], "readinessProbe": {"tcpSocket": {"port": 1}}}], hostPID=True),
        OURS,
        theirs,
    )
    assert foreign_paths(desired(template([C])), found) == (
        "/spec/template/spec/hostPID",
        "/spec/template/spec/containers/0/readinessProbe",
        "/spec/template/spec/containers/0/env/3",
        "/spec/template/spec/containers/0/env/1",
    )


def test_defaults_and_what_others_only_changed_are_not_foreign() -> None:
    changed = entry({"f:spec": {"f:replicas": {}, **owned("A")["f:spec"]}}, "kubectl-edit", "Update")
    found = live(template([{"name": "c", "env": [{"name": "A", "value": "9"}, B]}], dnsPolicy="ClusterFirst"), OURS, changed)
    assert foreign_paths(desired(template([C])), found) == ()


def test_a_variable_that_became_a_reference_loses_only_that() -> None:
    theirs = entry(owned(container={"f:env": {'k:{"name":"A"}': {"f:valueFrom": {"f:fieldRef": {}}}}}), "kubectl")
    found = live(template([{"name": "c", "env": [{"name": "A", "valueFrom": {"fieldRef": {}}}, B]}]), OURS, theirs)
    assert foreign_paths(desired(template([C])), found) == ("/spec/template/spec/containers/0/env/0/valueFrom",)


def test_a_restart_by_kubectl_is_allowed_and_its_neighbour_is_not() -> None:
    annotations = {"kubectl.kubernetes.io/restartedAt": "now", "other/thing": "x"}
    fields = {"f:annotations": {".": {}, **{f"f:{name}": {} for name in annotations}}}
    found = live(
        {"template": {"metadata": {"annotations": annotations}}}, OURS, entry({"f:spec": {"f:template": {"f:metadata": fields}}}, "kubectl")
    )
    assert foreign_paths(desired(template([C])), found) == ("/spec/template/metadata/annotations/other~1thing",)
    assert len(foreign_paths(desired(template([C])), found, allow=frozenset())) == 1
    assert foreign_paths(desired(template([C])), found, allow=frozenset()) == ("/spec/template/metadata/annotations",)


def test_nobody_owns_what_lost_its_owners() -> None:
    nobody = entry(owned("A", "B", dnsPolicy={}), "before-first-apply", "Update")
    assert foreign_paths(desired(template([C])), live(template([C], dnsPolicy="ClusterFirst"), OURS, nobody)) == ()


def test_fields_that_are_gone_and_kinds_without_a_template_are_no_matter() -> None:
    gone = entry(owned("Z", hostIPC={}), "kubectl")
    assert foreign_paths(desired(template([C])), live(template([C]), OURS, gone)) == ()
    assert foreign_paths(desired({"replicas": 1}), live({"replicas": 1})) == ()


def test_managed_means_any_field_of_ours() -> None:
    assert is_managed(live({}, entry({}, "kubectl"), entry({}, operation="Update")))
    assert not is_managed(live({}, entry({}, "kubectl")))
