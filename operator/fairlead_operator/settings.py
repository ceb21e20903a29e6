"""What the operator is told by its environment, checked once at start-up."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, ValidationError, field_validator

from fairlead_api.resources import Sidecar
from fairlead_operator.endpoint_settings import EndpointSettings
from fairlead_operator.network_settings import NetworkSettings
from fairlead_operator.setting_values import check_placeholders, load_json, split
from fairlead_operator.token_settings import TokenSettings

PREFIX = "FAIRLEAD_"


class SettingsError(Exception):
    """The environment can't be used; the message names each variable and says what is wrong with it."""


Names = Annotated[tuple[str, ...], BeforeValidator(split)]


class Settings(EndpointSettings, TokenSettings, NetworkSettings):
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

    sidecar_defaults: Annotated[Sidecar, BeforeValidator(load_json)] = Sidecar()
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

    @field_validator("sidecar_url_template")
    @classmethod
    def _sidecar_url(cls, value: str) -> str:
        check_placeholders(value, {"address", "service", "namespace", "port"})
        return value

    @property
    def issuer(self) -> str:
        """`iss` of JWTs. A template is no name for what all hosts have in common."""
        default = self.endpoint_url_prefix or (f"https://{self.endpoint_host}" if self.endpoint_host else "")
        if not default or "{" in default:
            default = f"https://fairlead-operator.{self.namespace}.svc"
        return self.token_issuer or default

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
    name, *within = problem["loc"]
    where = PREFIX + str(name).upper()
    if not within and problem["type"] in {"missing", "string_too_short"}:
        return f"{where} must be set"
    if within:
        where += f", {'.'.join(str(part) for part in within)}"
    return f"{where}: {problem['msg'].removeprefix('Value error, ')}"
