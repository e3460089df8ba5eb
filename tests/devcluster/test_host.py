"""Commands of the host: what is not installed says so, and has left nothing to take away."""

import pytest

from devcluster import host, network
from devcluster.errors import DevclusterError


@pytest.fixture(autouse=True)
def _bare_host(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))


def test_a_command_that_is_not_installed_is_named():
    with pytest.raises(DevclusterError, match="`nft` is not installed"):
        host.run("nft", "list", "tables")


def test_a_host_without_the_network_s_commands_has_nothing_of_it():
    network.remove()
    assert network.leftovers() == []
