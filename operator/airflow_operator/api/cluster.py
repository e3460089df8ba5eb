"""AirflowCluster: one Airflow deployment on a base."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from airflow_operator.api.cel import Cel, at_most_one, exactly_one, matches
from airflow_operator.api.common import (
    NAME,
    VOLUME_RULES,
    Atomic,
    DeletionPolicy,
    Duration,
    EnvFrom,
    EnvList,
    Image,
    ListMap,
    Metadata,
    Model,
    ObjectName,
    ObjectReference,
    Opaque,
    PodDefaults,
    Resources,
    SizeString,
)
from airflow_operator.api.config_rules import ConfigRules

DAGS_FOLDER = "dags-folder"
"""Name of Airflow's own bundle: that of a `dags` entry without a name."""


class AirflowImage(Image):
    """Image of Airflow."""

    repository: Annotated[str, Field(min_length=1, max_length=512)] = Field(
        default="docker.io/apache/airflow", description="Name of the image without tag. It must behave like the official image."
    )
    tag: Annotated[str, Field(max_length=128, pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$")] | None = Field(
        default=None, description="Tag of the image; absent means spec.version. The image must hold that version of Airflow."
    )


class GitSyncImage(Image):
    """Image of git-sync."""

    repository: Annotated[str, Field(min_length=1, max_length=512)] = Field(
        default="registry.k8s.io/git-sync/git-sync", description="Name of the image without tag; version 4 of git-sync."
    )
    tag: Annotated[str, Field(max_length=128, pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$")] | None = Field(
        default="v4.7.1", description="Tag of the image."
    )


class BaseReference(Model):
    """The AirflowBase that the deployment lives on."""

    name: ObjectName = Field(description="Name of an AirflowBase in the same namespace. It may appear later than the AirflowCluster.")

    rules = (
        Cel(
            rule="self.name == oldSelf.name",
            message="the base cannot change, since the database lives there: make another AirflowCluster",
            field_path=".name",
        ),
    )


class Git(Model):
    """A git repository with DAGs, kept fresh by git-sync."""

    repo: Annotated[
        str,
        Field(max_length=1024),
        matches(r"^https?://[^\s/]+/?\S*$", "must be an https:// or http:// URL: other kinds of repositories do not work in this version"),
        matches(
            r"^[^@]*$|^[^/]*//[^/@]+/.*$", "must not hold a user name or password: put them in a Secret and name it in credentialsSecretRef"
        ),
    ] = Field(description="URL of the repository, https:// or http://.")
    ref: Annotated[str, Field(max_length=255), matches(r"^[^\s-]\S*$", "must be a branch, a tag or a commit")] = Field(
        default="HEAD", description="Branch, tag or commit; HEAD is the default branch of the repository."
    )
    sub_path: (
        Annotated[
            str,
            Field(max_length=1024),
            matches(r"^[^/\s][^\s]*$", "must be a path within the repository, without a slash at its start and without spaces"),
            Cel(
                rule="!self.split('/').exists(part, part == '..')",
                message="must stay within the repository: leave out ..",
                check=lambda value: ".." not in value.split("/"),
            ),
        ]
        | None
    ) = Field(default=None, description="Folder of the DAGs within the repository; absent means its root.")
    period: Duration = Field(default="60s", description="Time between two looks at the repository, from 1s to 24h.")
    depth: Annotated[int, Field(ge=0, le=1000000)] = Field(default=1, description="Commits of history to fetch; 0 means all of it.")
    credentials_secret_ref: ObjectReference | None = Field(
        default=None,
        description="Secret with the keys username and password, or with the key token alone. "
        "A change of the Secret is used at the next look, without a restart.",
    )


class DagSource(Model):
    """One source of DAGs: exactly one kind."""

    name: Annotated[str, Field(min_length=1, max_length=40, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")] = Field(
        default=DAGS_FOLDER, description="Name of the DAG bundle in Airflow. Left out, it is Airflow's own bundle."
    )
    git: Git | None = Field(default=None, description="A git repository.")

    rules = (exactly_one("git"),)


class Component(PodDefaults):
    """One part of Airflow and its pods. What is set here wins over spec.pods: maps merge, lists replace."""

    replicas: Annotated[int, Field(ge=0)] = Field(
        default=1, description="Number of pods; 0 stops the component.", json_schema_extra={"format": "int32"}
    )
    env: EnvList = Field(default=(), description="Environment variables of this component; they win over spec.env.")


class Scheduler(Component):
    """The schedulers. `kubectl scale` sets their number."""


class DagProcessor(Component):
    """The dag-processor, which parses DAG files."""


class ApiServer(Component):
    """The API server: user interface, REST API, and the API that tasks speak to."""


class Triggerer(Component):
    """The triggerer, which waits for deferred tasks."""


class TaskPods(Model):
    """Pods in which KubernetesExecutor runs tasks, one for each."""

    pod_template: Annotated[Mapping[str, Any], Opaque()] | None = Field(
        default=None,
        description="A Pod's metadata and spec, laid over the template that the operator makes: lists merge by name as in kubectl patch. "
        "The container that runs the task is called base.",
    )


class FabAdmin(Model):
    """The first administrator."""

    enabled: bool = Field(default=True, description="Whether the operator makes an administrator.")
    secret_ref: ObjectReference | None = Field(
        default=None,
        description="Secret with the keys username and password. Absent: the operator makes one; status.auth.adminSecretRef names it.",
    )


class FabAuth(Model):
    """Users and roles in Airflow's own database (Flask AppBuilder)."""

    admin: FabAdmin = Field(default=FabAdmin(), description="The first administrator.")


class Auth(Model):
    """How users log in: exactly one."""

    fab: FabAuth | None = Field(default=None, description="Users and roles in Airflow's own database.")

    rules = (exactly_one("fab"),)


class LogVolume(Model):
    """A volume that every component and every task writes its logs to, so that they outlive the pods."""

    size: SizeString | None = Field(
        default=None, description="Size of a new volume. It may grow where the StorageClass allows it, never shrink."
    )
    storage_class_name: ObjectName | None = Field(
        default=None, description="StorageClass of a new volume; it must support ReadWriteMany. Absent means the default class."
    )
    claim_name: ObjectName | None = Field(default=None, description="An existing PersistentVolumeClaim with ReadWriteMany instead.")

    rules = (
        exactly_one("size", "claimName"),
        at_most_one("storageClassName", "claimName"),
        *VOLUME_RULES,
    )


class Logs(Model):
    """Where the logs of tasks are kept: exactly one."""

    volume: LogVolume | None = Field(default=None, description="A shared volume.")

    rules = (exactly_one("volume"),)


class GitSync(Model):
    """The git-sync containers."""

    image: GitSyncImage = Field(default=GitSyncImage(), description="Image of git-sync.")
    resources: Resources = Field(default_factory=Resources, description="Requests and limits of each git-sync container.")


class Jobs(Model):
    """The Jobs that prepare the database and the users."""

    resources: Resources = Field(default_factory=Resources, description="Requests and limits of each Job's container.")


_EXECUTORS = Cel(
    rule="self == ['KubernetesExecutor']",
    message="only [KubernetesExecutor] works in this version of the operator",
    check=lambda value: value == ("KubernetesExecutor",),
)
_ONE_SOURCE = Cel(rule="size(self) <= 1", message="one entry only in this version of the operator", check=lambda value: len(value) <= 1)


class AirflowClusterSpec(Model):
    """What the deployment should be."""

    base_ref: BaseReference = Field(description="AirflowBase that holds the database of this deployment. It cannot change.")
    version: Literal["3.3.2"] = Field(description="Version of Airflow.")
    image: AirflowImage = Field(default=AirflowImage(), description="Image of Airflow.")
    executors: Annotated[tuple[Annotated[str, Field(max_length=64)], ...], Field(max_length=8), Atomic(), _EXECUTORS] = Field(
        default=("KubernetesExecutor",), description="What runs the tasks. In this version of the operator: KubernetesExecutor."
    )
    config: Annotated[Mapping[str, Mapping[str, str | int | bool]], ConfigRules()] = Field(
        default_factory=dict,
        description="Options of Airflow's configuration: section, option, value (a string, an integer or a boolean); names are lower case. "
        "They win over the operator's defaults. Keep secrets out: use env with valueFrom.",
    )
    env: EnvList = Field(default=(), description="Environment variables of every Airflow container; they win over config.")
    env_from: Annotated[tuple[EnvFrom, ...], Field(max_length=32), Atomic()] = Field(
        default=(), description="Secrets and ConfigMaps whose keys become environment variables of every Airflow container."
    )
    dags: Annotated[tuple[DagSource, ...], Field(max_length=16), ListMap(), _ONE_SOURCE] = Field(
        default=(), description="Where the DAGs come from. In this version of the operator: one git repository."
    )
    scheduler: Scheduler = Field(default=Scheduler(), description="The schedulers.")
    dag_processor: DagProcessor = Field(default=DagProcessor(), description="The dag-processor.")
    api_server: ApiServer = Field(default=ApiServer(), description="The API server, with the user interface.")
    triggerer: Triggerer = Field(default=Triggerer(), description="The triggerer.")
    task_pods: TaskPods = Field(default_factory=TaskPods, description="The pods of tasks.")
    auth: Auth = Field(default=Auth(fab=FabAuth()), description="How users log in.")
    logs: Logs | None = Field(default=None, description="Where task logs are kept. Absent: the log of a task is gone with its pod.")
    pods: PodDefaults = Field(
        default_factory=PodDefaults, description="Settings of every pod of this deployment; a component may override them."
    )
    git_sync: GitSync = Field(default=GitSync(), description="The git-sync containers.")
    jobs: Jobs = Field(default_factory=Jobs, description="The Jobs that prepare the database and the users.")
    deletion_policy: DeletionPolicy = Field(
        default="Retain",
        description="What happens to the database, the keys and the logs when the AirflowCluster is deleted. "
        "Retain: they stay, and a cluster of the same name finds them again. Delete: they go.",
    )
    paused: bool = Field(default=False, description="true: the operator writes nothing but status. Airflow itself goes on.")


class AirflowCluster(Model):
    """One Apache Airflow deployment, kept in the state declared here."""

    api_version: Literal["airflow-operator.dev/v1alpha1"] = "airflow-operator.dev/v1alpha1"
    kind: Literal["AirflowCluster"] = "AirflowCluster"
    metadata: Metadata
    spec: AirflowClusterSpec = Field(description="The desired state.")

    rules = (NAME,)
