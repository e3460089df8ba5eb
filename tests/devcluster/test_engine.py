"""Where a Docker engine answers, the real images go into the cluster. The engine here is a script that notes how it was called."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from devcluster import images_builtin
from devcluster.errors import DevclusterError
from devcluster.images import IMAGES, engine
from tests.devcluster.test_providers import archive
from tests.e2e import prepare

FAKE = """#!{python}
import json, os, sys
from pathlib import Path
there = Path({there!r})
arguments = sys.argv[1:]
words = " ".join(arguments)
with Path({log!r}).open("a") as log:
    log.write(json.dumps([*arguments, sys.stdin.read()] if arguments[0] == "build" else arguments) + "\\n")
tags = there.read_text().split()
if arguments[0] == "pull":
    if arguments[-1] in os.environ.get("FAKE_REFUSED", "").split():
        sys.exit("denied")
    there.write_text(" ".join([*tags, arguments[-1]]))
elif arguments[0] == "build":
    there.write_text(" ".join([*tags, arguments[arguments.index("--tag") + 1]]))
elif words == "image save --help":
    print(os.environ.get("FAKE_SAVE_HELP", ""))
elif arguments[:2] == ["image", "save"]:
    next(Path(argument.partition("=")[2]) for argument in arguments if argument.startswith("--output=")).write_text(arguments[-1])
elif arguments[:2] == ["image", "inspect"]:
    if arguments[-1] not in tags:
        sys.exit("no such image")
    if len(arguments) > 3:
        print("sha256:" + "0123456789abcdef" * 4)
elif arguments[0] == "version":
    print("linux/arm64")
"""
POSTGRES = "docker.io/library/postgres:17"


@pytest.fixture
def calls(tmp_path, monkeypatch, cache):
    """What was asked of the engine so far."""
    log, there = tmp_path / "calls", tmp_path / "there"
    there.touch()
    program = tmp_path / "docker"
    program.write_text(FAKE.format(python=sys.executable, log=str(log), there=str(there)))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return lambda: [json.loads(line) for line in log.read_text().splitlines()]


def test_a_real_image_is_pulled_once_and_saved_under_its_id(calls, cache):
    archives = engine.archives(["postgres"])
    assert archives == {"postgres": cache / "images" / "engine" / "postgres-0123456789ab.tar"}
    assert archives["postgres"].read_text() == POSTGRES
    assert engine.archives(["postgres"]) == archives
    assert [call for call in calls() if call[0] == "pull"] == [["pull", "--quiet", POSTGRES]]
    assert len([call for call in calls() if call[:2] == ["image", "save"]]) == 2, "its help, and the image once"


def test_an_engine_that_can_saves_the_platform_of_its_nodes_alone(calls, monkeypatch):
    monkeypatch.setenv("FAKE_SAVE_HELP", "      --platform string   Save only the given platform variant.")
    engine.archives(["postgres"])
    assert any(call[:3] == ["image", "save", "--platform=linux/arm64"] for call in calls())


def test_what_cannot_be_pulled_is_built_as_without_an_engine(calls, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("FAKE_REFUSED", POSTGRES)
    monkeypatch.setattr(engine, "build", lambda names: {name: tmp_path / f"{name}.tar" for name in names})
    assert engine.archives(["postgres", "git-sync"])["postgres"] == tmp_path / "postgres.tar"
    assert f"{POSTGRES} could not be pulled (denied): a stand-in is built." in "".join(capsys.readouterr())
    assert IMAGES["git-sync"].tag in [call[-1] for call in calls() if call[0] == "pull"]


def test_our_own_images_are_built_anew_and_never_pulled(calls):
    engine.archives(["operator", "git-server"])
    engine.archives(["operator", "git-server"])
    made = [call for call in calls() if call[0] == "build"]
    assert [call[2] for call in made].count(IMAGES["operator"].tag) == 2
    assert not any(call[0] == "pull" for call in calls())
    # The operator's Dockerfile names its base; the git server's gets ours, which is made once.
    bases = [call for call in made if call[2].startswith("localhost/devcluster/base:")]
    assert len(bases) == 1
    assert bases[0][-1].startswith("FROM docker.io/library/debian:bookworm-slim\nRUN apt-get update")
    given = {call[2]: [option for option in call if option.startswith("--build-arg")] for call in made}
    assert given[IMAGES["operator"].tag] == []
    assert given[IMAGES["git-server"].tag] == [f"--build-arg=BASE={bases[0][2]}"]


def test_what_the_engine_says_is_one_sentence(calls, monkeypatch, tmp_path):
    (tmp_path / "docker").write_text("#!/bin/sh\necho no space left on device >&2\nexit 1\n")
    with pytest.raises(DevclusterError, match="`docker build --tag` failed: no space left on device"):
        engine.archives(["operator"])


@pytest.mark.parametrize(("provider", "source"), [("kind", "engine"), ("native", "stand-in")])
def test_end_to_end_tests_take_them_on_kind_alone(provider, source, monkeypatch):
    monkeypatch.setattr(prepare.engine, "archives", lambda names: {name: Path(f"engine/{name}.tar") for name in names})
    monkeypatch.setattr(prepare, "build", lambda names: {name: Path(f"stand-in/{name}.tar") for name in names})
    loaded = {}
    cluster = SimpleNamespace(name=provider, load_image=lambda path, names: loaded.update({names[0]: path}))
    kubectl = SimpleNamespace(get=lambda *_: None, apply=lambda *_: None)
    kubectl.within = lambda _: kubectl
    prepare.load_images(cluster, kubectl, prepare.NEEDED)
    assert set(loaded) == {IMAGES[name].tag for name in prepare.NEEDED}
    assert {str(path.parent) for path in loaded.values()} == {source}


@pytest.mark.parametrize(
    ("saved", "known"),
    [
        ("postgres:17", POSTGRES),
        ("apache/airflow:3.3.2", "docker.io/apache/airflow:3.3.2"),
        ("registry.k8s.io/git-sync/git-sync:v4.7.1", "registry.k8s.io/git-sync/git-sync:v4.7.1"),
        ("localhost/devcluster/git-server:1", "localhost/devcluster/git-server:1"),
        ("registry:5000/a:1", "registry:5000/a:1"),
    ],
)
def test_names_that_docker_shortens_are_known_in_full(tmp_path: Path, saved: str, known: str) -> None:
    assert images_builtin.names_in(archive(tmp_path / "image.tar", saved)) == [known]
