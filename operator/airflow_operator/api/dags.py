"""Sources of DAGs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import Field

from airflow_operator.api.cel import Cel, exactly_one, matches
from airflow_operator.api.certificates import CertificateAuthority
from airflow_operator.api.common import PERIOD, ListMap, Model, ObjectName, ObjectReference

DAGS_FOLDER = "dags-folder"
"""Name of Airflow's own bundle: that of a `dags` entry without a name."""

ONCE = "Once"
"""The period of a repository that is fetched when a pod starts and never again."""

DEFAULT_DEPTH = 1

_HTTP = r"https?://[^\s/]+/?\S*"
_SSH = r"ssh://([^\s/@]+@)?[^\s/@]+/\S+"
_SCP = r"[^\s/:@]+@[^\s/:@]+:\S+"

_REPO = (
    matches(
        rf"^({_HTTP}|{_SSH}|{_SCP})$",
        "must be an https://, http:// or ssh:// URL, or USER@HOST:PATH for SSH: other kinds of repositories do not work",
    ),
    matches(
        r"^[^@]*$|^[^/]*//[^/@]+/.*$|^(ssh://)?[^/:@]+@[^/@]+[/:].*$",
        "must not hold a password, nor a user name but that of SSH: put them in a Secret and name it in credentialsSecretRef",
    ),
)


def _is_git_period(value: str) -> bool:
    return value == ONCE or (PERIOD.check is not None and PERIOD.check(value))


_PERIOD = Cel(
    rule=f"self == '{ONCE}' || ({PERIOD.rule})",
    message="must be a duration from 1s to 24h, such as 30s or 5m, or Once",
    check=_is_git_period,
)


_STAYS = Cel(
    rule="!self.split('/').exists(part, part == '..')",
    message="must stay within it: leave out ..",
    check=lambda value: ".." not in value.split("/"),
)
SubPath = Annotated[
    str,
    Field(max_length=1024),
    matches(r"^[^/\s][^\s]*$", "must be a path below the root, without a slash at its start and without spaces"),
    _STAYS,
]


def is_ssh(repo: str) -> bool:
    """Whether a repository is reached over SSH."""
    return repo.startswith("ssh://") or "://" not in repo


def _when_ssh(rule: str) -> str:
    return f"!(self.repo.startsWith('ssh://') || !self.repo.contains('://')) || {rule}"


_BUNDLE: tuple[tuple[str, str, str, Callable[[Any], bool]], ...] = (
    ("!has(self.depth)", "cannot be chosen", "depth", lambda it: not _bundled(it) or it.depth is None),
    (
        "!has(self.submodules) || self.submodules == 'Off'",
        "must be Off",
        "submodules",
        lambda it: not _bundled(it) or it.submodules in (None, "Off"),
    ),
    ("!has(self.ca)", "is not used", "ca", lambda it: not _bundled(it) or it.ca is None),
    (f"self.period != '{ONCE}'", "cannot be Once", "period", lambda it: not _bundled(it) or it.period != ONCE),
)
"""What GitDagBundle cannot honour: rule, sentence, field, check."""


def _bundled(git: Any) -> bool:
    return bool(git.delivery == "Bundle")


def _git_rules() -> tuple[Cel, ...]:
    def rule(text: str, message: str, field: str, check: Any) -> Cel:
        return Cel(rule=text, message=message, check=check, field_path=f".{field}")

    return (
        Cel(
            rule=_when_ssh("has(self.credentialsSecretRef)"),
            message="a repository over SSH needs credentialsSecretRef: a Secret of type kubernetes.io/ssh-auth with the private key",
            check=lambda it: not is_ssh(it.repo) or it.credentials_secret_ref is not None,
        ),
        rule(
            "!has(self.knownHosts) || self.repo.startsWith('ssh://') || !self.repo.contains('://')",
            "belongs to a repository over SSH: for https:// use ca",
            "knownHosts",
            lambda it: it.known_hosts is None or is_ssh(it.repo),
        ),
        rule(
            "!has(self.ca) || self.repo.startsWith('https://')",
            "belongs to an https:// repository: for SSH use knownHosts",
            "ca",
            lambda it: it.ca is None or it.repo.startswith("https://"),
        ),
        *(
            rule(
                f"self.delivery != 'Bundle' || {holds}",
                f"{sentence} with delivery: Bundle, where Airflow fetches the repository itself: leave it out, or use delivery: Sidecar",
                field,
                check,
            )
            for holds, sentence, field, check in _BUNDLE
        ),
    )


