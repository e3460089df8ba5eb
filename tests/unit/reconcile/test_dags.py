"""What is said of git-sync, with the messages that it was seen to leave (git-sync 4.4.2 on Kubernetes 1.37)."""

from __future__ import annotations

import json

import pytest

from airflow_operator.reconcile import dags
from tests.unit import factory

GIT = {"git": {"repo": "https://git.example.com/etl.git", "ref": "main"}}
SPEC = factory.cluster(dags=[GIT]).spec
NO_REF = "fatal: couldn't find remote ref main"
REFUSED = "fatal: Authentication failed for 'http://git:8080/dags.git/'"


def log_line(error, msg="too many failures, aborting", **more):
    return json.dumps(
        {
            "logger": "",
            "ts": "2026-11-23 03:05:39",
            "caller": {"file": "main.go", "line": 1},
            "level": 0,
            "msg": msg,
            "error": error,
            **more,
        }
    )


def terminated(message, code=1):
    return {"terminated": {"exitCode": code, "reason": "Error", "message": message}}


RUNNING = {"running": {"startedAt": factory.at(-5)}}
WAITING = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s restarting failed container"}}


def sidecar(state, last=None, **more):
    return {"name": "git-sync", "state": state, **({"lastState": last} if last else {}), "started": False, "ready": False, **more}


def synced(*statuses, init=(), commits=None, **meta):
    pods = [factory.pod("dag-processor", "", *statuses, init=init, **meta)] if statuses or init else []
    return dags.synced(SPEC, pods, commits or {})


def test_without_a_repository_there_is_nothing_to_say():
    assert dags.synced(factory.cluster().spec, [], {}) is None


def test_a_reported_commit_is_synced():
    found = synced(sidecar(RUNNING, started=True, ready=True), commits={"dags-folder": "abc"})
    assert (found.status, found.reason) == ("True", "Synced")


def test_a_sidecar_that_works_is_synced_though_nothing_was_reported():
    found = synced(sidecar(RUNNING, started=True, ready=True))
    assert (found.status, found.reason) == ("True", "Synced")
    assert "not reported" in found.message


def test_before_the_first_sync_it_waits():
    for found in (synced(), synced(sidecar(RUNNING))):
        assert (found.status, found.reason, found.waiting) == ("False", "Syncing", True)


@pytest.mark.parametrize("words", [NO_REF, REFUSED])
@pytest.mark.parametrize(
    ("state", "last"),
    [("ended", None), (WAITING, "ended"), (RUNNING, "ended")],
    ids=["in its back-off", "in its back-off, older Kubernetes", "started again"],
)
def test_git_syncs_own_words_are_told(words, state, last):
    ended = terminated(log_line(words))
    found = synced(sidecar(ended if state == "ended" else state, ended if last else None), commits={"dags-folder": "abc"})
    assert (found.status, found.reason, found.waiting) == ("False", "GitSyncFailed", False)
    assert words in found.message


def test_a_sidecar_that_came_back_works():
    found = synced(sidecar(RUNNING, terminated(log_line(NO_REF)), started=True, ready=True), commits={"dags-folder": "abc"})
    assert found.status == "True"


@pytest.mark.parametrize("state", [terminated(log_line(NO_REF)), WAITING, RUNNING], ids=["ended", "waiting", "running again"])
def test_the_first_sync_of_a_pod_fails_as_long_as_it_has_not_ended_well(state):
    # Without a startup probe Kubernetes calls a running init container started at once.
    init = {"name": "git-sync-init", "state": state, "lastState": terminated(log_line(NO_REF)), "started": True, "ready": False}
    found = synced(init=[init], commits={"dags-folder": "abc"})
    assert (found.status, found.reason) == ("False", "GitSyncFailed")
    assert NO_REF in found.message


def test_a_first_sync_that_ended_well_is_no_failure():
    init = {
        "name": "git-sync-init",
        "state": terminated("", 0),
        "lastState": terminated(log_line(NO_REF)),
        "ready": True,
        "restartCount": 3,
    }
    assert synced(sidecar(RUNNING, started=True, ready=True), init=[init]).status == "True"


def test_a_pod_that_is_being_replaced_does_not_count():
    found = synced(sidecar(terminated(log_line(NO_REF))), commits={"dags-folder": "abc"}, deletionTimestamp=factory.at(0))
    assert found.status == "True"


def test_other_containers_do_not_count():
    airflow = {"name": "dag-processor", "state": terminated(log_line("boom")), "ready": False}
    assert synced(airflow, sidecar(RUNNING, started=True, ready=True)).status == "True"


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ('ing": "cut in the middle"}\n' + log_line(NO_REF), NO_REF),
        (log_line(REFUSED) + "\n\n", REFUSED),
        ("not JSON at all", "exit code 1"),
        ("", "exit code 1"),
        ('"just a string"\n[1]', "exit code 1"),
        (json.dumps({"msg": "flag error"}), "flag error"),
        (json.dumps({"msg": "too many failures, aborting", "err": NO_REF}), NO_REF),
        (log_line("a\n  b"), "a b"),
    ],
    ids=["first line cut", "empty lines", "no JSON", "nothing", "JSON of another shape", "message alone", "err", "several lines"],
)
def test_the_last_whole_line_is_read(message, told):
    assert told in synced(sidecar(terminated(message))).message


@pytest.mark.parametrize(
    "url", ["https://user:hunter2@git.example.com/a.git", "https://hunter2@git.example.com/a.git", "http://a%40b:hunter2@git:8080/x"]
)
def test_no_credential_is_told(url):
    message = synced(sidecar(terminated(log_line(f"fatal: unable to access '{url}': no route")))).message
    assert "hunter2" not in message
    assert "no route" in message


