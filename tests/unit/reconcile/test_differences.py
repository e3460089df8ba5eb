"""Where an object is not as desired, in paths that a person reads."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_operator.reconcile.fields import Difference, compared, differences


def deployment(**container: Any) -> dict[str, Any]:
    template = {"spec": {"containers": [{"name": "scheduler", "image": "airflow:1", **container}]}}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "namespace": "n"}, "spec": {"template": template}}


OWNED = {
    "f:spec": {
        "f:template": {
            "f:spec": {
                "f:containers": {
                    'k:{"name":"scheduler"}': {
                        ".": {},
                        "f:name": {},
                        "f:image": {},
                        "f:args": {},
                        "f:resources": {"f:requests": {"f:cpu": {}}},
                    }
                }
            }
        }
    }
}


def live(entries: dict[str, Any] | None = None, **container: Any) -> dict[str, Any]:
    found = deployment(args=["a", "b"], resources={"requests": {"cpu": "1"}}, **container)
    entry = {"manager": "airflow-operator", "operation": "Apply", "apiVersion": "apps/v1", "fieldsV1": OWNED}
    found["metadata"]["managedFields"] = [entry, *([{"manager": "other", "operation": "Update", "fieldsV1": entries}] if entries else [])]
    return found


AT = "spec.template.spec.containers[scheduler]"


def test_a_value_an_addition_and_a_removal() -> None:
    wanted = deployment(image="airflow:2", resources={"requests": {"cpu": "1000m", "memory": "1Gi"}})
    assert sorted(differences(wanted, live()), key=lambda it: it.path) == [
        Difference(f"{AT}.args", ["a", "b"], None),
        Difference(f"{AT}.image", "airflow:1", "airflow:2"),
        Difference(f"{AT}.resources.requests.memory", None, "1Gi"),
    ]


def test_what_nobody_changed_and_what_the_api_server_adds_is_no_difference() -> None:
    wanted = deployment(args=["a", "b"], resources={"requests": {"cpu": "1"}})
    assert differences(wanted, live(terminationMessagePath="/dev/termination-log")) == ()


def test_a_container_that_others_put_in_is_told() -> None:
    found = live({"f:spec": {"f:template": {"f:spec": {"f:containers": {'k:{"name":"proxy"}': {".": {}, "f:name": {}}}}}}})
    found["spec"]["template"]["spec"]["containers"].append({"name": "proxy"})
    wanted = deployment(args=["a", "b"], resources={"requests": {"cpu": "1"}})
    assert differences(wanted, found) == (Difference("spec.template.spec.containers.1", {"name": "proxy"}, None),)


def test_list_items_are_told_apart_by_their_name_and_order_counts() -> None:
    one, two = {"name": "A", "value": "1"}, {"name": "B", "value": "2"}
    assert compared([one, two], [one, {**two, "value": "3"}], "env") == (Difference("env[B].value", "2", "3"),)
    assert compared([one], [one, two], "env") == (Difference("env[B]", None, two),)
    assert compared([one, two], [two], "env") == (Difference("env[A]", one, None),)
    assert compared([one, two], [two, one], "env") == (Difference("env", ["A", "B"], ["B", "A"]),)


@pytest.mark.parametrize(("old", "new"), [(["a"], ["a", "b"]), ({"x": 1}, "text"), (1, True)])
def test_what_has_no_names_is_compared_as_a_whole(old: Any, new: Any) -> None:
    assert compared(old, new, "it") == (Difference("it", old, new),)
