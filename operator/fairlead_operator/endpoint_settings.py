"""The part of the settings that says where hosts are served: the chart's values under `endpoint`."""

import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, Field, ValidationInfo, field_validator

from fairlead_api.endpoint import EndpointType, ParentReference
from fairlead_operator.setting_values import check_placeholders, load_json

_HOST = {"namespace", "name"}
_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"


def _load_list(value: object) -> object:
    return [] if isinstance(value, str) and not value.strip() else load_json(value)


class EndpointSettings(BaseModel):
    """The default endpoint, and what other ones are bound to. Templates know `{namespace}` and `{name}`."""

    endpoint_type: EndpointType = EndpointType.INGRESS
    """What routes to hosts that don't say themselves."""
    endpoint_host: str = ""
    """The default endpoint's domain, or a template of it. Empty, with no URL prefix either: hosts have no endpoint
    unless they ask."""
    endpoint_path_template: Annotated[str, Field(validate_default=True)] = ""
    """Empty: `/` where the domain's template has both places, else `/{namespace}/{name}`."""
    endpoint_class_name: str = ""
    endpoint_controller: Literal["", "nginx", "traefik", "haproxy"] = ""
    """Whose annotations Ingresses of the class get; empty: the class's name tells."""
    endpoint_tls_secret_name: str = ""
    """The Secret with the default domain's certificate, or a template of its name."""
    endpoint_tls_cluster_issuer: str = ""
    """cert-manager's ClusterIssuer that fills it."""
    endpoint_annotations: Annotated[dict[str, str], BeforeValidator(load_json)] = {}
    endpoint_gateway_parent_refs: Annotated[tuple[ParentReference, ...], BeforeValidator(_load_list)] = ()
    """The Gateways of HTTPRoutes that name none."""
    endpoint_url_prefix: Annotated[str, Field(validate_default=True)] = ""
    """What agents use in front of the path where something before the Ingress or the Gateway changes it, e.g.
    `https://mcp.example.com`; it may be a template, too."""
    endpoint_allowed_domains: Annotated[dict[str, tuple[str, ...]], BeforeValidator(load_json)] = {}
    """Namespace -> the domains that it may use besides the default endpoint's; `*.example.com`: all below that one.
    Empty: any namespace may use any. Otherwise one that is not listed has the default endpoint's only."""

    @field_validator("endpoint_host")
    @classmethod
    def _host(cls, value: str) -> str:
        check_placeholders(value, _HOST)
        if value and not re.fullmatch(rf"{_LABEL}(\.{_LABEL})*", value.format(namespace="x", name="x")):
            raise ValueError("must be a domain such as mcp.example.com or {name}.{namespace}.mcp.example.com")
        return value

    @field_validator("endpoint_path_template")
    @classmethod
    def _path(cls, value: str, info: ValidationInfo) -> str:
        host: str = info.data.get("endpoint_host", "")
        if not value:
            return "/" if _tells_apart(host) else "/{namespace}/{name}"
        check_placeholders(value, _HOST)
        if not value.startswith("/") or (value != "/" and value.endswith("/")):
            raise ValueError("must begin with '/' and not end with one")
        if value.startswith("/.well-known"):
            raise ValueError("must not begin with /.well-known, where clients look for documents about other paths")
        if not _tells_apart(host + value):
            raise ValueError("must hold {namespace} and {name} unless the host does, or hosts would share a path")
        return value

    @field_validator("endpoint_tls_secret_name")
    @classmethod
    def _tls_secret_name(cls, value: str) -> str:
        check_placeholders(value, _HOST)
        return value

    @field_validator("endpoint_url_prefix")
    @classmethod
    def _url_prefix(cls, value: str, info: ValidationInfo) -> str:
        if not value:
            return value
        check_placeholders(value, _HOST)
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.netloc or parts.query or parts.fragment:
            raise ValueError("must be a URL such as https://mcp.example.com, without query or fragment")
        if not _tells_apart(value + info.data.get("endpoint_path_template", "{namespace}{name}")):
            raise ValueError("must hold {namespace} and {name} as the host does, or hosts would share a URL")
        return value.rstrip("/")

    @property
    def has_default_endpoint(self) -> bool:
        """Whether hosts that say nothing get an endpoint with a URL."""
        return bool(self.endpoint_host or self.endpoint_url_prefix)


def _tells_apart(template: str) -> bool:
    return "{namespace}" in template and "{name}" in template
