"""RemoteHost: one host, its SSH connection, and the MCP endpoint that serves it."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from fairlead_api.auth import Auth
from fairlead_api.base import API_VERSION, ApiModel, ListType, ObservedModel, refuse_repeated
from fairlead_api.endpoint import Endpoint
from fairlead_api.environment import Environment
from fairlead_api.host_keys import HostKey, RefusedHostKey
from fairlead_api.host_policy import Connection, Limits, Policy, Tools
from fairlead_api.jump_hosts import MAX_JUMP_HOSTS, JumpHost
from fairlead_api.mcp_server_status import McpServerStatus
from fairlead_api.mcp_servers import MAX_MCP_SERVERS, McpServer
from fairlead_api.meta import Condition, ObjectMeta
from fairlead_api.network_policy import NetworkPolicy
from fairlead_api.resources import Sidecar
from fairlead_api.strings import Address, Username


class RemoteHostSpec(ApiModel):
    """What the host is, how to log in, and what agents may do there."""

    address: Annotated[
        Address, Field(description="Host name or IP address of the SSH server, as seen from the cluster.")
    ]
    port: Annotated[int, Field(ge=1, le=65535, description="TCP port of the SSH server.")] = 22
    username: Annotated[
        Username,
        Field(description="The account to log in to. A token with Execute can do whatever this account may do."),
    ]
    description: Annotated[
        str, Field(max_length=1024, description="What the host is for, in a sentence. Agents read it.")
    ] = ""
    auth: Annotated[Auth, Field(description="How to log in.")]
    host_key: Annotated[
        HostKey, Field(description="How the host proves that it is the right one. This can't be turned off.")
    ]
    jump_hosts: Annotated[
        tuple[JumpHost, ...] | None,
        Field(
            min_length=1,
            max_length=MAX_JUMP_HOSTS,
            description="Servers to pass on the way, in order; each verifies its own host key and has its own"
            " credentials. Absent: the host is reached directly.",
        ),
        ListType("atomic"),
    ] = None
    connection: Annotated[Connection, Field(description="How the SSH connections are made and watched.")] = Connection()
    environment: Annotated[Environment, Field(description="Where commands start, and the variables they find.")] = (
        Environment()
    )
    tools: Annotated[Tools | None, Field(description="Which tools agents get. Absent: all groups.")] = None
    policy: Annotated[
        Policy | None,
        Field(description="What may be done on the host, whoever asks. Absent: whatever the account may do."),
    ] = None
    limits: Annotated[Limits, Field(description="Bounds of one call.")] = Limits()
    mcp_servers: Annotated[
        tuple[McpServer, ...] | None,
        Field(
            min_length=1,
            max_length=MAX_MCP_SERVERS,
            description="MCP servers that live on the host, or that it can reach: agents get their tools, prompts and"
            " resources here, with a token that has the permission Call. Absent: none.",
        ),
        ListType("map", ("name",)),
    ] = None
    endpoint: Annotated[
        Endpoint | None,
        Field(description="Where the MCP endpoint is served. Absent: as the operator's default endpoint says."),
    ] = None
    network_policy: Annotated[
        NetworkPolicy | None,
        Field(description="What the pod may reach. Absent: what the address says."),
    ] = None
    sidecar: Annotated[Sidecar, Field(description="The pod that holds the connection.")] = Sidecar()
    suspended: Annotated[
        bool,
        Field(description="true: no pod and no connection; the object, its generated key and its URL are kept."),
    ] = False

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        refuse_repeated(server.name for server in self.mcp_servers or ())
        return self


class EndpointAddress(ObservedModel):
    """A URL at which the endpoint answers."""

    type: Annotated[
        Literal["Internal", "External"], Field(description="Internal: inside the cluster; External: outside.")
    ]
    url: Annotated[str, Field(max_length=1024, description="The URL of the MCP endpoint.")]


class RemoteHostStatus(ObservedModel):
    """What the operator found out."""

    observed_generation: Annotated[
        int | None, Field(ge=0, description="The `metadata.generation` that this status belongs to.")
    ] = None
    conditions: Annotated[
        tuple[Condition, ...],
        Field(max_length=16, description="CredentialsReady, HostKeyTrusted, Connected, Exposed and Ready."),
        ListType("map", ("type",)),
    ] = ()
    url: Annotated[
        str | None,
        Field(max_length=1024, description="The URL for agents; appears once the host was Ready for the first time."),
    ] = None
    addresses: Annotated[
        tuple[EndpointAddress, ...],
        Field(max_length=8, description="All URLs at which the endpoint answers."),
        ListType("map", ("type",)),
    ] = ()
    public_key: Annotated[
        str | None,
        Field(
            max_length=4096, description="The public half of a generated key, ready for the account's authorized_keys."
        ),
    ] = None
    next_public_key: Annotated[
        str | None,
        Field(
            max_length=4096,
            description="While a generated key is being replaced: the public half of the new one. Add it to the"
            " account's authorized_keys; it becomes publicKey once the host has accepted it.",
        ),
    ] = None
    host_key_fingerprint: Annotated[
        str | None,
        Field(max_length=128, description="`SHA256:...` of the key that the host presented last, trusted or not."),
    ] = None
    pinned_host_key: Annotated[
        str | None,
        Field(max_length=8192, description="With hostKey.type TrustOnFirstUse: the only key that is trusted."),
    ] = None
    refused_host_key: Annotated[
        RefusedHostKey | None,
        Field(description="A host key that did not match, while no person has decided about it."),
    ] = None
    accepted_host_key: Annotated[
        str | None,
        Field(
            max_length=128,
            description="The value of the annotation fairlead.dev/accept-host-key that was acted upon last.",
        ),
    ] = None
    ssh_server_version: Annotated[
        str | None,
        Field(max_length=256, description="The identification of the SSH server, such as SSH-2.0-OpenSSH_9.2p1."),
    ] = None
    tool_count: Annotated[int | None, Field(ge=0, description="How many tools the endpoint offers.")] = None
    mcp_servers: Annotated[
        tuple[McpServerStatus, ...],
        Field(max_length=MAX_MCP_SERVERS, description="How the servers of spec.mcpServers stand."),
        ListType("map", ("name",)),
    ] = ()


class RemoteHost(ApiModel):
    """One host that agents work on through MCP: an SSH connection, held by a pod, served at a URL."""

    KIND: ClassVar[str] = "RemoteHost"
    PLURAL: ClassVar[str] = "remotehosts"

    api_version: Literal["fairlead.dev/v1alpha1"] = API_VERSION
    kind: Literal["RemoteHost"] = "RemoteHost"
    metadata: ObjectMeta
    spec: Annotated[RemoteHostSpec, Field(description="What should be.")]
    status: Annotated[RemoteHostStatus, Field(description="What is.")] = RemoteHostStatus()
