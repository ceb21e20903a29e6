"""The objects of the API as the reconcilers see them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Generic, NamedTuple, TypeVar

from pydantic import ValidationError

from fairlead_api.authority import SSHCertificateAuthoritySpec
from fairlead_api.base import API_VERSION, ApiModel
from fairlead_api.mcptoken import DEFAULT_TTL, McpTokenSpec
from fairlead_api.meta import ObjectMeta
from fairlead_api.remotehost import RemoteHostSpec

Spec = TypeVar("Spec", bound=ApiModel)


class Key(NamedTuple):
    """Where an object is."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True)
class ApiObject(Generic[Spec]):
    """An object of ours; `spec` is None where it can't be read, and `invalid` says why."""

    metadata: ObjectMeta
    spec: Spec | None
    invalid: str
    status: Mapping[str, Any] = field(repr=False)

    @property
    def key(self) -> Key:
        """Namespace and name."""
        return Key(self.metadata.namespace, self.metadata.name)

    @property
    def uid(self) -> str:
        """What tells it from an earlier object of the same name."""
        return self.metadata.uid

    @property
    def version(self) -> int:
        """resourceVersion; larger is newer."""
        return int(self.metadata.resource_version)

    @property
    def generation(self) -> int:
        """Counts changes of the spec."""
        return self.metadata.generation

    @property
    def created(self) -> datetime:
        """When it was created."""
        return self.metadata.creation_timestamp or datetime.min.replace(tzinfo=UTC)

    @property
    def deleting(self) -> bool:
        """Whether it is on its way out."""
        return self.metadata.deletion_timestamp is not None

    def owner_reference(self, kind: str, api_version: str) -> dict[str, Any]:
        """The reference by which its children go when it goes.

        It does not block the owner's deletion: that would need the permission to update its finalizers.
        """
        return {"apiVersion": api_version, "kind": kind, "name": self.key.name, "uid": self.uid, "controller": True}


def status_manifest(kind: str, some: ApiObject[Any], status: Mapping[str, Any]) -> dict[str, Any]:
    """An object's status as it is applied. The UID keeps it off a new object of the same name."""
    return {
        "apiVersion": API_VERSION,
        "kind": kind,
        "metadata": {"name": some.key.name, "namespace": some.key.namespace, "uid": some.uid},
        "status": dict(status),
    }


Host = ApiObject[RemoteHostSpec]
Token = ApiObject[McpTokenSpec]
Authority = ApiObject[SSHCertificateAuthoritySpec]


def read_host(body: Mapping[str, Any]) -> Host:
    """Read a RemoteHost; a spec that this version does not know becomes `invalid`, never an error."""
    return _read(body, RemoteHostSpec)


def read_token(body: Mapping[str, Any]) -> Token:
    """Read an McpToken; a spec that this version does not know becomes `invalid`, never an error."""
    return _read(body, McpTokenSpec)


def read_authority(body: Mapping[str, Any]) -> Authority:
    """Read an SSHCertificateAuthority; a spec that this version does not know becomes `invalid`, never an error."""
    return _read(body, SSHCertificateAuthoritySpec)


def _read(body: Mapping[str, Any], model: type[Spec]) -> ApiObject[Spec]:
    metadata = ObjectMeta.model_validate(body["metadata"])
    status = body.get("status") or {}
    try:
        return ApiObject(metadata, model.model_validate(body.get("spec") or {}), "", status)
    except ValidationError as error:
        return ApiObject(metadata, None, _explain(error), status)


def _explain(error: ValidationError) -> str:
    problems = [f"spec.{'.'.join(str(part) for part in p['loc'])}: {p['msg']}" for p in error.errors()[:5]]
    return "; ".join(problems)


def expiration(created: datetime, spec: McpTokenSpec) -> datetime:
    """When a token's time is over, in UTC."""
    if spec.expiration_time is not None:
        return _utc(spec.expiration_time)
    return created + (spec.ttl if spec.ttl is not None else DEFAULT_TTL)


def _utc(moment: datetime) -> datetime:
    """The same time in UTC; within hours of either end of the calendar, where there is none, the one written."""
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        return moment.replace(tzinfo=UTC)
