"""What the image builder does before and around a build, and the rules of the entry point of the Airflow stand-in."""

import os
import shutil
import stat
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from devcluster import packages, paths, tools
from devcluster.errors import DevclusterError
from devcluster.images import base, build, host
from devcluster.images.__main__ import main
from devcluster.images.builder import _fetched, _made, archive, forget_older
from devcluster.images.catalog import DEFAULT, IMAGES, GoBinary, Image, MavenArtifact

ENTRYPOINT = IMAGES["airflow-3.3.2"].context / "entrypoint.sh"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache."""
    monkeypatch.setenv("DEVCLUSTER_CACHE", str(tmp_path / "cache"))
    images = tmp_path / "cache" / "images"
    images.mkdir(parents=True)
    return images


def program(directory: Path, name: str, script: str) -> None:
    """Put a shell script where PATH can find it."""
    path = directory / name
    path.write_text(f"#!/bin/bash\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def image_of(context: Path, **settings: object) -> Image:
    """An image that is made of a directory."""
    return Image(**({"name": "x", "tag": "localhost/x:1", "context": context} | settings))  # type: ignore[arg-type]


@pytest.mark.parametrize("image", IMAGES.values(), ids=IMAGES)
def test_every_image_is_made_of_its_dockerfile_and_all_that_it_copies(image: Image) -> None:
    files = {str(path.relative_to(image.context)) for path in image.files()}
    made = {image.artifact.target} if image.artifact else set()
    copied = set()
    for line in (image.context / "Dockerfile").read_text().splitlines():
        words = [word for word in line.split() if not word.startswith("--chmod")]
        if words[:1] == ["COPY"] and not words[1].startswith("--from"):
            copied.update(words[1:-1])
    assert "Dockerfile" in files
    assert [name for name in copied - made if not any(path == name or path.startswith(f"{name}/") for path in files)] == []


def test_the_archive_is_named_by_what_the_image_is_made_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context = tmp_path / "context"
    context.mkdir()
    (context / "Dockerfile").write_text("FROM scratch\n")
    keys = [image_of(context).key()]
    keys.append(image_of(context, args={"VERSION": "2"}).key())
    (context / "script").write_text("x")
    keys.append(image_of(context).key())
    (context / "script").chmod(0o755)
    keys.append(image_of(context).key())
    monkeypatch.setattr(base, "PACKAGES", ("git",))
    keys.append(image_of(context).key())
    assert len(set(keys)) == len(keys)
    (context / "README.md").write_text("words")
    assert image_of(context).key() == keys[-1]


def test_a_program_that_is_built_with_go_comes_from_its_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = tmp_path / "tools"
    shutil.copytree(paths.TOOLS, sources)
    monkeypatch.setattr(paths, "TOOLS", sources)
    image = IMAGES["statsd-exporter"]
    assert isinstance(image.artifact, GoBinary)
    monkeypatch.setattr(tools, "build", lambda group: group.directory)
    assert _made(image.artifact) == tools.STATSD_EXPORTER.directory / "statsd_exporter"
    before = image.key()
    with (sources / "statsd-exporter" / "go.mod").open("a") as file:
        file.write("// changed\n")
    assert image.key() != before


def test_nothing_runs_when_all_archives_are_there(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("a command was run"))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    for name in DEFAULT:
        archive(IMAGES[name]).touch()
    assert build() == {name: archive(IMAGES[name]) for name in DEFAULT}
    assert all(path.parent == cache for path in build().values())


def test_of_older_archives_only_the_last_one_stays(cache: Path) -> None:
    names = [f"x-{digit * 12}.tar" for digit in "abc"]
    for age, name in enumerate(names):
        (cache / name).touch()
        os.utime(cache / name, (1000 - age, 1000 - age))
    other = cache / "x-server-aaaaaaaaaaaa.tar"
    other.touch()
    forget_older(image_of(cache), cache / names[0])
    assert {path.name for path in cache.iterdir()} == {names[0], names[1], other.name}


def test_an_unknown_name_is_answered_with_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["build", "postgrs"]) == 2
    assert capsys.readouterr().err == f"error: There is no image postgrs: known are {', '.join(IMAGES)}.\n"


def test_without_root_it_says_so_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(DevclusterError, match=r"^Building images needs root"):
        build(["git-sync"])


def test_a_full_disk_is_told_before_the_build(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1e9))
    with pytest.raises(DevclusterError, match=r"needs 6 GB of free disk, and .* has 1\.0 GB: make room"):
        build(["git-sync"])


def test_a_disk_that_fills_up_during_the_build_is_told_too(tmp_path: Path) -> None:
    program(tmp_path, "full", "echo 'write /x: no space left on device' >&2; exit 1")
    with pytest.raises(DevclusterError, match="of free disk"):
        host.run([str(tmp_path / "full")], "Could not build x")


def test_a_failed_command_is_told_with_its_last_words(tmp_path: Path) -> None:
    program(tmp_path, "failing", "echo one; echo two >&2; exit 1")
    with pytest.raises(DevclusterError, match=r"^Could not build x: one / two$"):
        host.run([str(tmp_path / "failing")], "Could not build x")


def test_missing_tools_are_installed_after_an_update(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    program(tools, "apt-get", f'echo "$@" >> {tmp_path}/calls')
    program(tools, "buildah", "")
    monkeypatch.setenv("PATH", str(tools))
    monkeypatch.setattr(packages, "_MANUALS", tmp_path / "man1")
    host.require("buildah", "mmdebstrap", "mvn")
    assert (tmp_path / "man1").is_dir()
    options = "--quiet --option=DPkg::Lock::Timeout=300"
    assert (tmp_path / "calls").read_text().splitlines() == [
        f"{options} update",
        f"{options} install --yes --no-install-recommends maven mmdebstrap",
    ]


def test_missing_tools_are_named_where_apt_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    sentence = r"^Building images needs programs that Debian packs as buildah mmdebstrap: install them, and run this again\.$"
    with pytest.raises(DevclusterError, match=sentence):
        host.require("buildah", "mmdebstrap")


def test_a_jar_of_other_content_is_refused_and_removed(cache: Path) -> None:
    jar = cache / "maven" / "server-1.0.jar"
    jar.parent.mkdir()
    jar.write_text("something else")
    with pytest.raises(DevclusterError, match=r"^server-1\.0\.jar has the checksum [0-9a-f]{64}, not abc"):
        _fetched(MavenArtifact("org.example:server:1.0", "abc", "server.jar"))
    assert not jar.exists()


class Airflow:
    """The entry point among stand-ins for the programs that it calls; `calls` is what it did."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._calls = directory / "calls"
        self._calls.touch()
        self.program("id", "echo 0")
        self.program("whoami", "echo airflow")
        self.program("sleep", 'echo "sleep $*" >> $CALLS')
        self.program("python", 'echo "python $*" >> $CALLS')
        self.program("airflow", 'echo "airflow $*" >> $CALLS')

    def program(self, name: str, script: str) -> None:
        """Replace a program."""
        program(self._directory, name, script)

    def run(self, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        """Run the entry point."""
        env = {"PATH": f"{self._directory}:/usr/bin:/bin", "CALLS": str(self._calls), **environment}
        return subprocess.run(["bash", ENTRYPOINT, *arguments], env=env, capture_output=True, text=True, check=False)

    @property
    def calls(self) -> list[str]:
        """Commands that were run."""
        return self._calls.read_text().splitlines()


@pytest.fixture
def airflow(tmp_path: Path) -> Airflow:
    """The entry point of the Airflow stand-in."""
    directory = tmp_path / "bin"
    directory.mkdir()
    return Airflow(directory)


@pytest.mark.parametrize(
    ("arguments", "call"),
    [
        (["scheduler"], "airflow scheduler"),
        (["airflow", "db", "migrate"], "airflow db migrate"),
        (["python", "-m", "x"], "python -m x"),
        (["bash", "-c", "exec airflow api-server"], "airflow api-server"),
    ],
)
def test_the_first_argument_decides_what_runs(airflow: Airflow, arguments: list[str], call: str) -> None:
    assert airflow.run(*arguments, CONNECTION_CHECK_MAX_COUNT="0").returncode == 0
    assert airflow.calls == [call]


def test_the_database_is_awaited_before_every_command(airflow: Airflow) -> None:
    airflow.program("airflow", 'echo "airflow $*" >> $CALLS; [ "$1" != db ] || [ $(grep -c "db check" $CALLS) -ge 3 ]')
    assert airflow.run("bash", "-c", "airflow triggerer").returncode == 0
    assert airflow.calls == ["airflow db check", "sleep 3", "airflow db check", "sleep 3", "airflow db check", "airflow triggerer"]


def test_a_database_that_never_answers_ends_it(airflow: Airflow) -> None:
    airflow.program("airflow", 'echo "airflow $*" >> $CALLS; echo refused; exit 1')
    done = airflow.run("scheduler", CONNECTION_CHECK_MAX_COUNT="2", CONNECTION_CHECK_SLEEP_TIME="7")
    assert done.returncode == 1
    assert airflow.calls == ["airflow db check", "sleep 7", "airflow db check"]
    assert "Maximum number of retries (2) reached" in done.stdout
    assert "refused" in done.stdout


def test_a_group_other_than_0_is_refused_for_all_but_the_images_own_user(airflow: Airflow) -> None:
    airflow.program("id", '[ "$1" = -g ] && echo 1000 || echo ${ID:-50000}')
    assert airflow.run("version", CONNECTION_CHECK_MAX_COUNT="0").returncode == 0
    refused = airflow.run("version", CONNECTION_CHECK_MAX_COUNT="0", ID="1000")
    assert refused.returncode == 1
    assert "with GID=0" in refused.stderr
    assert airflow.calls == ["airflow version"]


def test_files_are_made_for_the_group(airflow: Airflow, tmp_path: Path) -> None:
    airflow.run("bash", "-c", f"touch {tmp_path}/made", CONNECTION_CHECK_MAX_COUNT="0")
    assert stat.S_IMODE((tmp_path / "made").stat().st_mode) == 0o664
