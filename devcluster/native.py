"""Kubernetes on this host, from package registries alone: one node, no Docker, no image registry."""

import json
from collections.abc import Sequence
from pathlib import Path

from devcluster import cgroups, cleanup, components, host, images_builtin, network, node, paths, tools
from devcluster.certs import Pair
from devcluster.control_plane import api_server_ready
from devcluster.errors import DevclusterError
from devcluster.locks import exclusive
from devcluster.processes import Daemons, free_ports, http_ok, wait_until
from devcluster.progress import progress, say

API_PORT = 6443
PORTS = {API_PORT: "The API server", node.KUBELET_PORT: "The kubelet", node.DNS_PORT: "The cluster's DNS"}
DAEMONS = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "containerd",
    "kubelet",
    "kube-proxy",
    "coredns",
    "storage",
)
TIMEOUT = 90.0


class Native:
    """The native provider; its whole state is under one directory, its built binaries are not."""

    name = "native"

    def __init__(self) -> None:
        """Look at $DEVCLUSTER_STATE; nothing is started or made."""
        self._state = paths.state()
        self._layout = node.Layout(self._state)
        self._daemons = Daemons(self._state / "run", self._state / "logs")

    @property
    def kubeconfig(self) -> Path:
        """Kubeconfig of the administrator."""
        return self._state / "kubeconfig"

    @property
    def kubectl(self) -> Path:
        """The kubectl that was built with the cluster."""
        return tools.KUBERNETES.directory / "kubectl"

    def status(self) -> str:
        """One line for the cluster, one for each process that is not there."""
        dead = [name for name in DAEMONS if self._daemons.pid(name) is None]
        if len(dead) == len(DAEMONS):
            left = cleanup.leftovers(self._state)
            return "native: down" if not left else "native: down, with leftovers (`down` removes them):\n  " + "\n  ".join(left)
        if dead:
            return f"native: incomplete, {', '.join(dead)} not running; `up` starts afresh"
        return f"native: up, kubeconfig {self.kubeconfig}"

    def up(self) -> Path:
        """Bring the cluster up; a no-op when it is, and a fresh start when only a part of it is there."""
        host.require_root()
        with exclusive("native"):
            if self._is_up():
                return self.kubeconfig
            host.check(self._state)
            # kubelet makes the longest one, for its plugins.
            host.require_short_path(self._state / "kubelet" / "pod-resources" / "kubelet.sock.with-a-suffix")
            if cleanup.leftovers(self._state):
                say("An unfinished or dead cluster is in the way: removing it first.")
                self._remove()
            for group in tools.GROUPS:
                tools.build(group)
            with progress("starting the native cluster"):
                self._start()
        return self.kubeconfig

    def down(self) -> None:
        """Stop every process and remove every trace but the built binaries."""
        host.require_root()
        with exclusive("native"):
            self._remove()
        if left := cleanup.leftovers(self._state):
            raise DevclusterError(f"Not everything could be removed: {'; '.join(left)}")

    def load_image(self, archive: Path, names: Sequence[str] = ()) -> None:
        """Import the images of a docker archive, the first of them also under `names`; skipped when this very file was imported before."""
        record = self._state / "images.json"
        known: dict[str, list[str]] = json.loads(record.read_text()) if record.exists() else {}
        archive = archive.absolute()
        stat = archive.stat()
        key = f"{archive}|{stat.st_size}|{stat.st_mtime_ns}"
        if key in known and set(names) <= set(known[key]):
            return
        with progress(f"importing {archive.name}"):
            imported = images_builtin.names_in(archive)
            self._ctr("images", "import", str(archive))
        for name in names:
            if name not in imported:
                self._ctr("images", "tag", "--force", imported[0], name)
        record.write_text(json.dumps(known | {key: [*imported, *names]}, indent=1))

    def _is_up(self) -> bool:
        if any(self._daemons.pid(name) is None for name in DAEMONS) or not (self._state / "complete").exists():
            return False
        return api_server_ready(f"https://{network.ADDRESS}:{API_PORT}", self._state / "pki" / "devcluster-ca.crt")

    def _remove(self) -> None:
        (self._state / "complete").unlink(missing_ok=True)
        with progress("removing the native cluster"):
            cleanup.remove(self._state, self._daemons)

    def _ctr(self, *arguments: str) -> str:
        binary = tools.CONTAINERD.directory / "ctr"
        return host.run(binary, f"--address={self._layout.containerd_socket}", "--namespace=k8s.io", *arguments)

    def _start(self) -> None:
        host.require_free_network(network.PODS, network.BRIDGE)
        cleanup.remember_host(self._state, node.HOST_DIRECTORIES)
        network.make_bridge()
        cgroups.make()
        try:
            for port, what in PORTS.items():
                host.require_free_port(network.ADDRESS, port, what)
        except DevclusterError:
            # Only now could we look, since the address is the bridge's; nothing runs yet, so nothing is worth keeping.
            self._remove()
            raise
        identity = components.make_identity(self._state / "pki", network.ADDRESS, API_PORT)
        self._start_control_plane(identity)
        self._start_node(identity)
        (self._state / "complete").touch()

    def _start_control_plane(self, identity: components.Identity) -> None:
        binaries = tools.KUBERNETES.directory
        etcd, peer, controllers, scheduler = free_ports(4)
        self._daemons.start("etcd", components.etcd(binaries / "etcd", self._state / "etcd", etcd, peer))
        command = components.api_server(binaries / "kube-apiserver", identity, network.ADDRESS, API_PORT, etcd)
        self._daemons.start("kube-apiserver", command)
        self._daemons.wait_ready("kube-apiserver", lambda: api_server_ready(identity.server, identity.authority.cert), TIMEOUT)
        admin = identity.kubeconfig("admin", "admin", "system:masters")
        admin.rename(self.kubeconfig)
        config = identity.kubeconfig("controller-manager", "system:kube-controller-manager")
        command = components.controller_manager(binaries / "kube-controller-manager", identity, config, controllers)
        self._daemons.start("kube-controller-manager", command)
        config = identity.kubeconfig("scheduler", "system:kube-scheduler")
        self._daemons.start("kube-scheduler", components.scheduler(binaries / "kube-scheduler", config, scheduler))
        host.run(self.kubectl, f"--kubeconfig={self.kubeconfig}", "apply", "--server-side", "-f", "-", stdin=node.addons())

    def _start_node(self, identity: components.Identity) -> None:
        binaries = tools.KUBERNETES.directory
        health, proxy_health, proxy_metrics, dns_ready = free_ports(4)
        self._start_containerd()
        serving = identity.ca.issue("kubelet-serving", node.NODE, hosts=(node.NODE, network.ADDRESS))
        self._start_kubelet(identity, serving, health)
        config = identity.kubeconfig("kube-proxy", "system:kube-proxy")
        command = node.kube_proxy(binaries / "kube-proxy", self._layout, config, proxy_health, proxy_metrics)
        self._daemons.start("kube-proxy", command)
        config = identity.kubeconfig("coredns", "devcluster:coredns", "system:masters")
        dns = node.coredns(tools.COREDNS.directory / "coredns", self._layout, config, dns_ready)
        self._daemons.start("coredns", dns)
        config = identity.kubeconfig("storage", "devcluster:storage", "system:masters")
        self._start_storage(config)
        self._daemons.wait_ready("coredns", lambda: http_ok(f"http://127.0.0.1:{dns_ready}/ready"), TIMEOUT)
        self._daemons.wait_ready("kube-proxy", lambda: http_ok(f"http://127.0.0.1:{proxy_health}/healthz"), TIMEOUT)
        with progress("waiting for the node to be ready"):
            self._daemons.wait_ready("kubelet", self._node_ready, TIMEOUT)
            wait_until(
                self._default_account, TIMEOUT, lambda: "The default service account did not appear: see the controller-manager's log."
            )

    def _start_containerd(self) -> None:
        directory = tools.CONTAINERD.directory
        # It finds its shim on PATH.
        path = f"{directory}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        self._daemons.start("containerd", node.containerd(directory / "containerd", self._layout), {"PATH": path})
        self._daemons.wait_ready("containerd", self._layout.containerd_socket.exists, TIMEOUT)
        archives = self._state / "images"
        archives.mkdir(exist_ok=True)
        for write in (images_builtin.pause, images_builtin.busybox):
            self.load_image(write(archives / f"{write.__name__}.tar"))

    def _start_kubelet(self, identity: components.Identity, serving: Pair, health: int) -> None:
        config = identity.kubeconfig("kubelet", f"system:node:{node.NODE}", "system:nodes")
        binary = tools.KUBERNETES.directory / "kubelet"
        command = node.kubelet(binary, self._layout, config, identity.authority.cert, serving, health)
        self._daemons.start("kubelet", command)

    def _start_storage(self, config: Path) -> None:
        self._layout.volumes.mkdir(exist_ok=True)
        command = tools.python("-m", "devcluster.storage", str(config), str(self._layout.volumes), node.NODE)
        self._daemons.start("storage", command, {"PYTHONPATH": str(Path(__file__).resolve().parent.parent)})

    def _get(self, *arguments: str) -> str:
        return host.run(self.kubectl, f"--kubeconfig={self.kubeconfig}", "get", *arguments, check=False)

    def _node_ready(self) -> bool:
        condition = "jsonpath={.status.conditions[?(@.type=='Ready')].status}"
        return self._get("node", node.NODE, "--output", condition) == "True"

    def _default_account(self) -> bool:
        return bool(self._get("serviceaccount", "default", "--namespace=default", "--ignore-not-found", "--output=name"))
