"""A git server in a namespace, and a working copy on this host that pushes to it."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from devcluster.images import IMAGES
from tests.e2e.git_keys import generate
from tests.e2e.kubectl import Kubectl, Object
from tests.e2e.reach import Reach
from tests.e2e.waiting import until

NAME = "git-server"
PORT, TLS_PORT, SSH_PORT = 8080, 8443, 2222
USERNAME = "airflow"
APP_USERNAME = "-"
"""What git-sync calls itself beside the token of a GitHub App."""
REPOSITORY = "dags.git"
OTHERS = ("over-ssh.git", "over-tls.git", "versions.git")
"""More repositories of the same server, empty at first."""
URL = f"http://{NAME}:{PORT}/{REPOSITORY}"
"""The repository as pods of the same namespace reach it."""
TLS_URL = f"https://{NAME}:{TLS_PORT}"
SSH_URL = f"ssh://git@{NAME}:{SSH_PORT}/srv/git"
"""The server's addresses without a repository."""
KEYS = f"{NAME}-keys"
"""Secret with the server's keys and those of its one SSH user."""

# Nobody's own settings.
_GIT = {
    "GIT_AUTHOR_NAME": "tests",
    "GIT_AUTHOR_EMAIL": "tests@example.com",
    "GIT_COMMITTER_NAME": "tests",
    "GIT_COMMITTER_EMAIL": "tests@example.com",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
}


def _password_secret(password: str) -> Object:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": NAME}, "stringData": {"password": password}}


def manifests(password: str, keys: Mapping[str, str]) -> list[Object]:
    """A git server that asks for a password, or for a key over SSH; its repositories are gone with its pod."""
    labels = {"app": NAME}
    container = {
        "name": "server",
        "image": IMAGES["git-server"].tag,
        "env": [
            {"name": "GIT_USERNAME", "value": f"{USERNAME} {APP_USERNAME}"},
            {"name": "GIT_PASSWORD_FILE", "value": "/etc/git-server/password"},
            {"name": "GIT_REPOS", "value": " ".join((REPOSITORY, *OTHERS))},
            {"name": "GIT_AUTHORIZED_KEYS_FILE", "value": "/etc/git-keys/authorized_keys"},
            {"name": "GIT_HOST_KEY_FILE", "value": "/etc/git-keys/host-key"},
            {"name": "GIT_TLS_CERT_FILE", "value": "/etc/git-keys/tls.crt"},
            {"name": "GIT_TLS_KEY_FILE", "value": "/etc/git-keys/tls.key"},
        ],
        "ports": [{"containerPort": port} for port in (PORT, TLS_PORT, SSH_PORT)],
        "readinessProbe": {"httpGet": {"path": "/healthz", "port": PORT}, "periodSeconds": 1, "timeoutSeconds": 5},
        "resources": {"requests": {"cpu": "20m", "memory": "32Mi"}},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": True},
        "volumeMounts": [
            {"name": "repositories", "mountPath": "/srv/git"},
            {"name": "password", "mountPath": "/etc/git-server"},
            {"name": "keys", "mountPath": "/etc/git-keys"},
        ],
    }
    pod = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 1000, "fsGroup": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
        "volumes": [
            {"name": "repositories", "emptyDir": {}},
            {"name": "password", "secret": {"secretName": NAME}},
            {"name": "keys", "secret": {"secretName": KEYS}},
        ],
    }
    deployment = {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}}
    ports = [{"name": name, "port": port} for name, port in (("http", PORT), ("https", TLS_PORT), ("ssh", SSH_PORT))]
    return [
        _password_secret(password),
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": KEYS}, "stringData": dict(keys)},
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": NAME}, "spec": deployment},
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": NAME}, "spec": {"selector": labels, "ports": ports}},
    ]


class GitRepository:
    """The repository of a namespace's git server: what is committed here is pushed at once."""

    def __init__(self, kubectl: Kubectl, password: str, repository: str = REPOSITORY) -> None:
        """Nothing is made in the cluster yet: see `serve`."""
        self._kubectl = kubectl
        self.password = password
        self.keys: Mapping[str, str] = {}
        """Keys of the server and of its user, once it is served; see `git_keys`."""
        self._repository = repository
        self.newest = ""
        """The commit that was pushed last."""
        self._reach = Reach(kubectl, NAME, PORT)
        self._tree = Path(tempfile.mkdtemp(prefix="dags-"))

    def serve(self, files: Mapping[str, str]) -> str:
        """Start the server unless it runs, with the password that it has then, and make `files` its newest commit; return the commit."""
        with suppress(KeyError):
            self.password = self._kubectl.secret(NAME)["password"]
        try:
            self.keys = self._kubectl.secret(KEYS)
        except KeyError:
            self.keys = generate(NAME, SSH_PORT)
        self._kubectl.apply(*manifests(self.password, self.keys))
        self._kubectl("rollout", "status", f"deployment/{NAME}", "--timeout=120s", timeout=130)
        if not (self._tree / ".git").exists():
            self._git("init", "--quiet", "--initial-branch=main")
        if self._git("ls-remote", self._remote, "refs/heads/main", login=True):
            self._git("fetch", "--quiet", self._remote, "main", login=True)
            self._git("reset", "--quiet", "--hard", "FETCH_HEAD")
        return self.commit(files, "the first DAGs")

    def commit(self, files: Mapping[str, str], message: str, *, instead: bool = False) -> str:
        """Write files, commit and push; return the commit. `instead`: of the newest one, which a forced push takes out of history."""
        for name, text in files.items():
            path = self._tree / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self._git("add", "--all")
        self._git("commit", "--quiet", "--allow-empty", *(["--amend"] if instead else []), "--message", message)
        self._git("push", "--quiet", *(["--force"] if instead else []), self._remote, "HEAD:refs/heads/main", login=True)
        self.newest = self._git("rev-parse", "HEAD").strip()
        return self.newest

    def change_password(self, password: str, *, within: float = 180.0) -> None:
        """Make the server ask for another password, and wait until the old one is refused."""
        old, self.password = self.password, password
        self._kubectl.apply(_password_secret(password))
        # A change of the pod makes the kubelet look at its volumes now, not within its minute.
        self._kubectl("annotate", "pods", f"--selector=app={NAME}", "--overwrite", f"example.com/password-length={len(password)}")
        until("the old password is refused", lambda: not self._lets_in(old), within=within)

    def close(self) -> None:
        """Remove the working copy; the server stays."""
        self._reach.close()
        shutil.rmtree(self._tree, ignore_errors=True)

    @property
    def _remote(self) -> str:
        return f"{self._reach.url}/{self._repository}"

    def _authorization(self, password: str) -> str:
        return f"Basic {base64.b64encode(f'{USERNAME}:{password}'.encode()).decode()}"

    def _lets_in(self, password: str) -> bool:
        url = f"{self._remote}/info/refs?service=git-upload-pack"
        request = urllib.request.Request(url, headers={"Authorization": self._authorization(password)})
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                return bool(response.status == 200)
        except urllib.error.HTTPError as error:
            if error.code == 401:
                return False
            raise

    def _git(self, *arguments: str, login: bool = False) -> str:
        header = ["-c", f"http.extraHeader=Authorization: {self._authorization(self.password)}"] if login else []
        command = ["git", "-C", str(self._tree), *header, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **_GIT}, timeout=120)
        assert done.returncode == 0, f"git {arguments[0]}: {done.stderr.strip()}"
        return done.stdout
