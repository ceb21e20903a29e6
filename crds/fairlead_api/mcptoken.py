"""McpToken: a credential for agents, and what it may do on which hosts."""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AwareDatetime, Field, model_validator

from fairlead_api.base import API_VERSION, ApiModel, Cel, ListType, ObservedModel
from fairlead_api.meta import Condition, LabelSelector, ObjectMeta
from fairlead_api.networks import Cidr
from fairlead_api.quantities import DurationBetween
from fairlead_api.strings import HostName, ObjectName, Subject, ToolGlob
from fairlead_api.token_options import TokenFormat, TokenRateLimit, TokenRotation

DEFAULT_TTL = timedelta(hours=720)
"""How long a token lives whose spec says neither `ttl` nor `expirationTime`."""


class Permission(StrEnum):
    """What a token may do; each tool needs one of these, and sudo one more."""

    VIEW = "View"
    READ = "Read"
    EXECUTE = "Execute"
    WRITE = "Write"
    SUDO = "Sudo"
    CALL = "Call"


class HostSelection(ApiModel):
    """RemoteHosts of the same namespace: the union of `names` and `selector`."""

    rules = (
        Cel(
            "has(self.names) || has(self.selector)",
            "name the hosts: set names, or selector ('selector: {}' means all hosts of the namespace)",
        ),
    )

    names: Annotated[
        tuple[HostName, ...] | None,
        Field(
            min_length=1,
            max_length=256,
            description="Names of RemoteHosts; they need not exist yet. Absent: only `selector` counts.",
        ),
        ListType("set"),
    ] = None
    selector: Annotated[
        LabelSelector | None,
        Field(
            description="Labels of RemoteHosts; `{}` selects all of the namespace, those to come included."
            " Absent: only `names` counts."
        ),
    ] = None

    def matches(self, name: str, labels: dict[str, str]) -> bool:
        """Whether the token is for the host of this name and with these labels."""
        return name in (self.names or ()) or (self.selector is not None and self.selector.matches(labels))


class ToolSelection(ApiModel):
    """Tools by their names, with wildcards."""

    rules = (Cel("has(self.allow) || has(self.deny)", "is empty: set allow or deny, or remove tools"),)

    allow: Annotated[
        tuple[ToolGlob, ...] | None,
        Field(
            min_length=1,
            max_length=128,
            description="Only tools whose names match one of these are there for the token. Absent: no restriction.",
        ),
        ListType("set"),
    ] = None
    deny: Annotated[
        tuple[ToolGlob, ...] | None,
        Field(
            min_length=1,
            max_length=128,
            description="Tools whose names match one of these are not, whatever `allow` says. Absent: none is denied.",
        ),
        ListType("set"),
    ] = None

    @model_validator(mode="after")
    def _check_lists(self) -> Self:
        if self.allow is None and self.deny is None:
            raise ValueError("allow or deny is needed")
        return self


