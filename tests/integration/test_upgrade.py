"""The operator's own upgrade: the last release made the clusters, this one takes over, and nobody's pods notice."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from airflow_operator.kube.protocol import Kube
from devcluster.control_plane import ControlPlane
from tests.integration.players import PodPlayer
from tests.integration.running import install_crds
from tests.integration.scenario import Stage
from tests.integration.upgrading import NoHistory, Takeover, Upgrade, imported_from, unexplained, unpack_release, unused

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

SAMPLES = (
    "quickstart",
    "scheduler-ha",
    "local-executor",
    "two-repositories",
    "airflow-2",
    "airflow-3.0",
    "external-postgres",
    "own-database",
    "logs-volume",
)
"""The first has the base of most others. All of KubernetesExecutor, LocalExecutor, both majors, both kinds of servers."""

ROLLED: Mapping[str, str] = {}
"""Pod templates that must change, such as `deployments/*-scheduler`, with the reason. Empty after a release."""
WRITTEN: Mapping[str, str] = {}
"""Writes to children that must be, such as `patch services/*-api-server`, with the reason. Empty after a release."""


@pytest.fixture
def control_plane() -> Iterator[ControlPlane]:
    """One of its own: the CRDs of other tests are those of today."""
    with ControlPlane(controller_manager=True) as running:
        yield running


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source of the last release."""
    directory = tmp_path_factory.mktemp("earlier")
    try:
        print(f"upgrade from {unpack_release(directory)}")
    except NoHistory as error:
        if "UPGRADE_FROM" in os.environ:
            raise
        pytest.skip(f"The upgrade was not tried: {error}.")
    assert imported_from(directory / "operator") == directory / "operator" / "airflow_operator"
    return directory


@pytest.fixture
def our_kinds(control_plane: ControlPlane, earlier: Path) -> None:
    """The CRDs of the last release."""
    install_crds(control_plane, earlier / "crds")


@pytest.fixture
def stage(our_kinds: None, control_plane: ControlPlane, namespace: str, admin: Kube, player: PodPlayer) -> Stage:
    """Both operators are the cluster's administrator: the earlier one's rights are those of its own install."""
    return Stage(control_plane, namespace, admin, player)


@pytest.fixture
def upgrade(stage: Stage, earlier: Path, tmp_path: Path) -> Upgrade:
    return Upgrade(stage, earlier, tmp_path)


async def test_nobody_is_restarted_and_nothing_is_written(upgrade: Upgrade) -> None:
    done = await upgrade.run(SAMPLES)
    print(told(done))
    assert {status for status, _ in done.before.ready.values()} == {"True"}
    assert done.after.ready == done.before.ready, "each stayed ready all the while"
    assert unexplained(done.templates, ROLLED) == []
    assert done.restarted == set() or ROLLED
    assert unexplained(done.writes, WRITTEN) == []
    assert unexplained({f"delete {name}" for name in done.deleted}, WRITTEN) == []
    assert done.after.uids("jobs/") == done.before.uids("jobs/"), "nothing is checked, migrated or provisioned again"
    assert unused(ROLLED, done.templates) + unused(WRITTEN, done.writes) == [], "these reasons are no longer needed"


async def test_a_template_that_changes_would_be_seen(upgrade: Upgrade) -> None:
    # The earlier operator has an image of git-sync that the present one does not know of.
    done = await upgrade.run(("quickstart", "local-executor"), git_sync_image="example.com/git-sync:v4.0.0")
    print(told(done))
    assert "deployments/small-scheduler" in unexplained(done.templates, {})
    assert "patch deployments/small-scheduler" in unexplained(done.writes, {})
    assert done.restarted


def test_a_history_without_the_release_is_said_to_be_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("UPGRADE_FROM", "0" * 40)
    with pytest.raises(NoHistory, match=f"no commit {'0' * 40}"):
        unpack_release(tmp_path)


def told(done: Takeover) -> str:
    """The figures."""
    return (
        f"{len(done.before.ready)} resources, {len(done.before.children)} children, {len(done.before.pods)} pods: "
        f"{len(done.restarted)} pods restarted, {sum(done.writes.values())} writes to children, {done.statuses} of status; "
        f"templates changed: {sorted(done.templates) or 'none'}"
    )
