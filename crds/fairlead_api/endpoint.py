"""Where a host's MCP endpoint is served."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from fairlead_api.base import ApiModel, Cel
from fairlead_api.strings import DomainName, ObjectName, Url, UrlPath, label_key_rule
from fairlead_api.unions import TypedUnion


class EndpointType(StrEnum):
    """What routes to the endpoint."""

    INGRESS = "Ingress"


class IngressTls(ApiModel):
    """TLS at the Ingress."""

    secret_name: Annotated[
        ObjectName, Field(description="Name of the Secret with `tls.crt` and `tls.key`, in the RemoteHost's namespace.")
    ]


class IngressEndpoint(ApiModel):
    """An Ingress; whatever is left out comes from the operator's default endpoint."""

    class_name: Annotated[
        ObjectName | None,
        Field(description="Name of the IngressClass. Absent: the operator's default, else the cluster's."),
    ] = None
    host: Annotated[
        DomainName | None, Field(description="Domain name. Absent: the operator's default, else any name.")
    ] = None
    path: Annotated[
        UrlPath | None,
        Field(
            description="URL path; MCP answers at `<path>/mcp`. Absent: the operator's default, `/{namespace}/{name}`."
            " On the default host it begins with `/{namespace}/` too; no two hosts get overlapping paths."
        ),
    ] = None
    tls: Annotated[IngressTls | None, Field(description="TLS. Absent: the operator's default.")] = None
    annotations: Annotated[
        dict[str, Annotated[str, Field(max_length=4096)]] | None,
        Field(
            min_length=1,
            max_length=32,
            description="Annotations of the Ingress, added to the operator's defaults. Absent: only those.",
        ),
        Cel(
            f"self.all(key, {label_key_rule('key')})",
            "has a key that is no annotation key: write it like example.com/key",
        ),
        Cel(
            "self.all(key, !key.startsWith('fairlead.dev/'))",
            "may not set fairlead.dev/... annotations: those are Fairlead's own, remove them",
        ),
    ] = None


class Endpoint(TypedUnion):
    """How the endpoint is reached: `type`, and the member of that name."""

    type: Annotated[EndpointType, Field(description="What routes to the endpoint.")]
    ingress: Annotated[
        IngressEndpoint | None,
        Field(description="With type Ingress: what differs from the operator's default. May be left out."),
    ] = None
    url: Annotated[
        Url | None,
        Field(
            description="The URL of the MCP endpoint as agents see it; needed only where something in front of the"
            " Ingress changes it. Absent: made from scheme, host and path."
        ),
    ] = None
