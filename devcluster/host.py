"""What the native cluster asks of the host, each with one sentence for when it is not there."""

import ipaddress
import json
import os
import shutil
import socket
import subprocess
from pathlib import Path

from devcluster import packages, paths
from devcluster.errors import DevclusterError

# Command or file that must exist -> Debian package that brings it.
_NEEDED = {
    "runc": "runc",
    "nft": "nftables",
    "ip": "iproute2",
    "mount": "mount",
    "busybox": "busybox-static",
    "cni": "containernetworking-plugins",
}
CNI_DIRECTORIES = (Path("/usr/lib/cni"), Path("/opt/cni/bin"))
FREE_GB_TO_RUN = 5
_LONGEST_SOCKET = 107


def run(*command: str | Path, check: bool = True, stdin: str | None = None) -> str:
    """Run a host command and return its output; a failure is a DevclusterError with the command's last words.

    Without `check` a command that is not installed is a failed one: what it would take away was never made.
    """
    try:
        done = subprocess.run([str(part) for part in command], input=stdin, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        if check:
            raise DevclusterError(f"`{command[0]}` is not installed on this host, or is not on PATH.") from None
        return ""
    if check and done.returncode != 0:
        words = " / ".join((done.stderr or done.stdout).strip().splitlines()[-3:])
        raise DevclusterError(f"`{' '.join(str(part) for part in command[:4])}` failed: {words or f'code {done.returncode}'}")
    return done.stdout


def cni_directory() -> Path | None:
    """Where the CNI plugins are; None when they are not installed."""
    return next((directory for directory in CNI_DIRECTORIES if (directory / "bridge").exists()), None)


def _missing_packages() -> list[str]:
    found = {name: bool(cni_directory()) if name == "cni" else bool(shutil.which(name)) for name in _NEEDED}
    return [package for name, package in _NEEDED.items() if not found[name]]


def require_root() -> None:
    """The native cluster makes network interfaces, mounts and control groups."""
    if os.geteuid() != 0:
        raise DevclusterError(
            "The native cluster needs root, since it makes network interfaces and control groups:"
            " run this as root, or start Docker so that kind is used."
        )


def require_packages() -> None:
    """Install the Debian packages that are missing, or say which."""
    missing = _missing_packages()
    if missing:
        packages.install(missing, "The native cluster")


def require_disk(directory: Path) -> None:
    """Room for images, volumes and logs."""
    existing = next(parent for parent in (directory, *directory.parents) if parent.exists())
    free = shutil.disk_usage(existing).free / 1e9
    if free < FREE_GB_TO_RUN:
        raise DevclusterError(
            f"The native cluster needs {FREE_GB_TO_RUN} GB of free disk, and {existing} has {free:.1f} GB:"
            " make room, or set DEVCLUSTER_STATE to a directory on a larger disk."
        )


def require_short_path(socket_path: Path) -> None:
    """The kernel takes at most 107 bytes for the path of a socket."""
    if len(os.fsencode(socket_path)) > _LONGEST_SOCKET:
        raise DevclusterError(f"The path {socket_path} is too long for a socket: set DEVCLUSTER_STATE to a shorter directory.")


def require_free_network(network: ipaddress.IPv4Network, own: str) -> None:
    """No other interface may use the pods' addresses."""
    for link in json.loads(run("ip", "-json", "-4", "address", "show") or "[]"):
        for address in link.get("addr_info", []):
            other = ipaddress.ip_interface(f"{address['local']}/{address['prefixlen']}").network
            if link["ifname"] != own and other.overlaps(network):
                raise DevclusterError(
                    f"The native cluster uses the addresses {network}, and interface {link['ifname']} has {other}:"
                    f" remove that interface (`ip link delete {link['ifname']}`) if nothing needs it."
                )


def require_free_port(address: str, port: int, what: str) -> None:
    """`what` is about to listen on that port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
            probe.listen()
        except OSError:
            raise DevclusterError(
                f"{what} needs port {port}, and another program listens on it: stop that program, and run this again."
            ) from None


def check(state: Path) -> None:
    """Root, packages and disk, in the order in which a person can do something about them."""
    require_root()
    require_packages()
    require_disk(state)
    paths.cache().mkdir(parents=True, exist_ok=True)
