"""Which cluster is used, and one sentence with exit code 2 for everything that a person can put right."""

import io
import ipaddress
import json
import os
import socket
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from devcluster import __main__, host, native, packages, providers, tools
from devcluster.errors import DevclusterError
from devcluster.kind import CLUSTER, Kind

FAKE = """#!{python}
import json, os, sys
from pathlib import Path
log = Path({log!r})
with log.open("a") as file:
    file.write(json.dumps([Path(sys.argv[0]).name, *sys.argv[1:]]) + "\\n")
if sys.argv[1:3] == ["get", "clusters"]:
    print(os.environ.get("FAKE_CLUSTERS", ""))
if sys.argv[1:3] == ["get", "nodes"]:
    print("node-1")
"""


def test_kind_comes_first_where_docker_answers(monkeypatch, cache):
    monkeypatch.delenv("DEVCLUSTER", raising=False)
    monkeypatch.setattr(providers, "kind_available", lambda: True)
    monkeypatch.setattr(providers, "docker_answers", lambda: False)
    assert providers.provider().name == "native"
    monkeypatch.setattr(providers, "docker_answers", lambda: True)
    monkeypatch.setattr("devcluster.kind.docker_answers", lambda: True)
    assert providers.provider().name == "kind"
    monkeypatch.setenv("DEVCLUSTER", "native")
    assert providers.provider().name == "native"


def run(monkeypatch, capsys, *arguments):
    """Run the command line; return its exit code and what it said on stderr."""
    monkeypatch.setattr(sys, "argv", ["devcluster", *arguments])
    code = __main__.main()
    return code, capsys.readouterr().err.strip()


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"DEVCLUSTER": "minikube"}, "DEVCLUSTER is 'minikube', and can be kind, kubeconfig or native."),
        ({"DEVCLUSTER": "kubeconfig", "DEVCLUSTER_CONTEXT": ""}, "DEVCLUSTER=kubeconfig also needs DEVCLUSTER_CONTEXT"),
        ({"DEVCLUSTER": "kind", "PATH": "/nowhere"}, "DEVCLUSTER=kind needs a Docker engine, and none answers"),
    ],
)
def test_a_wrong_choice_is_one_sentence(monkeypatch, capsys, cache, environment, sentence):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    code, said = run(monkeypatch, capsys, "up")
    assert code == 2
    assert said.startswith(sentence)
    assert "\n" not in said


@pytest.mark.parametrize("command", ["up", "down"])
def test_without_root_the_native_cluster_says_so_and_touches_nothing(monkeypatch, capsys, cache, state, command):
    monkeypatch.setenv("DEVCLUSTER", "native")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    code, said = run(monkeypatch, capsys, command)
    assert code == 2
    assert said.startswith("The native cluster needs root")
    assert not state.exists()


def test_a_full_disk_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(host, "FREE_GB_TO_RUN", 10**6)
    with pytest.raises(DevclusterError, match=r"needs 1000000 GB of free disk, .* DEVCLUSTER_STATE"):
        host.require_disk(tmp_path / "not" / "there" / "yet")


def test_a_busy_port_is_one_sentence():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(DevclusterError, match=f"The kubelet needs port {port}, and another program listens on it"):
            host.require_free_port("127.0.0.1", port, "The kubelet")
    host.require_free_port("127.0.0.1", port, "The kubelet")


def test_an_address_range_that_is_taken_is_one_sentence(monkeypatch):
    links = [{"ifname": "podman0", "addr_info": [{"local": "10.88.0.1", "prefixlen": 16}]}]
    monkeypatch.setattr(host, "run", lambda *_, **__: json.dumps(links))
    with pytest.raises(DevclusterError, match=r"interface podman0 has 10\.88\.0\.0/16"):
        host.require_free_network(ipaddress.IPv4Network("10.88.0.0/16"), "devcluster0")
    host.require_free_network(ipaddress.IPv4Network("10.88.0.0/16"), "podman0")


