"""The Secrets that git logs in with: which of their members are used, and what they must have."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from airflow_operator.api.dags import Git, is_ssh
from airflow_operator.domain.errors import Waiting
from airflow_operator.domain.manifest import Live, dig

DIRECTORY = "/etc/git-secret"
PASSWORD_FILE = "password"
PRIVATE_KEY_FILE = "ssh"
APP_KEY_FILE = "github-app.pem"
KNOWN_HOSTS = "known_hosts"

PASSWORDS = (("username", "password"), ("GITSYNC_USERNAME", "GITSYNC_PASSWORD"), ("GIT_SYNC_USERNAME", "GIT_SYNC_PASSWORD"))
"""Members of a Secret of type kubernetes.io/basic-auth, and of the official Helm chart's for git-sync 4 and 3."""
TOKEN = "token"
PRIVATE_KEYS = ("ssh-privatekey", "gitSshKey")
"""Member of a Secret of type kubernetes.io/ssh-auth, and of the official Helm chart's."""

# The names that Argo CD and Flux use too.
APP_KEY = "githubAppPrivateKey"
APP_INSTALLATION = "githubAppInstallationID"
APP_IDS = {"githubAppID": "GITSYNC_GITHUB_APP_APPLICATION_ID", "githubAppClientID": "GITSYNC_GITHUB_APP_CLIENT_ID"}
APP_URL = "githubAppBaseURL"


@dataclass(frozen=True)
class Login:
    """How git-sync logs in: members of the Secret that are files (read anew at each sync), and its variables."""

    files: Mapping[str, str] = field(default_factory=dict)
    """Name of a file below DIRECTORY -> member."""
    members: Mapping[str, str] = field(default_factory=dict)
    """Variable -> member that it holds: read at the start alone."""
    plain: Mapping[str, str] = field(default_factory=dict)
    """Variable -> value."""


def login(git: Git, members: Collection[str]) -> Login | None:
    """What to take of a Secret with these members; None where it holds nothing to log in with."""
    if is_ssh(git.repo):
        return _ssh(git, members)
    if APP_KEY in members:
        return _github_app(members)
    for username, password in PASSWORDS:
        if {username, password} <= set(members):
            return Login({PASSWORD_FILE: password}, {"GITSYNC_USERNAME": username}, {"GITSYNC_PASSWORD_FILE": path_of(PASSWORD_FILE)})
    if TOKEN in members:
        return Login({PASSWORD_FILE: TOKEN}, {}, {"GITSYNC_USERNAME": "git", "GITSYNC_PASSWORD_FILE": path_of(PASSWORD_FILE)})
    return None


def private_key(members: Collection[str]) -> str:
    """The member with the SSH key; empty where there is none."""
    return next((member for member in PRIVATE_KEYS if member in members), "")


def path_of(file: str) -> str:
    """Where a file of the Secret is mounted."""
    return f"{DIRECTORY}/{file}"


def require(field: str, git: Git, secret: Live) -> None:
    """Raises Waiting where the Secret holds nothing that git could log in with."""
    data: Mapping[str, str] = dig(secret, "data", default={})
    name = secret["metadata"]["name"]
    if git.delivery == "Bundle" and not is_ssh(git.repo) and APP_KEY in data:
        raise Waiting("KeyNotFound", f"{field} names Secret {name}, a GitHub App, which works with delivery: Sidecar only.")
    if login(git, data) is None:
        raise Waiting("KeyNotFound", f"{field} names Secret {name}, which needs {_wanted(git, data)}.")
    if is_ssh(git.repo) and (wrong := _fault(data[private_key(data)])):
        raise Waiting("SecretMalformed", f"{field} names Secret {name}, whose key {private_key(data)} {wrong}.")


def _ssh(git: Git, members: Collection[str]) -> Login | None:
    key = private_key(members)
    if not key or not (git.known_hosts or KNOWN_HOSTS in members):
        return None
    hosts = {} if git.known_hosts else {KNOWN_HOSTS: KNOWN_HOSTS}
    variables = {"GITSYNC_SSH_KEY_FILE": path_of(PRIVATE_KEY_FILE), "GITSYNC_SSH_KNOWN_HOSTS": "true"}
    if hosts:
        variables["GITSYNC_SSH_KNOWN_HOSTS_FILE"] = path_of(KNOWN_HOSTS)
    return Login({PRIVATE_KEY_FILE: key, **hosts}, {}, variables)


def _github_app(members: Collection[str]) -> Login | None:
    identity = next((member for member in APP_IDS if member in members), "")
    if not identity or APP_INSTALLATION not in members:
        return None
    variables = {APP_IDS[identity]: identity, "GITSYNC_GITHUB_APP_INSTALLATION_ID": APP_INSTALLATION}
    if APP_URL in members:
        variables["GITSYNC_GITHUB_BASE_URL"] = APP_URL
    return Login({APP_KEY_FILE: APP_KEY}, variables, {"GITSYNC_GITHUB_APP_PRIVATE_KEY_FILE": path_of(APP_KEY_FILE)})


def _wanted(git: Git, members: Collection[str]) -> str:
    if is_ssh(git.repo):
        if private_key(members):
            return f"the key {KNOWN_HOSTS} with the server's public keys: add it, or set knownHosts beside credentialsSecretRef"
        return "the key ssh-privatekey, as a Secret of type kubernetes.io/ssh-auth has it"
    if APP_KEY in members:
        return f"beside {APP_KEY} the key {APP_INSTALLATION}, and githubAppID or githubAppClientID"
    return f"the keys username and password, or the key {TOKEN}, or those of a GitHub App"


def _fault(encoded: str) -> str:
    """What is wrong with the form of a private key; ssh itself would only say that it could not read it."""
    try:
        text = base64.b64decode(encoded, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return "is not text"
    if not text.lstrip().startswith("-----BEGIN "):
        return "is not a private key: it begins with -----BEGIN"
    return "" if text.endswith("\n") else "lacks the line break at its end, without which ssh does not read it"