class McpTokenSpec(ApiModel):
    """Who the token is for, what it may do where, and for how long."""

    rules = (
        Cel(
            "!(has(self.ttl) && has(self.expirationTime))",
            "set either ttl or expirationTime, not both: remove one of them",
        ),
        Cel(
            "has(self.secretName) == has(oldSelf.secretName)"
            " && (!has(self.secretName) || self.secretName == oldSelf.secretName)",
            "secretName can't be changed: delete the McpToken and create it anew",
        ),
        Cel(
            "!has(self.rotation) || !has(self.rotation.interval) || has(self.expirationTime)"
            " || duration(self.rotation.interval) < duration(has(self.ttl) ? self.ttl : '720h')",
            "rotation.interval must be shorter than ttl (720h unless set): shorten interval or lengthen ttl, or nothing"
            " is ever rotated",
        ),
    )

    subject: Annotated[
        Subject, Field(description="Who uses the token, such as cursor-admin. It appears in every audit line.")
    ]
    hosts: Annotated[HostSelection, Field(description="The hosts that accept the token, in the same namespace.")]
    permissions: Annotated[
        tuple[Permission, ...],
        Field(
            min_length=1,
            max_length=16,
            description="What the token may do: View (state of the connection), Read (read and list files), Execute"
            " (run commands, hence whatever the account may do), Write (write files), Sudo (beside Execute: run them as"
            " the other accounts that the host's policy.sudo allows), Call (use the MCP servers that live on the"
            " host).",
        ),
        ListType("set"),
    ]
    tools: Annotated[
        ToolSelection | None,
        Field(
            description="Which of the tools that the permissions open are there for the token: the hosts' own, and"
            " those of their MCP servers as `<server>__<tool>`. Absent: all."
        ),
    ] = None
    ttl: Annotated[
        timedelta | None,
        DurationBetween("1s", "8760h"),
        Field(
            description="How long the McpToken is valid, counted from its creation; rotation does not prolong it."
            " With neither ttl nor expirationTime: 720h."
        ),
    ] = None
    expiration_time: Annotated[
        AwareDatetime | None,
        Field(
            description="When the McpToken stops working, with all its tokens (RFC 3339)."
            " With neither ttl nor expirationTime: 720h after creation."
        ),
    ] = None
    rotation: Annotated[
        TokenRotation | None,
        Field(
            description="When another token takes the place of the present one. Absent: only when the annotation"
            " `fairlead.dev/rotate` gets another value, with an overlap of 1h."
        ),
    ] = None
    format: Annotated[
        TokenFormat,
        Field(
            description="Opaque: random, good for any number of hosts. JWT: signed by the operator (RFC 7519, EdDSA),"
            " so that a gateway in front can read who calls; it names the URLs of its hosts, and another one is made"
            " when those change. Either works only while this object says so."
        ),
    ] = TokenFormat.OPAQUE
    rate_limit: Annotated[
        TokenRateLimit | None,
        Field(description="How much of the hosts' rates the token gets. Absent: 100 percent."),
    ] = None
    source_cidrs: Annotated[
        tuple[Cidr, ...] | None,
        Field(
            alias="sourceCIDRs",
            min_length=1,
            max_length=64,
            description="Networks from which the token may be used. Behind proxies the chart's endpoint.trustedProxies"
            " must name them, or their addresses count. Absent: from anywhere.",
        ),
        ListType("set"),
    ] = None
    secret_name: Annotated[
        ObjectName | None,
        Field(
            description="Name of the Secret that receives the token. Absent: `mcpt-<name>`."
            " It can't be changed afterwards."
        ),
    ] = None
    suspended: Annotated[
        bool,
        Field(
            description="true: no host accepts the token, and its open streams are cut; false again: the same token"
            " works again."
        ),
    ] = False


class McpTokenStatus(ObservedModel):
    """What the operator found out."""

    observed_generation: Annotated[
        int | None, Field(ge=0, description="The `metadata.generation` that this status belongs to.")
    ] = None
    conditions: Annotated[
        tuple[Condition, ...], Field(max_length=16, description="Ready."), ListType("map", ("type",))
    ] = ()
    token_id: Annotated[
        str | None,
        Field(alias="tokenID", max_length=64, description="The public part of the token, as audit lines show it."),
    ] = None
    secret_name: Annotated[
        str | None, Field(max_length=253, description="Name of the Secret that holds the token.")
    ] = None
    expiration_time: Annotated[AwareDatetime | None, Field(description="When the token stops working.")] = None
    last_rotation_time: Annotated[
        AwareDatetime | None, Field(description="When the token that the Secret holds took its place there.")
    ] = None
    last_used_time: Annotated[
        AwareDatetime | None,
        Field(description="The hour in which an agent used the token last, by its beginning. Absent: never so far."),
    ] = None
    host_count: Annotated[int | None, Field(ge=0, description="How many RemoteHosts the token is for at present.")] = (
        None
    )


class McpToken(ApiModel):
    """A credential for agents: apply it, and a Secret appears with a token for the hosts that it names."""

    KIND: ClassVar[str] = "McpToken"
    PLURAL: ClassVar[str] = "mcptokens"

    api_version: Literal["fairlead.dev/v1alpha1"] = API_VERSION
    kind: Literal["McpToken"] = "McpToken"
    metadata: ObjectMeta
    spec: Annotated[McpTokenSpec, Field(description="What should be.")]
    status: Annotated[McpTokenStatus, Field(description="What is.")] = McpTokenStatus()
