"""The operator is killed again and again during a first roll-out, which ends as if nothing had happened."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from airflow_operator.domain import names
from tests.e2e.deployment import CLUSTER, READY_WITHIN, Deployment
from tests.e2e.diagnose import diagnose
from tests.e2e.kubectl import Kubectl, Object
from tests.e2e.prepare import OPERATOR, OPERATOR_NAMESPACE
from tests.e2e.waiting import Stopwatch, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]

Picture = dict[str, Object]


def there(prefix: str) -> Callable[[Picture], bool]:
    return lambda seen: any(name.startswith(prefix) for name in seen)


def starting(seen: Picture) -> bool:
    """Some component serves already, while the whole is not Ready."""
    return any(
        item.get("status", {}).get("readyReplicas")
        for name, item in seen.items()
        if name.startswith(("Deployment etl-", "StatefulSet etl-"))
    )


MOMENTS: dict[str, Callable[[Picture], bool]] = {
    "just applied": there(f"AirflowCluster {CLUSTER}"),
    "database being made": there(f"Job {CLUSTER}-provision-"),
    "schema being migrated": there(f"Job {CLUSTER}-migrate-"),
    "components being made": there(f"Deployment {CLUSTER}-api-server"),
    "components starting": starting,
}


def kill_operator(root: Kubectl, killed: set[str]) -> None:
    """Kill the pod that leads, without grace; one that was killed before does not count."""
    operator = root.within(OPERATOR_NAMESPACE)

    def leading() -> str:
        lease = operator.get("lease", OPERATOR) or {"spec": {}}
        name = str(lease["spec"].get("holderIdentity", "")).partition("_")[0]
        pod = operator.get("pod", name) if name else None
        if pod is None or pod["metadata"]["uid"] in killed or pod["status"].get("phase") != "Running":
            return ""
        killed.add(pod["metadata"]["uid"])
        return name

    name = until("a replica of the operator leads", leading, within=90, every=0.2)
    operator("delete", "pod", name, "--grace-period=0", "--force")


def test_same_end_state(deployed: Deployment, another: Deployment) -> None:
    killed: set[str] = set()
    clock = Stopwatch()
    another.apply()
    for moment, reached in MOMENTS.items():

        def look(reached: Callable[[Picture], bool] = reached) -> bool:
            seen = another.kubectl.list("afc,jobs,deploy,sts")
            return reached({f"{item['kind']} {item['metadata']['name']}": item for item in seen})

        until(moment, look, within=READY_WITHIN, every=0.2, saying=lambda: diagnose(another.kubectl))
        was_ready = another.ready
        kill_operator(another.root, killed)
        print(f"{clock.seconds:5.1f} s: operator killed, {moment}")
        assert not was_ready, f"{moment}: the roll-out was over before the operator was killed"
        if moment == "database being made":
            # Keys begin as the copy beside the base.
            copy = names.keys_copy(another.namespace, CLUSTER)
            keys = another.kubectl.secret(copy)
    another.wait_until_ready()
    print(f"{clock.seconds:5.1f} s: Ready")
    # git-sync tells each commit once: the one that came while the operator was down is not lost.
    another.wait_until_settled()

    assert len(killed) == len(MOMENTS)
    assert another.kubectl.secret(copy) == keys
    assert another.kubectl.secret(names.keys(CLUSTER)) == keys
    assert another.end_state() == deployed.first_state
    migrations = [
        event["involvedObject"]["name"]
        for event in json.loads(another.kubectl("get", "events", "--field-selector=reason=SuccessfulCreate", "--output=json"))["items"]
        if event["involvedObject"]["name"].startswith(f"{CLUSTER}-migrate-")
    ]
    assert len(migrations) == 1, "the schema was migrated once, by one pod"
    another.airflow().run_dag("hello")
