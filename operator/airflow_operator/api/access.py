"""How people and programs reach the API server: its address, and what leads there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from airflow_operator.api.cel import matches
from airflow_operator.api.common import AnnotationValue, Atomic, Model, ObjectName, Opaque
from airflow_operator.api.pods import KEEP_OURS

_HOST = r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?"
_PATH = r"(/[A-Za-z0-9._~-]+)*"

WebUrl = Annotated[
    str,
    Field(max_length=1024),
    matches(
        rf"^https?://{_HOST}(:[0-9]{{1,5}})?{_PATH}/?$",
        "must be a URL such as https://airflow.example.com or https://example.com/airflow",
    ),
]
HostName = Annotated[str, Field(max_length=253), matches(rf"^(\*\.)?{_HOST}$", "must be a host name such as airflow.example.com")]
UrlPath = Annotated[str, Field(max_length=512), matches(rf"^(/|{_PATH})$", "must be a path such as /airflow")]


class IngressTls(Model):
    """TLS of the Ingress."""

    secret_name: ObjectName | None = Field(
        default=None,
        description="Secret of type kubernetes.io/tls. It may appear later, as cert-manager makes it. "
        "Absent: the certificate that the ingress controller has by default.",
    )


class Ingress(Model):
    """An Ingress that leads to the API server. Host and path are those of spec.externalURL."""

    class_name: ObjectName | None = Field(default=None, description="IngressClass; absent means the default class of the cluster.")
    host: HostName | None = Field(
        default=None, description="Host name of the rule, where another proxy stands before the Ingress. Absent: that of spec.externalURL."
    )
    path: UrlPath | None = Field(
        default=None, description="Path of the rule, where the ingress controller rewrites it. Absent: that of spec.externalURL."
    )
    annotations: Annotated[Mapping[str, AnnotationValue], Field(max_length=64), KEEP_OURS] = Field(
        default_factory=dict, description="Annotations of the Ingress, for its controller or for cert-manager."
    )
    tls: IngressTls | None = Field(default=None, description="TLS at the Ingress; {} uses the controller's own certificate. Absent: none.")


class ParentReference(Model):
    """A Gateway that takes the route, if its own allowedRoutes grant that."""

    name: ObjectName = Field(description="Name of the Gateway.")
    namespace: ObjectName | None = Field(default=None, description="Its namespace; absent means that of the AirflowCluster.")
    section_name: ObjectName | None = Field(default=None, description="One of its listeners; absent means every one that fits.")


class Gateway(Model):
    """An HTTPRoute of the Gateway API that leads to the API server. Host and path are those of spec.externalURL."""

    parent_refs: Annotated[tuple[ParentReference, ...], Field(min_length=1, max_length=8), Atomic()] = Field(
        description="The Gateways. One in another namespace decides by its allowedRoutes whether it takes the route."
    )
    hostnames: Annotated[tuple[HostName, ...], Field(min_length=1, max_length=16), Atomic()] | None = Field(
        default=None, description="Host names of the route. Absent: that of spec.externalURL."
    )


class NetworkPolicy(Model):
    """NetworkPolicies that let in what Airflow needs and nothing else. What its pods may reach is left open.

    They are kept by the cluster's network plugin; one that does not know NetworkPolicy lets everything through.
    """

    enabled: bool = Field(default=True, description="false: none, as if the field were absent.")
    api_server_from: Annotated[tuple[Annotated[Mapping[str, Any], Opaque()], ...], Field(max_length=32), Atomic()] | None = Field(
        default=None,
        description="Who may reach the API server, as in a NetworkPolicy's from (podSelector, namespaceSelector, ipBlock), "
        "beside Airflow's own pods and the operator. Absent: everybody.",
    )
