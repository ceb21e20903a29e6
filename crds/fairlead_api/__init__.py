"""The API group `fairlead.dev`: pydantic models, and the CRDs generated from them."""

from fairlead_api.auth import AuthType, DeletionPolicy, KeyAlgorithm
from fairlead_api.authority import (
    AuthorityState,
    AuthorityType,
    SSHCertificateAuthority,
    SSHCertificateAuthoritySpec,
    SSHCertificateAuthorityStatus,
)
from fairlead_api.base import API_VERSION, GROUP, VERSION
from fairlead_api.conditions import (
    AuthorityCondition,
    AuthorityReason,
    HostCondition,
    HostReason,
    McpServerCondition,
    McpServerReason,
    TokenCondition,
    TokenReason,
)
from fairlead_api.endpoint import EndpointType
from fairlead_api.host_keys import HostKeyType
from fairlead_api.host_policy import ToolGroup
from fairlead_api.mcptoken import DEFAULT_TTL, McpToken, McpTokenSpec, McpTokenStatus, Permission
from fairlead_api.meta import Condition, ConditionStatus, LabelSelector, ObjectMeta
from fairlead_api.remotehost import EndpointAddress, RemoteHost, RemoteHostSpec, RemoteHostStatus

__all__ = [
    "API_VERSION",
    "DEFAULT_TTL",
    "GROUP",
    "VERSION",
    "AuthType",
    "AuthorityCondition",
    "AuthorityReason",
    "AuthorityState",
    "AuthorityType",
    "Condition",
    "ConditionStatus",
    "DeletionPolicy",
    "EndpointAddress",
    "EndpointType",
    "HostCondition",
    "HostKeyType",
    "HostReason",
    "KeyAlgorithm",
    "LabelSelector",
    "McpServerCondition",
    "McpServerReason",
    "McpToken",
    "McpTokenSpec",
    "McpTokenStatus",
    "ObjectMeta",
    "Permission",
    "RemoteHost",
    "RemoteHostSpec",
    "RemoteHostStatus",
    "SSHCertificateAuthority",
    "SSHCertificateAuthoritySpec",
    "SSHCertificateAuthorityStatus",
    "TokenCondition",
    "TokenReason",
    "ToolGroup",
]
