"""The pods' bridge, their way out of the host, and the CNI configuration; and taking all of it away again."""

import ipaddress
import json
from contextlib import suppress
from pathlib import Path

from devcluster.host import run

BRIDGE = "devcluster0"
PODS = ipaddress.IPv4Network("10.88.0.0/16")
ADDRESS = "10.88.0.1"
TABLE = "devcluster"
# kube-proxy's own tables: it leaves them behind when it ends.
_PROXY_TABLES = (("ip", "kube-proxy"), ("ip6", "kube-proxy"))
_BRIDGE_CALLS_NETFILTER = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")
_FORWARD = Path("/proc/sys/net/ipv4/ip_forward")
# Settings of the host that are changed; `down` gives them back.
SETTINGS = (_FORWARD, _BRIDGE_CALLS_NETFILTER)


def make_bridge() -> None:
    """Make the bridge that carries the API server's address, and let pods reach the outside through the host."""
    if not _links():
        run("ip", "link", "add", BRIDGE, "type", "bridge")
    run("ip", "address", "replace", f"{ADDRESS}/{PODS.prefixlen}", "dev", BRIDGE)
    run("ip", "link", "set", BRIDGE, "up")
    _FORWARD.write_text("1")
    # Our own table instead of the CNI plugin's ipMasq: one thing to remove, and no iptables chains.
    rules = f"""
table ip {TABLE} {{}}
flush table ip {TABLE}
table ip {TABLE} {{
  chain postrouting {{
    type nat hook postrouting priority srcnat;
    ip saddr {PODS} ip daddr != {PODS} ip daddr != 224.0.0.0/4 masquerade
  }}
}}
"""
    run("nft", "-f", "-", stdin=rules)


def replies_cross_netfilter() -> bool:
    """Whether a Service may keep the client's address: the reply of a pod on the same bridge must pass netfilter to be translated back."""
    if not _BRIDGE_CALLS_NETFILTER.exists():
        run("modprobe", "br_netfilter", check=False)
    with suppress(OSError):
        _BRIDGE_CALLS_NETFILTER.write_text("1")
    return _BRIDGE_CALLS_NETFILTER.exists() and _BRIDGE_CALLS_NETFILTER.read_text().strip() == "1"


def cni_config(directory: Path, addresses: Path) -> Path:
    """Write the CNI configuration; `addresses` is where the plugin remembers which pod has which."""
    directory.mkdir(parents=True, exist_ok=True)
    bridge = {
        "type": "bridge",
        "bridge": BRIDGE,
        "isGateway": True,
        "hairpinMode": True,
        "ipam": {
            "type": "host-local",
            "dataDir": str(addresses),
            "ranges": [[{"subnet": str(PODS), "rangeStart": "10.88.1.0"}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }
    config = {"cniVersion": "1.0.0", "name": "devcluster", "plugins": [bridge]}
    path = directory / "10-devcluster.conflist"
    path.write_text(json.dumps(config, indent=2))
    return path


def _links() -> list[str]:
    """Our bridge and the host ends of the pods' interfaces."""
    # Not from /sys, which in a container may show another network namespace.
    links = json.loads(run("ip", "-json", "link", "show", check=False) or "[]")
    ports = sorted(link["ifname"] for link in links if link.get("master") == BRIDGE)
    return [*ports, *(link["ifname"] for link in links if link["ifname"] == BRIDGE)]


def remove() -> None:
    """Take away interfaces and nftables tables; what is not there is no error."""
    for link in _links():
        run("ip", "link", "delete", link, check=False)
    for family, table in (("ip", TABLE), *_PROXY_TABLES):
        run("nft", "delete", "table", family, table, check=False)


def leftovers() -> list[str]:
    """Interfaces and tables of ours that are still there, in words."""
    tables = [f"nftables table {family} {name}" for family, name in (("ip", TABLE), *_PROXY_TABLES) if _has_table(family, name)]
    return [f"network interface {link}" for link in _links()] + tables


def _has_table(family: str, name: str) -> bool:
    return f"table {family} {name}" in run("nft", "list", "tables", check=False).splitlines()
