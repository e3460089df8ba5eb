"""How kopf logs in, and which namespace is meant."""

from __future__ import annotations

import asyncio
from pathlib import Path

import kopf
import pytest
import yaml

from airflow_operator.kube.transport import Session, Transport, credentials
from airflow_operator.runtime import login
from airflow_operator.runtime.login import Login, NoLogin, in_cluster, namespace_of


def kubeconfig(path: Path) -> Path:
    path.write_text(
        yaml.safe_dump(
            {
                "current-context": "one",
                "contexts": [{"name": "one", "context": {}}, {"name": "two", "context": {"namespace": "team"}}],
            }
        )
    )
    return path


def test_namespace_of_a_context(tmp_path: Path) -> None:
    path = str(kubeconfig(tmp_path / "config"))
    assert namespace_of(path) == "default"
    assert namespace_of(path, "two") == "team"


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(NoLogin, match="no context 'three'"):
        namespace_of(str(kubeconfig(tmp_path / "config")), "three")
    with pytest.raises(NoLogin, match="cannot be read"):
        namespace_of(str(tmp_path / "absent"))


def test_no_kubeconfig_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "absent"))
    with pytest.raises(NoLogin, match="--kubeconfig"):
        login.default_kubeconfig()
    present = kubeconfig(tmp_path / "present")
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path / 'absent'}:{present}")
    assert login.default_kubeconfig() == str(present)


def test_in_a_pod(tmp_path: Path) -> None:
    environ = {"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "6443"}
    assert not in_cluster(environ, tmp_path)
    (tmp_path / "token").write_text("secret\n")
    assert in_cluster(environ, tmp_path)
    assert not in_cluster({}, tmp_path)


def test_a_pod_needs_an_account_and_no_namespace_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A volume that somebody projects by hand may hold the token and the authority alone."""
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "absent"))
    monkeypatch.setattr(login, "in_cluster", lambda environ: True)
    monkeypatch.setattr(login, "SERVICE_ACCOUNT", tmp_path)
    login.require()
    monkeypatch.setattr(login, "in_cluster", lambda environ: False)
    with pytest.raises(NoLogin, match="--kubeconfig"):
        login.require()


@pytest.mark.looptime
async def test_second_login_waits_and_differs_from_the_first() -> None:
    """kopf takes equal data that failed once for invalid for ever, and asks again without a pause."""
    source = Login(Session(Transport(credentials(None, None), "operator")))
    first = kopf.AiohttpSession(**await source())
    clock = asyncio.get_running_loop().time
    started = clock()
    second = kopf.AiohttpSession(**await source())
    assert second != first
    assert second.aiohttp_session is first.aiohttp_session
    assert clock() - started >= login.PAUSE - 0.01
