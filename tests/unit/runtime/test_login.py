"""Where the API server is found."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import kopf
import pytest
import yaml

from airflow_operator.runtime import login
from airflow_operator.runtime.login import Login, NoLogin, from_kubeconfig, from_service_account, in_cluster


def kubeconfig(path: Path, **user: Any) -> Path:
    path.write_text(
        yaml.safe_dump(
            {
                "current-context": "one",
                "contexts": [
                    {"name": "one", "context": {"cluster": "c1", "user": "u"}},
                    {"name": "two", "context": {"cluster": "c2", "user": "u"}},
                ],
                "clusters": [
                    {"name": "c1", "cluster": {"server": "https://one", "certificate-authority": "ca.pem"}},
                    {"name": "c2", "cluster": {"server": "https://two", "certificate-authority-data": "QUJD"}},
                ],
                "users": [{"name": "u", "user": user or {"token": "t"}}],
            }
        )
    )
    return path


def test_context_of_a_kubeconfig(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path / "config")
    assert from_kubeconfig(path) == {"server": "https://one", "ca_path": str(tmp_path / "ca.pem"), "token": "t"}
    assert from_kubeconfig(path, "two") == {"server": "https://two", "ca_data": "QUJD", "token": "t"}


def test_certificate_of_a_kubeconfig(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path / "config", **{"client-certificate": "/abs/cert", "client-key-data": "QUJD"})
    assert from_kubeconfig(path)["certificate_path"] == "/abs/cert"
    assert from_kubeconfig(path)["private_key_data"] == "QUJD"


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(NoLogin, match="no context 'three'"):
        from_kubeconfig(kubeconfig(tmp_path / "config"), "three")
    with pytest.raises(NoLogin, match="plugin"):
        from_kubeconfig(kubeconfig(tmp_path / "config", exec={"command": "aws"}))


def test_no_kubeconfig_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "absent"))
    with pytest.raises(NoLogin, match="--kubeconfig"):
        login.default_kubeconfig()
    present = kubeconfig(tmp_path / "present")
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path / 'absent'}:{present}")
    assert login.default_kubeconfig() == str(present)


def test_service_account(tmp_path: Path) -> None:
    environ = {"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "6443"}
    assert not in_cluster(environ, tmp_path)
    (tmp_path / "token").write_text("secret\n")
    assert in_cluster(environ, tmp_path)
    assert not in_cluster({}, tmp_path)
    assert from_service_account(environ, tmp_path) == {
        "server": "https://[fd00::1]:6443",
        "ca_path": str(tmp_path / "ca.crt"),
        "token": "secret",
    }


@pytest.mark.looptime
async def test_second_login_waits_and_differs_from_the_first(tmp_path: Path) -> None:
    """kopf takes equal data that failed once for invalid for ever, and asks again without a pause."""
    source = Login(str(kubeconfig(tmp_path / "config")))
    first = kopf.ConnectionInfo(**await source())
    clock = asyncio.get_running_loop().time
    started = clock()
    assert kopf.ConnectionInfo(**await source()) != first
    assert clock() - started >= login.PAUSE - 0.01
