"""The CustomResourceDefinitions."""

from dataclasses import dataclass
from typing import Any

from fairlead_api.authority import SSHCertificateAuthority
from fairlead_api.base import GROUP, VALIDATIONS, VERSION, ApiModel, Cel
from fairlead_api.generate.structural import structural_schema
from fairlead_api.mcptoken import McpToken
from fairlead_api.remotehost import RemoteHost
from fairlead_api.strings import HOST_NAME_MAX_LENGTH

_NAME_RULE = Cel(
    f"self.metadata.name.size() <= {HOST_NAME_MAX_LENGTH}"
    " && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
    f"metadata.name must begin with a letter, hold only lower-case letters, digits and '-',"
    f" and have at most {HOST_NAME_MAX_LENGTH} characters",
)
"""DNS-1035, and short enough for the names of everything that is made from it."""

_READY = '.status.conditions[?(@.type=="Ready")]'
_EXPOSED = '.status.conditions[?(@.type=="Exposed")]'


@dataclass(frozen=True)
class Kind:
    """One kind of the API and how kubectl shows it."""

    model: type[ApiModel]
    name: str
    plural: str
    short_name: str
    columns: tuple[dict[str, Any], ...]

    @property
    def file_name(self) -> str:
        """The CRD's file."""
        return f"{self.plural}.yaml"


def _column(name: str, path: str, description: str, *, type_: str = "string", wide: bool = False) -> dict[str, Any]:
    column: dict[str, Any] = {"name": name, "type": type_, "jsonPath": path, "description": description}
    return {**column, "priority": 1} if wide else column


_READY_COLUMNS = (
    _column("Ready", f"{_READY}.status", "Whether it works."),
    _column("Reason", f"{_READY}.reason", "Why."),
)
_LAST_COLUMNS = (
    _column("Age", ".metadata.creationTimestamp", "How long it has existed.", type_="date"),
    _column("Message", f"{_READY}.message", "Why, in a sentence.", wide=True),
)

KINDS = (
    Kind(
        RemoteHost,
        RemoteHost.KIND,
        RemoteHost.PLURAL,
        "rh",
        (
            *_READY_COLUMNS,
            _column("Address", ".spec.address", "The SSH server.", wide=True),
            _column("Exposed", f"{_EXPOSED}.reason", "Whether the public URL leads here, or why not."),
            _column("URL", ".status.url", "The URL for agents."),
            *_LAST_COLUMNS,
        ),
    ),
    Kind(
        McpToken,
        McpToken.KIND,
        McpToken.PLURAL,
        "mcpt",
        (
            *_READY_COLUMNS,
            _column("Subject", ".spec.subject", "Who uses the token."),
            _column("Hosts", ".status.hostCount", "How many hosts it is for.", type_="integer"),
            # The type `date` would print an age, and a future one as <invalid>.
            _column("Expires", ".status.expirationTime", "When it stops working."),
            _column(
                "Last-Used", ".status.lastUsedTime", "The hour in which it was used last.", type_="date", wide=True
            ),
            _column("Secret", ".status.secretName", "The Secret that holds it.", wide=True),
            *_LAST_COLUMNS,
        ),
    ),
    Kind(
        SSHCertificateAuthority,
        SSHCertificateAuthority.KIND,
        SSHCertificateAuthority.PLURAL,
        "sshca",
        (
            *_READY_COLUMNS,
            _column("Type", ".spec.type", "Where its key comes from.", wide=True),
            _column("Certificates", ".status.certificateCount", "How many are in force.", type_="integer"),
            _column("Revoked", ".status.revokedSerialCount", "How many are revoked.", type_="integer"),
            *_LAST_COLUMNS,
        ),
    ),
)


def schema_of(kind: Kind) -> dict[str, Any]:
    """The whole schema of a kind."""
    schema = structural_schema(kind.model)
    fields = schema["properties"]
    return {
        "type": "object",
        "description": schema["description"],
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string", "maxLength": 64, "description": f"Always `{GROUP}/{VERSION}`."},
            "kind": {"type": "string", "maxLength": 64, "description": f"Always `{kind.name}`."},
            "metadata": {"type": "object"},
            "spec": fields["spec"],
            "status": {key: value for key, value in fields["status"].items() if key != "default"},
        },
        VALIDATIONS: [_NAME_RULE.as_schema()],
    }


def custom_resource_definition(kind: Kind) -> dict[str, Any]:
    """The manifest."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind.name,
                "listKind": f"{kind.name}List",
                "plural": kind.plural,
                "singular": kind.name.lower(),
                "shortNames": [kind.short_name],
                "categories": ["fairlead"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": list(kind.columns),
                    "schema": {"openAPIV3Schema": schema_of(kind)},
                }
            ],
        },
    }
