"""Children as the builders make them, one of each kind and with every form that the API server rewrites."""

from __future__ import annotations

import base64
from typing import Any

from airflow_operator.domain import labels
from airflow_operator.domain.manifest import Live, Manifest

CLUSTER = "demo"
SELECTOR = f"{labels.CLUSTER}={CLUSTER}"


def owner_manifest(namespace: str, name: str = CLUSTER) -> Manifest:
    """Something that can own children without any of our own kinds being installed."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace}}


def metadata(name: str, owner: Live, **more: Any) -> dict[str, Any]:
    reference = {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }
    return {
        "name": name,
        "namespace": owner["metadata"]["namespace"],
        "labels": labels.of_cluster(owner["metadata"]["name"], "test"),
        "ownerReferences": [reference],
        **more,
    }


def service_account(owner: Live) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": metadata("demo-scheduler", owner, annotations={"cloud.example/role": "airflow"}),
        "automountServiceAccountToken": False,
        "imagePullSecrets": [{"name": "registry"}],
    }


def role_binding(owner: Live) -> Manifest:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": metadata("demo-executor", owner),
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
        "subjects": [{"kind": "ServiceAccount", "name": "demo-scheduler", "namespace": owner["metadata"]["namespace"]}],
    }


def secret(owner: Live) -> Manifest:
    data = {"connection": base64.b64encode(b"postgresql://user:p%40ss@host/db").decode()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata("demo-connection", owner), "type": "Opaque", "data": data}


def config_map(owner: Live, name: str = "demo-config-0a1b2c", text: str = "[core]\nexecutor = KubernetesExecutor\n") -> Manifest:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata(name, owner), "immutable": True, "data": {"airflow.cfg": text}}


def claim(owner: Live) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": metadata("demo-logs", owner),
        "spec": {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1024Mi"}}},
    }


def service(owner: Live) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata("demo-api-server", owner),
        "spec": {
            "selector": labels.selector(CLUSTER, "api-server"),
            "ports": [{"name": "http", "port": 8080, "targetPort": "http"}, {"name": "metrics", "port": 9090, "protocol": "UDP"}],
        },
    }


def headless_service(owner: Live) -> Manifest:
    spec = {
        "clusterIP": "None",
        "publishNotReadyAddresses": True,
        "selector": labels.selector(CLUSTER, "triggerer"),
        "ports": [{"port": 8794}],
    }
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata("demo-triggerer", owner), "spec": spec}


def pod_template(component: str) -> dict[str, Any]:
    restricted = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
    return {
        "metadata": {"labels": labels.of_cluster(CLUSTER, component), "annotations": {"airflow-operator.dev/checksum": "abc"}},
        "spec": {
            "serviceAccountName": "demo-scheduler",
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "hostNetwork": False,
            "terminationGracePeriodSeconds": 30,
            "securityContext": {"runAsUser": 50000, "runAsNonRoot": True, "fsGroup": 0, "seccompProfile": {"type": "RuntimeDefault"}},
            "nodeSelector": {"kubernetes.io/os": "linux"},
            "tolerations": [{"key": "airflow", "operator": "Exists"}],
            "topologySpreadConstraints": [
                {
                    "maxSkew": 1,
                    "topologyKey": "kubernetes.io/hostname",
                    "whenUnsatisfiable": "ScheduleAnyway",
                    "labelSelector": {"matchLabels": labels.selector(CLUSTER, component)},
                }
            ],
            "affinity": {
                "podAntiAffinity": {
                    "preferredDuringSchedulingIgnoredDuringExecution": [
                        {"weight": 100, "podAffinityTerm": {"topologyKey": "zone", "labelSelector": {"matchLabels": {"a": "b"}}}}
                    ]
                }
            },
            "initContainers": [{"name": "sync", "image": "example/sync:1", "restartPolicy": "Always", "securityContext": restricted}],
            "containers": [
                {
                    "name": component,
                    "image": "docker.io/apache/airflow:3.3.2",
                    "command": ["airflow"],
                    "args": [component],
                    "ports": [{"name": "http", "containerPort": 8080}],
                    "env": [
                        {"name": "EMPTY", "value": ""},
                        {"name": "LOOKS_LIKE_A_QUANTITY", "value": "1000m"},
                        {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "demo-connection", "key": "connection"}}},
                        {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                        {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}},
                    ],
                    "envFrom": [{"secretRef": {"name": "extra", "optional": True}}],
                    "resources": {"requests": {"cpu": "1000m", "memory": "1024Mi"}, "limits": {"cpu": 2, "memory": "2.5Gi"}},
                    "startupProbe": {"httpGet": {"path": "/health", "port": "http"}, "periodSeconds": 2, "failureThreshold": 60},
                    "livenessProbe": {"exec": {"command": ["true"]}, "timeoutSeconds": 10},
                    "lifecycle": {"preStop": {"exec": {"command": ["sleep", "5"]}}},
                    "securityContext": restricted,
                    "volumeMounts": [
                        {"name": "config", "mountPath": "/opt/airflow/config", "readOnly": True},
                        {"name": "tmp", "mountPath": "/tmp"},
                        {"name": "logs", "mountPath": "/opt/airflow/logs", "readOnly": False},
                    ],
                }
            ],
            "volumes": [
                {"name": "config", "configMap": {"name": "demo-config-0a1b2c"}},
                {"name": "keys", "secret": {"secretName": "demo-keys", "items": [{"key": "k", "path": "k"}], "defaultMode": 288}},
                {"name": "tmp", "emptyDir": {"sizeLimit": "1024Mi"}},
                {"name": "home", "emptyDir": {}},
                {"name": "logs", "persistentVolumeClaim": {"claimName": "demo-logs"}},
                {
                    "name": "token",
                    "projected": {
                        "sources": [
                            {"serviceAccountToken": {"path": "token", "audience": "airflow"}},
                            {"downwardAPI": {"items": [{"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}]}},
                        ]
                    },
                },
            ],
        },
    }


def deployment(owner: Live) -> Manifest:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata("demo-scheduler", owner),
        "spec": {
            "replicas": 1,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "selector": {"matchLabels": labels.selector(CLUSTER, "scheduler")},
            "template": pod_template("scheduler"),
        },
    }


def stateful_set(owner: Live) -> Manifest:
    data = {
        "metadata": {"name": "data", "labels": labels.retained(labels.of_cluster(CLUSTER, "triggerer"))},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1024Mi"}}},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": metadata("demo-triggerer", owner),
        "spec": {
            "replicas": 1,
            "serviceName": "demo-triggerer",
            "podManagementPolicy": "Parallel",
            "selector": {"matchLabels": labels.selector(CLUSTER, "triggerer")},
            "template": pod_template("triggerer"),
            "volumeClaimTemplates": [data],
        },
    }


def job(owner: Live) -> Manifest:
    template = pod_template("migrate")
    template["spec"] |= {"restartPolicy": "Never", "activeDeadlineSeconds": 600}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata("demo-migrate-0a1b2c", owner),
        "spec": {"backoffLimit": 0, "template": template},
    }


ALL = (service_account, role_binding, secret, config_map, claim, service, headless_service, job, stateful_set, deployment)


def everything(owner: Live) -> tuple[Manifest, ...]:
    """One of each."""
    return tuple(make(owner) for make in ALL)
