"""Configuration and command lines of what makes this host a node: containerd, kubelet, kube-proxy, CoreDNS."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from devcluster import cgroups, host, network
from devcluster.certs import Pair
from devcluster.components import Command
from devcluster.errors import DevclusterError

NODE = "devcluster"
CLUSTER_DNS = "10.96.0.10"
KUBELET_PORT = 10250
DNS_PORT = 10053
PAUSE_IMAGE = "localhost/devcluster/pause:1"
# kubelet, containerd and mount insist on these whatever they are told; `down` removes those that were not there before.
HOST_DIRECTORIES = tuple(
    Path(name)
    for name in (
        "/var/log/containers",
        "/var/lib/kubelet",
        "/var/lib/kubelet/device-plugins",
        "/run/containerd",
        "/run/containerd/s",
        "/run/mount",
        "/var/lib/cni",
        "/var/lib/cni/results",
    )
)


@dataclass(frozen=True)
class Layout:
    """Files and directories of the native cluster, all under its state directory."""

    state: Path

    @property
    def containerd_socket(self) -> Path:
        """Socket of containerd; short, since a path of a socket has at most 107 bytes."""
        return self.state / "containerd" / "containerd.sock"

    @property
    def volumes(self) -> Path:
        """Where the directories of persistent volumes are."""
        return self.state / "volumes"

    @property
    def config(self) -> Path:
        """Configuration files."""
        return self.state / "config"

    def write(self, name: str, content: str | dict[str, Any]) -> Path:
        """Write a configuration file; a dict becomes YAML."""
        self.config.mkdir(parents=True, exist_ok=True)
        path = self.config / name
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False))
        return path


def containerd(binary: Path, layout: Layout) -> Command:
    """A containerd of our own beside any other, with everything it keeps under the state directory."""
    plugins = host.cni_directory()
    runc = shutil.which("runc")
    if plugins is None or runc is None:
        raise DevclusterError("runc or the CNI plugins are gone: install Debian's runc and containernetworking-plugins.")
    base = layout.state / "containerd"
    network.cni_config(base / "cni", base / "addresses")
    config = f"""\
version = 3
root = "{base}/root"
state = "{base}/state"
disabled_plugins = ["io.containerd.nri.v1.nri"]

[grpc]
  address = "{layout.containerd_socket}"

[ttrpc]
  address = "{layout.containerd_socket}.ttrpc"

[plugins."io.containerd.internal.v1.opt"]
  path = "{base}/opt"

[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "{PAUSE_IMAGE}"

[plugins."io.containerd.cri.v1.runtime"]
  # Hosts without CAP_SYS_RESOURCE may not lower an OOM score.
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true

[plugins."io.containerd.cri.v1.runtime".cni]
  bin_dirs = ["{plugins}"]
  conf_dir = "{base}/cni"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
  BinaryName = "{runc}"
  Root = "{base}/runc"
  SystemdCgroup = false
"""
    return [binary, "--config", layout.write("containerd.toml", config), "--log-level=warn"]


def kubelet(binary: Path, layout: Layout, config: Path, authority: Path, serving: Pair, health_port: int) -> Command:
    """A kubelet that serves on the bridge and never deletes imported images."""
    root = layout.state / "kubelet"
    settings: dict[str, Any] = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": network.ADDRESS,
        "port": KUBELET_PORT,
        "healthzBindAddress": "127.0.0.1",
        "healthzPort": health_port,
        "tlsCertFile": str(serving.cert),
        "tlsPrivateKeyFile": str(serving.key),
        "authentication": {"anonymous": {"enabled": False}, "webhook": {"enabled": True}, "x509": {"clientCAFile": str(authority)}},
        "authorization": {"mode": "Webhook"},
        "containerRuntimeEndpoint": f"unix://{layout.containerd_socket}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{cgroups.NAME}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "enforceNodeAllocatable": [],
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%", "nodefs.inodesFree": "1%"},
        # Or it deletes imported images, which no registry gives back.
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "clusterDNS": [CLUSTER_DNS],
        "clusterDomain": "cluster.local",
        "makeIPTablesUtilChains": False,
        "oomScoreAdj": 0,
        "maxPods": 200,
        "podLogsDir": str(layout.state / "pod-logs"),
        "volumePluginDir": str(root / "volume-plugins"),
        "serializeImagePulls": False,
    }
    return [
        binary,
        f"--config={layout.write('kubelet.yaml', settings)}",
        f"--kubeconfig={config}",
        f"--root-dir={root}",
        f"--cert-dir={root / 'pki'}",
        f"--hostname-override={NODE}",
        f"--node-ip={network.ADDRESS}",
    ]


def kube_proxy(binary: Path, layout: Layout, config: Path, health_port: int, metrics_port: int) -> Command:
    """A kube-proxy in nftables mode that leaves the host's conntrack limits alone."""
    settings = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "hostnameOverride": NODE,
        "clientConnection": {"kubeconfig": str(config)},
        "clusterCIDR": str(network.PODS),
        "healthzBindAddress": f"127.0.0.1:{health_port}",
        "metricsBindAddress": f"127.0.0.1:{metrics_port}",
        "nftables": {"masqueradeAll": not network.replies_cross_netfilter()},
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    }
    return [binary, f"--config={layout.write('kube-proxy.yaml', settings)}"]


def coredns(binary: Path, layout: Layout, config: Path, ready_port: int) -> Command:
    """A CoreDNS on the host, bound to the bridge; what is not of the cluster goes to the host's name servers."""
    outside = "forward . /etc/resolv.conf" if _has_name_server() else ""
    corefile = f""".:{DNS_PORT} {{
  bind {network.ADDRESS}
  errors
  ready 127.0.0.1:{ready_port}
  kubernetes cluster.local in-addr.arpa ip6.arpa {{
    kubeconfig {config}
    pods insecure
    ttl 5
  }}
  {outside}
  cache 5
}}
"""
    return [binary, "-conf", layout.write("Corefile", corefile)]


def _has_name_server() -> bool:
    path = Path("/etc/resolv.conf")
    return path.exists() and any(line.startswith("nameserver") for line in path.read_text().splitlines())


def addons() -> str:
    """Manifests that belong to every cluster: the DNS Service of the host's CoreDNS, and the storage class."""
    ports = [
        {"name": "dns", "port": 53, "protocol": "UDP", "targetPort": DNS_PORT},
        {"name": "dns-tcp", "port": 53, "protocol": "TCP", "targetPort": DNS_PORT},
    ]
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "kube-dns", "namespace": "kube-system", "labels": {"k8s-app": "kube-dns"}},
        "spec": {"clusterIP": CLUSTER_DNS, "ports": ports},
    }
    endpoints = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "kube-dns-host", "namespace": "kube-system", "labels": {"kubernetes.io/service-name": "kube-dns"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [network.ADDRESS], "conditions": {"ready": True}}],
        "ports": [{"name": port["name"], "port": DNS_PORT, "protocol": port["protocol"]} for port in ports],
    }
    storage_class = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": "standard", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
        "provisioner": "devcluster/hostpath",
        "volumeBindingMode": "WaitForFirstConsumer",
        "reclaimPolicy": "Delete",
    }
    return yaml.safe_dump_all([service, endpoints, storage_class], sort_keys=False)
