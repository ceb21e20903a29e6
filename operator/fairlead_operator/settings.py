"""What the operator is told by its environment, checked once at start-up."""

import json
import string
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator

from fairlead_api.resources import Sidecar

PREFIX = "FAIRLEAD_"


class SettingsError(Exception):
    """The environment can't be used; the message names each variable and says what is wrong with it."""


def _split(value: object) -> object:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _load_json(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value) if value.strip() else {}
    except ValueError as error:
        raise ValueError(f"must be a JSON object of strings ({error})") from None


Names = Annotated[tuple[str, ...], BeforeValidator(_split)]


def _check_placeholders(template: str, known: set[str]) -> None:
    try:
        used = {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}
    except ValueError as error:
        raise ValueError(f"is no template: {error}") from None
    if unknown := used - known:
        allowed = ", ".join(f"{{{name}}}" for name in sorted(known))
        raise ValueError(f"knows only {allowed}, not {', '.join(sorted(unknown)) or '{}'}")


class Settings(BaseModel):
    """The operator's settings; each is read from `FAIRLEAD_<NAME IN CAPITALS>`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    namespace: Annotated[str, Field(min_length=1)]
    """The operator's own namespace: it holds the Lease and the probe key."""
    sidecar_image: Annotated[str, Field(min_length=1)]
    """The image of every sidecar. Hosts can't choose another: who picks the image can read bearer tokens."""
    sidecar_image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    image_pull_secrets: Names = ()
    """Names of Secrets that pull the sidecar's image; they must exist in each host's namespace."""
    watch_namespaces: Names = ()
    """The namespaces to serve; empty: all."""

    endpoint_host: str = ""
    """The default endpoint's domain; empty, with no URL prefix either: hosts have no endpoint unless they ask."""
    endpoint_path_template: str = "/{namespace}/{name}"
    endpoint_class_name: str = ""
    endpoint_tls_secret_name: str = ""
    endpoint_annotations: Annotated[dict[str, str], BeforeValidator(_load_json)] = {}
    endpoint_url_prefix: str = ""
    """What agents use in front of the path where something before the Ingress changes it, e.g. `https://mcp.example.com`."""

    sidecar_defaults: Annotated[Sidecar, BeforeValidator(_load_json)] = Sidecar()
    """What holds for the pods of hosts whose `spec.sidecar` says nothing else: JSON of such a `spec.sidecar`."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "text"] = "json"
    pod_name: str = ""
    """Who holds the Lease; empty: the machine's name with something random."""
    health_port: Annotated[int, Field(ge=0, le=65535)] = 8080
    metrics_port: Annotated[int, Field(ge=0, le=65535)] = 9090
    sidecar_url_template: str = "http://{address}:{port}"
    """How sidecars are reached. `address` is the Service's cluster IP: no name has to be resolved, and none that does
    not exist yet is remembered as missing. Another template, say with `{service}.{namespace}.svc`, suits a mesh."""
    workers: Annotated[int, Field(ge=1, le=256)] = 16
    """How many objects are worked on at a time."""

    @field_validator("endpoint_path_template")
    @classmethod
    def _path(cls, value: str) -> str:
        _check_placeholders(value, {"namespace", "name"})
        if not value.startswith("/") or (value != "/" and value.endswith("/")):
            raise ValueError("must begin with '/' and not end with one")
        if value.count("{namespace}") + value.count("{name}") < 2:
            raise ValueError("must hold {namespace} and {name}, or hosts would share a path")
        return value

    @field_validator("sidecar_url_template")
    @classmethod
    def _sidecar_url(cls, value: str) -> str:
        _check_placeholders(value, {"address", "service", "namespace", "port"})
        return value

    @field_validator("endpoint_url_prefix")
    @classmethod
    def _url_prefix(cls, value: str) -> str:
        if not value:
            return value
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.netloc or parts.query or parts.fragment:
            raise ValueError("must be a URL such as https://mcp.example.com, without query or fragment")
        return value.rstrip("/")

    @property
    def has_default_endpoint(self) -> bool:
        """Whether hosts that say nothing get an Ingress."""
        return bool(self.endpoint_host or self.endpoint_url_prefix)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read the settings.

        Raises:
            SettingsError: A variable is missing or has a value that can't be used.
        """
        values: dict[str, Any] = {
            name: environment[variable]
            for name in cls.model_fields
            if (variable := PREFIX + name.upper()) in environment
        }
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise SettingsError("; ".join(_sentence(problem) for problem in error.errors())) from None


def _sentence(problem: Any) -> str:
    variable = PREFIX + str(problem["loc"][0]).upper()
    if problem["type"] in {"missing", "string_too_short"}:
        return f"{variable} must be set"
    return f"{variable}: {problem['msg'].removeprefix('Value error, ')}"