class Git(Model):
    """A git repository with DAGs, kept fresh by git-sync."""

    repo: Annotated[str, Field(max_length=1024), *_REPO] = Field(
        description="The repository: an https://, http:// or ssh:// URL, or USER@HOST:PATH for SSH."
    )
    ref: Annotated[str, Field(max_length=255), matches(r"^[^\s-]\S*$", "must be a branch, a tag or a commit")] = Field(
        default="HEAD",
        description="Branch, tag or commit (all 40 digits of it); HEAD is the default branch of the repository.",
    )
    sub_path: SubPath | None = Field(default=None, description="Folder of the DAGs within the repository; absent means its root.")
    period: Annotated[str, Field(max_length=32), _PERIOD] = Field(
        default="60s",
        description="Time between two looks at the repository, from 1s to 24h. Once: each pod fetches it when it starts and never again; "
        "then let ref be a tag or a commit, or pods that start at different times see different DAGs.",
    )
    depth: Annotated[int, Field(ge=0, le=1000000)] | None = Field(
        default=None, description="Commits of history to fetch; 0 means all of it, absent means 1."
    )
    submodules: Literal["Recursive", "Shallow", "Off"] | None = Field(
        default=None,
        description="Submodules to fetch: Recursive (also when absent) takes those of submodules too, Shallow the first level, Off none.",
    )
    credentials_secret_ref: ObjectReference | None = Field(
        default=None,
        description="Secret to log in with. For https://: username and password, or token alone, or a GitHub App (githubAppID or "
        "githubAppClientID, githubAppInstallationID, githubAppPrivateKey, and githubAppBaseURL for a server of your own). For SSH: "
        "ssh-privatekey, and known_hosts unless the field knownHosts is set. A new password, token, private key or known_hosts is used at "
        "the next look, without a restart.",
    )
    known_hosts: Annotated[str, Field(min_length=1, max_length=16384)] | None = Field(
        default=None,
        description="Public keys of the SSH server, as lines of a known_hosts file (ssh-keyscan prints them: compare them with those that "
        "the server's owner publishes). Absent: the key known_hosts of the Secret. A server with another key is not spoken to.",
    )
    ca: CertificateAuthority | None = Field(
        default=None, description="Certificates that the server's certificate is checked with, in place of the public ones."
    )

    delivery: Literal["Sidecar", "Bundle"] = Field(
        default="Sidecar",
        description="Sidecar: git-sync fetches the repository beside Airflow, and all tasks run the newest commit. Bundle: Airflow 3 "
        "fetches it itself, in every pod that needs it, and a run keeps the commit that it began with, also when it is repeated. The image "
        "must hold apache-airflow-providers-git and git; user name and password are then in the environment of tasks.",
    )

    rules = _git_rules()


class DagVolume(Model):
    """DAGs on a volume that something else fills."""

    claim_name: ObjectName = Field(
        description="PersistentVolumeClaim in the same namespace. Every pod that reads DAGs, task pods included, mounts it read-only, so "
        "on several nodes it must be ReadWriteMany or ReadOnlyMany."
    )
    sub_path: SubPath | None = Field(default=None, description="Folder of the DAGs on the volume; absent means its root.")


class DagImage(Model):
    """DAGs that lie in the image of Airflow."""

    path: Annotated[
        str, Field(max_length=1024), matches(r"^/[^\s]*$", "must be an absolute path in the image, such as /opt/airflow/dags"), _STAYS
    ] = Field(description="Folder of the DAGs in spec.image.")


class DagSource(Model):
    """One source of DAGs: exactly one kind."""

    name: Annotated[str, Field(min_length=1, max_length=40, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")] = Field(
        default=DAGS_FOLDER, description="Name of the DAG bundle in Airflow. Left out, it is Airflow's own bundle."
    )
    git: Git | None = Field(default=None, description="A git repository.")
    volume: DagVolume | None = Field(default=None, description="A volume that something else fills.")
    image: DagImage | None = Field(default=None, description="A folder of the image of Airflow.")

    rules = (exactly_one("git", "volume", "image"),)


DagSources = Annotated[tuple[DagSource, ...], Field(max_length=16), ListMap()]