SSH_WORDS = (
    "@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@\n@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\n"
    "@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@\nIT IS POSSIBLE THAT SOMEONE IS DOING SOMETHING NASTY!\n"
    "Someone could be eavesdropping on you right now (man-in-the-middle attack)!\nIt is also possible that a host key has just been "
    "changed.\nThe fingerprint for the ED25519 key sent by the remote host is\nSHA256:ROAiM/MDnxwY8+2ecUYRcWFjoxtaBoySW6aOJbrwDMQ.\n"
    "Please contact your system administrator.\nAdd correct host key in /etc/git-known-hosts/known_hosts to get rid of this message.\n"
    "Offending ED25519 key in /etc/git-known-hosts/known_hosts:1\nHost key for [git-server]:2222 has changed and you have requested strict "
    "checking.\nHost key verification failed.\nfatal: Could not read from remote repository.\n\nPlease make sure you have the correct "
    "access rights\nand the repository exists."
)
"""What ssh and git were seen to say (git-sync's stand-in, OpenSSH 9.2, git 2.39)."""


@pytest.mark.parametrize("kept", [None, 1200, 900], ids=["whole", "its end", "less of it"])
@pytest.mark.parametrize("more", [{}, {"failCount": 3, "maxFailures": 3}], ids=["plain", "with counts"])
def test_of_long_words_the_end_is_told_though_the_line_was_cut(kept, more):
    error = f'Run(git fetch ssh://git@git-server:2222/x.git main): exit status 128: {{ stdout: "", stderr: {json.dumps(SSH_WORDS)} }}'
    line = log_line(error, **more)
    message = synced(sidecar(terminated(line if kept is None else line[-kept:]))).message
    assert "Host key verification failed. fatal: Could not read from remote repository." in message
    assert message.rstrip(' "}').endswith("and the repository exists.")
    assert len(message) < 700
    assert "\\n" not in message


def test_of_a_line_without_breaks_that_was_cut_nothing_is_guessed():
    assert synced(sidecar(terminated('r:hunter2@git.example.com/a.git"}'))).message == "git-sync: exit code 1"


def test_long_words_are_cut():
    assert len(synced(sidecar(terminated(log_line("x" * 5000)))).message) < 700


REPO = GIT["git"]["repo"]


def test_the_table_shows_what_is_followed_and_what_was_synced():
    row = {"name": "dags-folder", "repo": REPO, "ref": "main"}
    assert dags.table(SPEC, {}, {}) == [row]
    assert dags.table(SPEC, {"dags-folder": "abc"}, {}) == [{**row, "commit": "abc"}]


def row(**changes):
    return {"dags": [{"name": "dags-folder", "repo": REPO, "ref": "main", "commit": "old", **changes}, {"name": "other"}]}


def test_a_commit_is_remembered_by_the_status_and_news_replace_it():
    assert dags.known_commits(SPEC, {}, row()) == {"dags-folder": "old"}
    assert dags.known_commits(SPEC, {"dags-folder": "new"}, row()) == {"dags-folder": "new"}


@pytest.mark.parametrize("change", [{"ref": "release"}, {"repo": "https://git.example.com/other.git"}])
def test_a_commit_of_another_ref_or_repository_is_forgotten(change):
    assert dags.known_commits(SPEC, {}, row(**change)) == {}


def test_until_another_source_reports_the_table_shows_what_ran_before():
    before = row(ref="release")
    assert dags.table(SPEC, {}, before) == [before["dags"][0]]
    assert dags.table(SPEC, {"dags-folder": "new"}, before) == [{"name": "dags-folder", "repo": REPO, "ref": "main", "commit": "new"}]
    in_image = factory.cluster(dags=[{"name": "dags-folder", "image": {"path": "/opt/airflow/dags"}}]).spec
    assert dags.table(in_image, {}, before) == [{"name": "dags-folder"}]


def test_an_entry_that_is_gone_is_told_of():
    assert dags.gone(SPEC, row()) == ["other"]
    assert dags.gone(SPEC, {}) == []
    assert "etl" in dags.farewell("etl")


TWO = factory.cluster(dags=[GIT, {"name": "etl", **GIT}]).spec


@pytest.mark.parametrize(("container", "entry"), [("git-sync", "dags-folder"), ("git-sync-of-etl", "etl")])
def test_of_several_entries_the_one_that_fails_is_named(container, entry):
    pod = factory.pod("dag-processor", "", {**sidecar(terminated(log_line(NO_REF))), "name": container})
    assert dags.synced(TWO, [pod], {}).message == f"git-sync of {entry}: {NO_REF}"


def test_all_entries_must_be_synced():
    started = sidecar(RUNNING, started=True, ready=True)
    beginning = {**sidecar(RUNNING), "name": "git-sync-of-etl"}
    pod = factory.pod("dag-processor", "", started, beginning)
    assert dags.synced(TWO, [pod], {"dags-folder": "abc"}).reason == "Syncing"
    assert dags.synced(TWO, [pod], {"dags-folder": "abc", "etl": "def"}).status == "True"


def test_what_is_fetched_once_is_synced_when_the_first_sync_ended_well():
    spec = factory.cluster(dags=[{"git": {**GIT["git"], "period": "Once"}}]).spec
    init = {"name": "git-sync-init", "state": terminated("", 0), "ready": True}
    pod = factory.pod("dag-processor", "", init=[init])
    assert dags.synced(spec, [pod], {}).status == "True"
    running = factory.pod("dag-processor", "", init=[{**init, "state": RUNNING, "ready": False}])
    assert dags.synced(spec, [running], {}).reason == "Syncing"
