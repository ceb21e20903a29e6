"""Where a host's MCP endpoint is served."""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from fairlead_api.base import ApiModel, Cel, ListType
from fairlead_api.strings import DomainName, NamespaceName, ObjectName, Url, UrlPath, label_key_rule
from fairlead_api.unions import TypedUnion


class EndpointType(StrEnum):
    """What routes to the endpoint."""

    INGRESS = "Ingress"
    HTTP_ROUTE = "HTTPRoute"
    SERVICE = "Service"


EndpointPath = Annotated[
    UrlPath,
    Cel(
        "!self.startsWith('/.well-known')",
        "may not begin with /.well-known, where clients look for documents about other paths: choose another path",
    ),
]
Host = Annotated[DomainName | None, Field(description="Domain name. Absent: the operator's default, else any name.")]
Path = Annotated[
    EndpointPath | None,
    Field(
        description="URL path; MCP answers at `<path>/mcp`. Absent: the operator's default, `/{namespace}/{name}`."
        " On the default host it begins with `/{namespace}/` too; no two hosts get overlapping paths."
    ),
]
Annotations = Annotated[
    dict[str, Annotated[str, Field(max_length=4096)]] | None,
    Field(
        min_length=1,
        max_length=32,
        description="Annotations of the object, added to the operator's defaults, which they override. Absent: only"
        " those.",
    ),
    Cel(
        f"self.all(key, {label_key_rule('key')})",
        "has a key that is no annotation key: write it like example.com/key",
    ),
    Cel(
        "self.all(key, !key.startsWith('fairlead.dev/'))",
        "may not set fairlead.dev/... annotations: those are Fairlead's own, remove them",
    ),
]


class IngressTls(ApiModel):
    """TLS at the Ingress: a Secret that exists, or one that cert-manager fills."""

    rules: ClassVar[tuple[Cel, ...]] = (
        Cel(
            "has(self.secretName) || has(self.issuer) || has(self.clusterIssuer)",
            "is empty: name a secretName that exists, or an issuer or clusterIssuer of cert-manager",
        ),
        Cel(
            "!has(self.issuer) || !has(self.clusterIssuer)",
            "names two issuers: remove issuer or clusterIssuer",
        ),
    )

    secret_name: Annotated[
        ObjectName | None,
        Field(
            description="Name of the Secret with `tls.crt` and `tls.key`, in the RemoteHost's namespace. Absent:"
            " `rh-<name>.tls`, which the issuer fills."
        ),
    ] = None
    issuer: Annotated[
        ObjectName | None,
        Field(description="Name of cert-manager's Issuer in this namespace that fills the Secret."),
    ] = None
    cluster_issuer: Annotated[
        ObjectName | None,
        Field(description="Name of cert-manager's ClusterIssuer that fills the Secret."),
    ] = None


class IngressEndpoint(ApiModel):
    """An Ingress; whatever is left out comes from the operator's default endpoint."""

    class_name: Annotated[
        ObjectName | None,
        Field(description="Name of the IngressClass. Absent: the operator's default, else the cluster's."),
    ] = None
    host: Host = None
    path: Path = None
    tls: Annotated[IngressTls | None, Field(description="TLS. Absent: the operator's default.")] = None
    annotations: Annotations = None


class ParentReference(ApiModel):
    """A Gateway that serves the route, or one of its listeners."""

    name: Annotated[ObjectName, Field(description="Name of the Gateway.")]
    namespace: Annotated[
        NamespaceName | None,
        Field(
            description="Its namespace; the Gateway's `allowedRoutes` must let the RemoteHost's in. Absent: that one."
        ),
    ] = None
    section_name: Annotated[
        ObjectName | None, Field(description="Name of one of its listeners. Absent: all that fit.")
    ] = None


class HttpRouteEndpoint(ApiModel):
    """An HTTPRoute of the Gateway API; whatever is left out comes from the operator's default endpoint."""

    parent_refs: Annotated[
        tuple[ParentReference, ...] | None,
        Field(
            min_length=1,
            max_length=4,
            description="The Gateways that serve it. Their listeners have the TLS. Absent: the operator's default.",
        ),
        ListType("atomic"),
    ] = None
    host: Host = None
    path: Path = None
    annotations: Annotations = None


class ServiceEndpoint(ApiModel):
    """The Service alone: reachable inside the cluster, or by what somebody else puts in front of it."""

    path: Path = None


class Endpoint(TypedUnion):
    """How the endpoint is reached: `type`, and the member of that name."""

    type: Annotated[EndpointType, Field(description="What routes to the endpoint.")]
    ingress: Annotated[
        IngressEndpoint | None,
        Field(description="With type Ingress: what differs from the operator's default. May be left out."),
    ] = None
    http_route: Annotated[
        HttpRouteEndpoint | None,
        Field(description="With type HTTPRoute: what differs from the operator's default. May be left out."),
    ] = None
    service: Annotated[
        ServiceEndpoint | None,
        Field(description="With type Service: what differs from the operator's default. May be left out."),
    ] = None
    url: Annotated[
        Url | None,
        Field(
            description="The URL of the MCP endpoint as agents see it; needed only where something in front of the"
            " Ingress changes it, or a Gateway has no TLS. Absent: made from host and path; its scheme is `https` with"
            " an HTTPRoute, and with an Ingress that has TLS."
        ),
    ] = None
