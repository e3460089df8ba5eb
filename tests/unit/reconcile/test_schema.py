"""Is the schema the image's? Every state that Jobs can be found in, and whole histories."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_operator.domain.manifest import ObjectKey
from airflow_operator.reconcile import schema
from airflow_operator.reconcile.evidence import DATABASE, IMAGE, REQUEST, SUPERSEDES, Evidence
from airflow_operator.reconcile.schema import Provisioned
from tests.unit.factory import NOW

IDENTITY = "7/16384"
A, B, C = "airflow:a", "airflow:b", "airflow:c"
LONG_AGO = NOW - timedelta(hours=1)
PULL = ("ImageCannotBePulled", "container migrate: no such image")


def job(component, image=A, verdict="", *, state="Done", identity=IDENTITY, uid="", ended=LONG_AGO, **more):
    """A Job as the plan sees it."""
    obstacle, created = more.pop("obstacle", None), more.pop("created", None)
    name = uid or f"{component}-{image}"
    return Evidence(
        key=ObjectKey("batch/v1", "Job", "team", name),
        uid=name,
        component=component,
        annotations={DATABASE: identity, IMAGE: image, REQUEST: "x"},
        state=state,
        result={"result": verdict, **more} if verdict else {},
        ended=None if state == "Running" else ended,
        created=created,
        obstacle=obstacle,
    )


def provisioned(*, empty=False, identity=IDENTITY):
    return Provisioned(job("provision", verdict="Provisioned", uid="provision"), identity, empty)


def decide(*jobs, image=A, empty=False):
    return schema.decide(jobs, provisioned(empty=empty), image, NOW)


@pytest.mark.parametrize("verdict", ["Unknown", "WrongVersion"])
def test_what_only_others_can_change_is_looked_at_again_after_a_while(verdict):
    shown = decide(job("check", verdict=verdict, database={}, ended=NOW - timedelta(seconds=5)))
    assert shown.state == "Hold"
    again = decide(job("check", verdict=verdict, database={}))
    assert (again.state, [key.name for key in again.discard]) == ("Check", ["check-airflow:a"])


def test_an_empty_database_is_migrated_without_a_look():
    found = decide(empty=True)
    assert (found.state, found.asked_by, json.loads(found.expect)) == ("Migrate", "provision", "Empty")


def test_a_database_with_history_is_looked_at_first():
    assert decide().state == "Check"


def test_a_database_that_was_empty_once_is_not_taken_for_empty_after_a_migration():
    assert decide(job("migrate", B, "Migrated"), image=A, empty=True).state == "Check"


@pytest.mark.parametrize(
    ("jobs", "state", "reason"),
    [
        ([job("migrate", verdict="Migrated")], "Current", "UpToDate"),
        ([job("check", verdict="Current")], "Current", "UpToDate"),
        ([job("check", state="Running")], "Wait", "Checking"),
        ([job("migrate", state="Running")], "Wait", "Migrating"),
        ([job("migrate", B, state="Running")], "Wait", "Migrating"),
        ([job("check", state="Lost")], "Check", "Checking"),
        ([job("migrate", state="Lost")], "Check", "Checking"),
        ([job("migrate", verdict="Stale")], "Check", "Checking"),
        ([job("check", verdict="Behind", database={"airflow": ["a"]})], "Migrate", "Migrating"),
        ([job("check", verdict="Empty", database={"airflow": []})], "Migrate", "Migrating"),
        ([job("check", verdict="Unknown", database={"airflow": ["z"]}, ended=NOW)], "Hold", "UnknownRevision"),
        ([job("check", verdict="WrongVersion", airflowVersion="3.2.0", ended=NOW)], "Hold", "WrongVersion"),
        ([job("check", state="Failed", ended=NOW)], "Hold", "CheckFailed"),
        ([job("check", state="Failed")], "Check", "CheckFailed"),
        ([job("migrate", state="Failed", ended=NOW)], "Hold", "MigrationFailed"),
        ([job("migrate", state="Failed")], "Check", "MigrationFailed"),
        ([job("check", B, "Current")], "Check", "Checking"),
        ([job("check", verdict="Current", identity="7/9")], "Check", "Checking"),
        ([job("migrate", verdict="Migrated", identity="7/9")], "Check", "Checking"),
        ([job("check", state="Running", obstacle=PULL, created=NOW)], "Hold", "ImageCannotBePulled"),
        ([job("check", state="Running", obstacle=PULL, created=LONG_AGO)], "Check", "Checking"),
        ([job("migrate", state="Running", obstacle=PULL, created=NOW)], "Hold", "ImageCannotBePulled"),
        ([job("migrate", state="Running", obstacle=PULL, created=LONG_AGO)], "Check", "Checking"),
        ([job("migrate", B, state="Running", obstacle=PULL, created=NOW)], "Check", "Checking"),
        ([job("migrate", B, state="Running", obstacle=("Unschedulable", "no node"), created=NOW)], "Check", "Checking"),
        ([job("migrate", state="Running", obstacle=("Unschedulable", "no node"), created=LONG_AGO)], "Hold", "Unschedulable"),
    ],
)
def test_what_is_done_next(jobs, state, reason):
    found = decide(*jobs)
    assert (found.state, found.reason) == (state, reason)
    assert found.message
    # What is neither kept nor discarded would be pruned while it is still needed; a step keeps or discards, never both.
    assert not set(found.keep) & set(found.discard)


def test_a_migration_expects_what_the_check_saw():
    found = decide(job("check", verdict="Behind", database={"airflow": ["a"], "fab": []}))
    assert json.loads(found.expect) == {"airflow": ["a"], "fab": []}
    assert found.asked_by == "check-airflow:a"
    assert json.loads(decide(job("check", verdict="Empty")).expect) == "Empty"


def test_every_check_goes_before_a_migration_is_made():
    checks = [job("check", verdict="Behind", database={"airflow": ["a"]}), job("check", B, "Current")]
    migrations = [job("migrate", C, "Migrated"), job("migrate", B, "Migrated", identity="7/9")]
    found = decide(*checks, *migrations)
    assert set(found.discard) == {item.key for item in checks}
    # Without a migration an operator that was killed here would take the database for empty.
    assert set(found.keep) == {item.key for item in migrations}
    assert found.supersedes == ("migrate-airflow:c", "migrate-airflow:b")
    # An empty database too: what was said of another image is void afterwards.
    found = decide(job("check", B, "Current"), empty=True)
    assert (found.state, [key.name for key in found.discard]) == ("Migrate", ["check-airflow:b"])


def test_a_migration_is_void_once_the_one_that_supersedes_it_has_ended():
    old, new = job("migrate", B, "Migrated"), job("migrate", A, state="Running")
    new = replace(new, annotations={**new.annotations, SUPERSEDES: f"another,{old.uid}"})
    assert set(decide(old, new).keep) == {old.key, new.key}
    # One that never started has voided nothing.
    blocked = replace(new, obstacle=PULL, created=LONG_AGO)
    assert (decide(old, blocked).keep, decide(old, blocked).discard) == ((old.key,), (new.key,))
    migrated = replace(new, state="Done", ended=NOW, result={"result": "Migrated"})
    assert decide(old, migrated).keep == (new.key,)
    assert decide(old, migrated, image=B).state == "Check"


def test_a_migration_of_another_image_is_waited_for():
    found = decide(job("migrate", B, state="Running"), job("check", A, "Behind", database={}), image=A)
    assert found.state == "Wait"
    assert [key.name for key in found.keep] == ["migrate-airflow:b"]


def test_migrations_are_kept_until_the_next_one():
    for jobs in ([job("check", verdict="Current")], [job("check", state="Running")], []):
        assert job("migrate", B, "Migrated").key in decide(*jobs, job("migrate", B, "Migrated")).keep


def test_a_failure_is_shown_with_its_words_and_says_when_it_is_tried_again():
    failed = job("migrate", verdict="Failed", state="Failed", ended=NOW - timedelta(seconds=15), message="disk full")
    found = decide(failed)
    assert "disk full" in found.message
    assert found.retry_in == 5
    again = decide(replace(failed, ended=LONG_AGO))
    assert (again.state, again.keep, again.discard) == ("Check", (failed.key,), ())


def test_after_a_failure_the_database_is_looked_at_before_it_is_taken_for_empty():
    failed = job("migrate", verdict="Failed", state="Failed", message="the node died")
    assert decide(failed, empty=True).state == "Check"
    behind = job("check", verdict="Behind", database={"airflow": ["a"]})
    found = decide(failed, behind, empty=True)
    assert (found.state, found.discard, found.supersedes) == ("Migrate", (behind.key,), (failed.uid,))


def test_an_unknown_revision_is_named():
    assert "z9" in decide(job("check", verdict="Unknown", database={"airflow": ["z9"]}, ended=NOW)).message


@dataclass
class World:
    """A database that Jobs look at and migrate, and an operator that only knows `decide`."""

    heads: dict[str, int]
    revision: int = 0
    jobs: list[Evidence] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    count: int = 0
    was_empty: bool = True

    def step(self, image, killed=""):
        """One reconciliation: discard, make, prune. `killed` is the part after which the operator dies."""
        found = schema.decide(self.jobs, provisioned(empty=self.was_empty), image, NOW)
        seen = list(self.jobs)
        self.jobs = [item for item in self.jobs if item.key not in found.discard]
        discarded = len(self.jobs) < len(seen)
        if killed == "discard":
            return found
        if found.state == "Check" and not discarded:
            self._make("check", image)
        if found.state == "Migrate":
            assert not [item for item in self.jobs if item.component == "check"], "a migration is made while its check is there"
            self._make("migrate", image, expect=json.loads(found.expect), supersedes=",".join(found.supersedes))
        if killed == "make":
            return found
        self.jobs = [item for item in self.jobs if item not in seen or item.key in found.keep]
        return found

    def _make(self, component, image, *, expect=None, supersedes=""):
        self.count += 1
        self.asked.append(f"{component} {image[-1]}")
        made = job(component, image, state="Running", uid=f"{component}-{self.count}")
        self.jobs.append(replace(made, annotations={**made.annotations, SUPERSEDES: supersedes}, result={"expect": expect}))

    def work(self):
        """Every Job ends."""
        self.jobs = [self._end(item) if item.state == "Running" else item for item in self.jobs]

    def _end(self, item):
        wanted = self.heads[item.annotations[IMAGE]]
        if item.component == "check":
            verdict = (
                "Current" if self.revision == wanted else "Unknown" if self.revision > wanted else "Behind" if self.revision else "Empty"
            )
            return replace(item, state="Done", ended=NOW, result={"result": verdict, "database": self.revision})
        expect = item.result["expect"]
        if self.revision != wanted and expect != (self.revision or "Empty"):
            return replace(item, state="Done", ended=NOW, result={"result": "Stale"})
        self.revision = max(self.revision, wanted)
        return replace(item, state="Done", ended=NOW, result={"result": "Migrated"})

    def settle(self, image):
        """The state in which nothing more is done."""
        for _ in range(12):
            found = self.step(image)
            if found.state in ("Current", "Hold"):
                return found
            self.work()
        raise AssertionError(f"no end: {self.asked}")


def test_back_and_forth_between_images_with_one_schema():
    world = World({A: 1, B: 1})
    assert [world.settle(image).state for image in (A, B, A, B)] == ["Current"] * 4
    assert world.asked == ["migrate a", "check b", "check b"]


def test_an_older_image_is_held_and_the_newer_one_goes_on():
    world = World({A: 1, B: 2})
    assert [world.settle(image).state for image in (A, B, A, B)] == ["Current", "Current", "Hold", "Current"]
    assert world.asked == ["migrate a", "check b", "migrate b", "check a"]


def test_a_database_that_was_taken_back_by_hand_is_found_by_a_new_image():
    world = World({A: 1, B: 2, C: 3})
    world.settle(A)
    world.settle(B)
    world.revision = 1
    assert world.settle(C).state == "Current"
    assert world.revision == 3


@pytest.mark.parametrize("killed", ["discard", "make"])
def test_an_operator_killed_in_the_middle_of_a_migration_asks_for_no_other(killed):
    world = World({A: 1, B: 2})
    world.settle(A)
    world.step(B)
    world.work()
    world.step(B, killed)
    assert world.settle(B).state == "Current"
    again = ["check b"] if killed == "discard" else []
    assert world.asked == ["migrate a", "check b", *again, "migrate b"]
    assert [item.component for item in world.jobs] == ["migrate"]


IMAGES = st.lists(st.sampled_from([A, B, C]), min_size=1, max_size=6)


@given(IMAGES, st.permutations([1, 2, 3]), st.lists(st.booleans(), max_size=30), st.sampled_from(["", "discard", "make"]), st.booleans())
def test_no_history_ends_with_a_wrong_belief(images, heads, interruptions, killed, forgetful):
    world = World(dict(zip((A, B, C), heads, strict=True)))
    for image in images:
        for interrupted in interruptions[:3]:
            # The spec changes again before the Jobs of the last one have ended.
            world.step(image, killed)
            if not interrupted:
                world.work()
            assert sum(item.component == "migrate" and item.state == "Running" for item in world.jobs) <= 1
        if forgetful:
            world.jobs = [item for item in world.jobs if item.state == "Running"]
        found = world.settle(image)
        assert (found.state == "Current") == (world.revision == world.heads[image])
