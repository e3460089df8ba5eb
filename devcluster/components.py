"""Command lines of the control plane, the same for the throwaway and for the native cluster."""

from dataclasses import dataclass
from pathlib import Path

from devcluster.certs import Authority, Pair, kubeconfig, service_account_key

SERVICE_RANGE = "10.96.0.0/16"
KUBERNETES_SERVICE = "10.96.0.1"
_SERVER_NAMES = ("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local")
# The default of 20 requests a second holds the first service account back for five seconds.
_UNTHROTTLED = ("--kube-api-qps=500", "--kube-api-burst=1000")

Command = list[str | Path]


@dataclass(frozen=True)
class Identity:
    """Keys, certificates and kubeconfigs of one control plane."""

    directory: Path
    authority: Pair
    serving: Pair
    kubelet_client: Pair
    service_accounts: Pair
    front_authority: Pair
    front_client: Pair
    server: str
    ca: Authority

    def kubeconfig(self, name: str, common_name: str, organization: str = "") -> Path:
        """Kubeconfig NAME.kubeconfig of one user of the API server."""
        client = self.ca.issue(name, common_name, organization)
        return kubeconfig(self.directory / f"{name}.kubeconfig", self.server, self.authority.cert, client)


def make_identity(directory: Path, address: str, port: int) -> Identity:
    """Make all keys of a new control plane whose API server listens on `address`:`port`."""
    directory.mkdir(parents=True, exist_ok=True)
    ca = Authority(directory)
    # A second authority: kube-apiserver must not take an ordinary client for the aggregation front proxy.
    front = Authority(directory, "front-proxy-ca")
    hosts = tuple(dict.fromkeys((*_SERVER_NAMES, "127.0.0.1", KUBERNETES_SERVICE, address)))
    return Identity(
        directory=directory,
        authority=ca.pair,
        serving=ca.issue("apiserver", "kube-apiserver", hosts=hosts),
        kubelet_client=ca.issue("apiserver-kubelet", "kube-apiserver-kubelet-client", "system:masters"),
        service_accounts=service_account_key(directory),
        front_authority=front.pair,
        front_client=front.issue("front-proxy-client", "front-proxy-client"),
        server=f"https://{address}:{port}",
        ca=ca,
    )


def etcd(binary: Path, data: Path, client_port: int, peer_port: int) -> Command:
    """An etcd of one member, on the loopback only."""
    client, peer = f"http://127.0.0.1:{client_port}", f"http://127.0.0.1:{peer_port}"
    return [
        binary,
        f"--data-dir={data}",
        "--name=default",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        # Data of a test bed: speed before surviving a power cut.
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]


def api_server(binary: Path, identity: Identity, address: str, port: int, etcd_port: int, advertise: str = "") -> Command:
    """A kube-apiserver with Kubernetes' default admission, node authorization and an aggregation layer.

    `advertise` is what pods reach it by behind Service `kubernetes`; kube-apiserver refuses a loopback address there.
    """
    return [
        binary,
        f"--etcd-servers=http://127.0.0.1:{etcd_port}",
        f"--bind-address={address}",
        f"--advertise-address={advertise or address}",
        f"--secure-port={port}",
        f"--service-cluster-ip-range={SERVICE_RANGE}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        f"--client-ca-file={identity.authority.cert}",
        f"--tls-cert-file={identity.serving.cert}",
        f"--tls-private-key-file={identity.serving.key}",
        f"--kubelet-client-certificate={identity.kubelet_client.cert}",
        f"--kubelet-client-key={identity.kubelet_client.key}",
        "--kubelet-preferred-address-types=InternalIP",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={identity.service_accounts.cert}",
        f"--service-account-signing-key-file={identity.service_accounts.key}",
        f"--requestheader-client-ca-file={identity.front_authority.cert}",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        f"--proxy-client-cert-file={identity.front_client.cert}",
        f"--proxy-client-key-file={identity.front_client.key}",
    ]


def controller_manager(binary: Path, identity: Identity, config: Path, port: int) -> Command:
    """A kube-controller-manager: garbage collection, workload controllers, service accounts, tokens."""
    # Its default is a directory of the host, which it would make.
    plugins = identity.directory / "flex-volumes"
    return [
        binary,
        f"--kubeconfig={config}",
        f"--authentication-kubeconfig={config}",
        f"--authorization-kubeconfig={config}",
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        "--use-service-account-credentials=true",
        f"--root-ca-file={identity.authority.cert}",
        f"--service-account-private-key-file={identity.service_accounts.key}",
        f"--cluster-signing-cert-file={identity.authority.cert}",
        f"--cluster-signing-key-file={identity.authority.key}",
        f"--flex-volume-plugin-dir={plugins}",
        "--leader-elect=false",
        *_UNTHROTTLED,
    ]


def scheduler(binary: Path, config: Path, port: int) -> Command:
    """A kube-scheduler."""
    return [
        binary,
        f"--kubeconfig={config}",
        f"--authentication-kubeconfig={config}",
        f"--authorization-kubeconfig={config}",
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        "--leader-elect=false",
        *_UNTHROTTLED,
    ]
