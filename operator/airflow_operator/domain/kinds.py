"""Every kind that the operator reads or writes."""

from __future__ import annotations

from airflow_operator.domain.manifest import Kind, Live

GROUP = "airflow-operator.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"

AIRFLOW_CLUSTER = Kind(API_VERSION, "AirflowCluster", "airflowclusters")
AIRFLOW_BASE = Kind(API_VERSION, "AirflowBase", "airflowbases")

NAMESPACE = Kind("v1", "Namespace", "namespaces", namespaced=False)
SERVICE_ACCOUNT = Kind("v1", "ServiceAccount", "serviceaccounts")
ROLE_BINDING = Kind("rbac.authorization.k8s.io/v1", "RoleBinding", "rolebindings")
SECRET = Kind("v1", "Secret", "secrets")
CONFIG_MAP = Kind("v1", "ConfigMap", "configmaps")
SERVICE = Kind("v1", "Service", "services")
PERSISTENT_VOLUME_CLAIM = Kind("v1", "PersistentVolumeClaim", "persistentvolumeclaims")
JOB = Kind("batch/v1", "Job", "jobs")
CRON_JOB = Kind("batch/v1", "CronJob", "cronjobs")
DEPLOYMENT = Kind("apps/v1", "Deployment", "deployments")
STATEFUL_SET = Kind("apps/v1", "StatefulSet", "statefulsets")
INGRESS = Kind("networking.k8s.io/v1", "Ingress", "ingresses")
NETWORK_POLICY = Kind("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies")
HTTP_ROUTE = Kind("gateway.networking.k8s.io/v1", "HTTPRoute", "httproutes")
POD = Kind("v1", "Pod", "pods")
EVENT = Kind("v1", "Event", "events")
LEASE = Kind("coordination.k8s.io/v1", "Lease", "leases")

CHILD_KINDS: tuple[Kind, ...] = (
    SERVICE_ACCOUNT,
    ROLE_BINDING,
    SECRET,
    CONFIG_MAP,
    PERSISTENT_VOLUME_CLAIM,
    SERVICE,
    NETWORK_POLICY,
    INGRESS,
    CRON_JOB,
    JOB,
    STATEFUL_SET,
    DEPLOYMENT,
)
"""The kinds of children, in the order in which they are shown."""

RUN_PODS = (CRON_JOB, JOB, STATEFUL_SET, DEPLOYMENT)
"""Applied last: what a pod mounts and who it runs as come before the pod."""

OPTIONAL_KINDS: tuple[Kind, ...] = (HTTP_ROUTE,)
"""Kinds of children that a Kubernetes cluster may not know."""

ALL_CHILD_KINDS = (*CHILD_KINDS, *OPTIONAL_KINDS)

_ALL = (*ALL_CHILD_KINDS, AIRFLOW_CLUSTER, AIRFLOW_BASE, NAMESPACE, POD, EVENT, LEASE)
_BY_NAME = {(kind.api_version, kind.kind): kind for kind in _ALL}


def kind_of(manifest: Live) -> Kind:
    """The kind of an object; KeyError for one that the operator does not handle."""
    return _BY_NAME[manifest["apiVersion"], manifest["kind"]]