def test_packages_that_nobody_can_install_are_one_sentence_with_the_command(monkeypatch, tmp_path):
    monkeypatch.setattr(host, "_missing_packages", lambda: ["runc"])
    failed = subprocess.CompletedProcess([], 100, "", "E: no such package")
    monkeypatch.setattr(packages.subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(DevclusterError, match=r"runc could not be installed; try by hand: apt-get update && apt-get install --yes .*runc"):
        host.require_packages()


def test_an_unknown_group_of_tools_is_one_sentence(monkeypatch, capsys, cache):
    code, said = run(monkeypatch, capsys, "build", "rust")
    assert code == 2
    assert said.startswith("There is no group 'rust': it can be control-plane, kubernetes")


def test_status_of_a_cluster_that_is_not_there_makes_nothing(monkeypatch, capsys, state):
    monkeypatch.setattr(native.cleanup, "leftovers", lambda _: [])
    assert native.Native().status() == "native: down"
    assert not state.exists()


@pytest.fixture
def fake_docker(tmp_path, monkeypatch, cache):
    """Stand-ins for docker, kind and kubectl that only note how they were called."""
    log = tmp_path / "calls"
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("docker", "kind", "kubectl"):
        (programs / name).write_text(FAKE.format(python=sys.executable, log=str(log)))
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")

    def calls():
        return [json.loads(line) for line in log.read_text().splitlines()]

    return calls


def archive(path: Path, *names: str) -> Path:
    with tarfile.open(path, "w") as tar:
        content = json.dumps([{"Config": "c", "Layers": [], "RepoTags": list(names)}]).encode()
        entry = tarfile.TarInfo("manifest.json")
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    return path


def test_kind_makes_a_cluster_once_and_never_touches_the_users_kubeconfig(fake_docker, monkeypatch):
    cluster = Kind()
    kubeconfig = cluster.up()
    assert ["kind", "create", "cluster", "--name", CLUSTER, "--kubeconfig", str(kubeconfig), "--wait", "180s"] in fake_docker()
    monkeypatch.setenv("FAKE_CLUSTERS", CLUSTER)
    cluster.up()
    creations = [call for call in fake_docker() if call[:2] == ["kind", "create"]]
    assert len(creations) == 1
    assert kubeconfig != Path.home() / ".kube" / "config"


def test_kind_loads_an_archive_into_the_cluster_and_adds_the_other_names(fake_docker, tmp_path):
    image = archive(tmp_path / "image.tar", "example.com/a:1")
    Kind().load_image(image, ["example.com/a:1", "example.com/b:2"])
    assert ["kind", "load", "image-archive", str(image), "--name", CLUSTER] in fake_docker()
    tags = [call for call in fake_docker() if call[:2] == ["docker", "exec"]]
    assert tags == [
        ["docker", "exec", "node-1", "ctr", "--namespace=k8s.io", "images", "tag", "--force", "example.com/a:1", "example.com/b:2"]
    ]


def test_every_group_has_its_modules_committed():
    for group in (*tools.GROUPS, tools.OLD_KUBERNETES, tools.KIND):
        assert (group.source / "go.mod").exists()


def test_a_state_directory_too_deep_for_sockets_is_one_sentence():
    with pytest.raises(DevclusterError, match="is too long for a socket: set DEVCLUSTER_STATE to a shorter directory"):
        host.require_short_path(Path("/" + "x" * 107))
    host.require_short_path(Path("/" + "x" * 106))


def test_an_error_of_the_file_system_is_one_sentence(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("DEVCLUSTER", "native")
    (tmp_path / "file").touch()
    monkeypatch.setenv("DEVCLUSTER_CACHE", str(tmp_path / "file"))
    code, said = run(monkeypatch, capsys, "down")
    assert code == 2
    assert said == f"File exists: {tmp_path / 'file'}"
