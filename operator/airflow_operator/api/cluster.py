"""AirflowCluster: one Airflow deployment on a base."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from airflow_operator.api.access import Gateway, Ingress, NetworkPolicy, WebUrl
from airflow_operator.api.allowed import NamespaceName
from airflow_operator.api.auth import Auth, FabAuth
from airflow_operator.api.cel import Cel, needs
from airflow_operator.api.certificates import CertificateAuthority, FileReference
from airflow_operator.api.common import (
    NAME,
    Atomic,
    DeletionPolicy,
    Image,
    ImageRepository,
    ImageTag,
    Metadata,
    Model,
    ObjectName,
    Opaque,
    Resources,
)
from airflow_operator.api.config_rules import ConfigRules
from airflow_operator.api.dags import DagSources, Git, is_ssh
from airflow_operator.api.environment import EnvFrom, EnvList
from airflow_operator.api.executors import KUBERNETES, LOCAL, Executors
from airflow_operator.api.external import BroughtDatabase
from airflow_operator.api.keys import OwnKeys
from airflow_operator.api.logs import Logs
from airflow_operator.api.metrics import Metrics
from airflow_operator.api.pods import ApiServer, DagProcessor, Jobs, PodSettings, Scheduler, ServiceAccount, TaskPods, Triggerer


class AirflowImage(Image):
    """Image of Airflow."""

    repository: ImageRepository | None = Field(
        default=None,
        description="Name of the image without tag. It must behave like the official image. "
        "Absent means docker.io/apache/airflow, or its place in the operator's mirror.",
    )
    tag: ImageTag | None = Field(
        default=None, description="Tag of the image; absent means spec.version. The image must hold that version of Airflow."
    )


class GitSyncImage(Image):
    """Image of git-sync."""

    repository: ImageRepository | None = Field(
        default=None,
        description="Name of the image without tag; version 4 of git-sync. "
        "Absent means registry.k8s.io/git-sync/git-sync, or what the operator is set to.",
    )
    tag: ImageTag | None = Field(default=None, description="Tag of the image; absent means v4.7.1, or what the operator is set to.")


class BaseReference(Model):
    """The AirflowBase that the deployment lives on."""

    name: ObjectName = Field(description="Name of an AirflowBase. It may appear later than the AirflowCluster.")
    namespace: NamespaceName | None = Field(
        default=None,
        description="Namespace of the AirflowBase; absent means that of the AirflowCluster. "
        "A base in another namespace must allow this one: its spec.allowedClusters.",
    )

    # `namespace` is a reserved word of CEL.
    rules = (
        Cel(
            rule="self.name == oldSelf.name && has(self.__namespace__) == has(oldSelf.__namespace__) "
            "&& (!has(self.__namespace__) || self.__namespace__ == oldSelf.__namespace__)",
            message="the base cannot change, since the database lives there: make another AirflowCluster",
            field_path=".name",
        ),
    )


class GitSync(Model):
    """The git-sync containers."""

    image: GitSyncImage = Field(default=GitSyncImage(), description="Image of git-sync.")
    resources: Resources = Field(default_factory=Resources, description="Requests and limits of each git-sync container.")
    security_context: Annotated[Mapping[str, Any], Opaque()] | None = Field(
        default=None,
        description="Security context of each git-sync container, laid over the restricted one of the operator field by field.",
    )


_TASK_PODS = Cel(
    rule=f"!has(self.taskPods) || self.executors.exists(name, name == '{KUBERNETES}')",
    message=f"task pods are those of {KUBERNETES}: add it to spec.executors, or leave taskPods out",
    check=lambda spec: "task_pods" not in spec.model_fields_set or KUBERNETES in spec.executors,
    field_path=".taskPods",
)


def _refused_bundles(release: str, message: str, which: str = "true", among: Callable[[Git], bool] = lambda git: True) -> Cel:
    """Bundles that GitDagBundle, as the official images of that release have it, cannot fetch."""
    return Cel(
        rule=f"!has(self.dags) || !self.version.startsWith('{release}') "
        f"|| !self.dags.exists(it, has(it.git) && it.git.delivery == 'Bundle' && {which})",
        message=f"{message}: use delivery: Sidecar",
        check=lambda spec: (
            not spec.version.startswith(release) or not any(it.git and it.git.delivery == "Bundle" and among(it.git) for it in spec.dags)
        ),
        field_path=".dags",
    )


_BUNDLES = (
    _refused_bundles("2.", "delivery: Bundle needs Airflow 3"),
    # apache-airflow-providers-git 0.0.6 takes the repository's URL without the connection's password; 0.0.8 puts both together.
    _refused_bundles(
        "3.0.",
        "delivery: Bundle with credentials needs Airflow 3.1",
        "has(it.git.credentialsSecretRef)",
        lambda git: git.credentials_secret_ref is not None,
    ),
    # 0.2.4 knows no known_hosts_file, and checks the server against a file that is not there; 0.3.0 knows it.
    _refused_bundles(
        "3.1.",
        "delivery: Bundle over SSH needs Airflow 3.2",
        "(it.git.repo.startsWith('ssh://') || !it.git.repo.contains('://'))",
        lambda git: is_ssh(git.repo),
    ),
)


_AIRFLOW_2_KEYS = Cel(
    rule="!has(self.keys) || !has(self.keys.webserverSecret) || self.version.startsWith('2.')",
    message="webserverSecret belongs to Airflow 2: use apiSecret",
    check=lambda it: it.keys is None or it.keys.webserver_secret is None or it.version.startswith("2."),
    field_path=".keys.webserverSecret",
)
_AIRFLOW_3_KEYS = Cel(
    rule="!has(self.keys) || !self.version.startsWith('2.') || (!has(self.keys.apiSecret) && !has(self.keys.jwt))",
    message="apiSecret and jwt belong to Airflow 3: use webserverSecret",
    check=lambda it: it.keys is None or not it.version.startswith("2.") or (it.keys.api_secret is None and it.keys.jwt is None),
    field_path=".keys",
)
_ONE_API_SERVER = Cel(
    rule="!has(self.auth) || !has(self.auth.simple) || self.apiServer.replicas <= 1",
    message="auth.simple is for development and knows one API server alone: set apiServer.replicas to 1, or use auth.fab",
    check=lambda spec: spec.auth.simple is None or spec.api_server.replicas <= 1,
    field_path=".apiServer.replicas",
)
_SIMPLE = Cel(
    rule="!has(self.auth) || !has(self.auth.simple) || !self.version.startsWith('2.')",
    message="auth.simple needs Airflow 3: use auth.fab",
    check=lambda spec: spec.auth.simple is None or not spec.version.startswith("2."),
    field_path=".auth",
)


class AirflowClusterSpec(Model):
    """What the deployment should be."""

    base_ref: BaseReference = Field(description="AirflowBase that holds the database of this deployment. It cannot change.")
    version: Literal["2.10.5", "2.11.2", "3.0.6", "3.1.8", "3.2.2", "3.3.2"] = Field(description="Version of Airflow.")
    image: AirflowImage = Field(default=AirflowImage(), description="Image of Airflow.")
    executors: Executors = Field(
        default=(LOCAL,),
        description="What runs the tasks: LocalExecutor (in the schedulers), KubernetesExecutor (each in a pod of its own), or both. "
        "The first is the default; a task or DAG may name the other.",
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
    keys: OwnKeys | None = Field(default=None, description="Keys that you bring; the operator makes the others, once.")
    database: BroughtDatabase | None = Field(
        default=None, description="Database of this deployment, on a base that makes none (provisioning: None)."
    )
    dags: DagSources = Field(
        default=(), description="Where the DAGs come from. One entry may leave its name out: it is then Airflow's own bundle."
    )
    scheduler: Scheduler = Field(default=Scheduler(), description="The schedulers.")
    dag_processor: DagProcessor | None = Field(
        default=None, description="The dag-processor. Absent: one pod on Airflow 3; on Airflow 2 the schedulers parse DAG files themselves."
    )
    api_server: ApiServer = Field(default=ApiServer(), description="The API server, with the user interface.")
    triggerer: Triggerer = Field(default=Triggerer(), description="The triggerer.")
    task_pods: TaskPods = Field(default_factory=TaskPods, description="The pods of tasks.")
    auth: Auth = Field(
        # Not in the schema: a default that the API server has written would stand beside what an apply adds later.
        default_factory=lambda: Auth(fab=FabAuth()),
        description="How users log in. Absent: users and roles in Airflow's own database.",
    )
    logs: Logs | None = Field(default=None, description="Where task logs are kept. Absent: the log of a task is gone with its pod.")
    service_account: ServiceAccount | None = Field(
        default=None,
        description="ServiceAccount of every pod. Absent: each component has a generated one, called NAME-scheduler, NAME-api-server, "
        "NAME-dag-processor, NAME-triggerer, NAME-task, NAME-jobs, NAME-statsd.",
    )
    external_url: WebUrl | None = Field(
        default=None,
        alias="externalURL",
        description="URL by which people reach Airflow, such as https://airflow.example.com or https://example.com/airflow. "
        "Airflow answers below its path, makes links with it, and believes the headers of the proxy before it.",
    )
    ingress: Ingress | None = Field(default=None, description="An Ingress that leads to the API server.")
    gateway: Gateway | None = Field(
        default=None, description="An HTTPRoute of the Gateway API that leads to the API server; its CRDs must be installed."
    )
    network_policy: NetworkPolicy | None = Field(
        default=None, description="NetworkPolicies that let in what Airflow needs and nothing else; {} is enough. Absent: none."
    )
    metrics: Metrics | None = Field(
        default=None,
        description="Metrics of Airflow for Prometheus, which asks the Service NAME-statsd for them (port 9102, path /metrics): "
        "a StatsD exporter, to which Airflow sends. {} is enough. Absent: none.",
    )
    trusted_ca: CertificateAuthority | None = Field(
        default=None,
        alias="trustedCA",
        description="Certificates in PEM form that every Airflow container and git-sync trust, in place of the public ones: "
        "put those that are needed into the same file. A change restarts the components.",
    )
    local_settings_ref: FileReference | None = Field(
        default=None,
        description="An airflow_local_settings.py of your own (cluster policies, pod_mutation_hook, ...) for every Airflow container. "
        "A change restarts the components.",
    )
    pods: PodSettings = Field(
        default_factory=PodSettings,
        description="Settings of every pod of this deployment. "
        "Components, taskPods, jobs and metrics override them: maps merge, lists replace.",
    )
    git_sync: GitSync = Field(default=GitSync(), description="The git-sync containers.")
    jobs: Jobs = Field(default_factory=Jobs, description="The Jobs that prepare the database and the users.")
    deletion_policy: DeletionPolicy = Field(
        default="Retain",
        description="What happens to the database, the keys and the logs when the AirflowCluster is deleted. "
        "Retain: they stay, and a cluster of the same name finds them again. Delete: they go, but for a database in spec.database.",
    )
    paused: bool = Field(default=False, description="true: the operator writes nothing but status. Airflow itself goes on.")

    rules = (
        _TASK_PODS,
        *_BUNDLES,
        _AIRFLOW_2_KEYS,
        _AIRFLOW_3_KEYS,
        needs("ingress", "externalURL"),
        needs("gateway", "externalURL"),
        _ONE_API_SERVER,
        _SIMPLE,
    )


class AirflowCluster(Model):
    """One Apache Airflow deployment, kept in the state declared here."""

    api_version: Literal["airflow-operator.dev/v1alpha1"] = "airflow-operator.dev/v1alpha1"
    kind: Literal["AirflowCluster"] = "AirflowCluster"
    metadata: Metadata
    spec: AirflowClusterSpec = Field(description="The desired state.")

    rules = (NAME,)
