"""MCP servers that live on the host, or that the host can reach."""

import re
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from fairlead_api.auth import OwnAuth
from fairlead_api.base import ApiModel, Cel, ListType, refuse_repeated
from fairlead_api.environment import Variable
from fairlead_api.http_headers import Header
from fairlead_api.quantities import DurationBetween
from fairlead_api.strings import Address, HostUrl, McpServerName, Path, PublicKey, Username
from fairlead_api.unions import TypedUnion

_TRUSTWORTHY = "^(https://|http://(localhost|127[.][0-9]+[.][0-9]+[.][0-9]+)([:/]|$))"
_UNTRUSTWORTHY = "over plain http anybody between the host and another machine could give a false key"

MAX_MCP_SERVERS = 64
_NO_NUL = Cel("!self.contains('\\u0000')", "holds a NUL character, which no argument can hold: remove it")


class StdioServer(ApiModel):
    """A server that is started on the host and speaks on its standard input and output."""

    command: Annotated[
        str,
        Field(
            min_length=1,
            max_length=1024,
            description="The program: a name that is looked up as in the account's login shell (what nvm, pyenv and"
            " ~/.local/bin add to PATH is found), or an absolute path. No shell reads it.",
        ),
        _NO_NUL,
        Cel(
            "self.startsWith('/') || !self.contains(' ')",
            "is a command line: only the program belongs here, put each of its arguments into args",
        ),
    ]
    args: Annotated[
        tuple[Annotated[str, Field(max_length=4096), _NO_NUL], ...] | None,
        Field(
            min_length=1,
            max_length=64,
            description="Its arguments, word by word; everybody on the host can read them, so secrets belong into env."
            " Absent: none.",
        ),
        ListType("atomic"),
    ] = None
    env: Annotated[
        tuple[Variable, ...] | None,
        Field(
            min_length=1,
            max_length=32,
            description="Variables of the server beside those of the login shell and of spec.environment; they show in"
            " no list of processes. Absent: only those.",
        ),
        ListType("map", ("name",)),
    ] = None
    working_directory: Annotated[
        Path | None, Field(description="Where the server starts. Absent: as spec.environment says.")
    ] = None

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        refuse_repeated(variable.name for variable in self.env or ())
        return self


class HttpTransport(StrEnum):
    """How a server speaks MCP over HTTP."""

    STREAMABLE_HTTP = "StreamableHTTP"
    SSE = "SSE"


class HttpServer(ApiModel):
    """A server that listens on HTTP; the connection goes through the SSH link, and no port is opened for it."""

    url: Annotated[
        HostUrl,
        Field(description="Its MCP endpoint as seen from the host, such as http://127.0.0.1:8080/mcp."),
    ]
    transport: Annotated[
        HttpTransport,
        Field(description="StreamableHTTP, or SSE for servers of the older HTTP+SSE transport (often at /sse)."),
    ] = HttpTransport.STREAMABLE_HTTP
    headers: Annotated[
        tuple[Header, ...] | None,
        Field(
            min_length=1,
            max_length=16,
            description="Headers of every request, such as Authorization. Absent: only those of the protocol.",
        ),
        ListType("map", ("name",)),
        Cel(
            "self.all(header, self.exists_one(other, other.name.lowerAscii() == header.name.lowerAscii()))",
            "has two headers of the same name, in which upper and lower case don't count: remove one of them",
        ),
    ] = None

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        refuse_repeated(header.name.lower() for header in self.headers or ())
        return self


class McpHostKeyType(StrEnum):
    """How an SSH server that speaks MCP proves what it is."""

    PINNED = "Pinned"
    AUTHORITY = "Authority"
    KEY_SERVER = "KeyServer"


class KeyServer(ApiModel):
    """A key server, as m2m-mcp-server-ssh-server runs one beside its SSH port."""

    url: Annotated[
        HostUrl,
        Field(
            description="Its root as seen from the host, such as http://127.0.0.1:8000. It is asked through the SSH"
            " link: the server's host key is taken from there, and the public half of our key is registered there."
            " Plain http only on the host's loopback, where its word is as good as the host's."
        ),
        Cel(f"self.matches('{_TRUSTWORTHY}')", f"{_UNTRUSTWORTHY}: use https, or pin the server's host key"),
    ]

    @model_validator(mode="after")
    def _check_url(self) -> Self:
        if not re.search(_TRUSTWORTHY, self.url):
            raise ValueError(_UNTRUSTWORTHY)
        return self


class TrustedKeys(ApiModel):
    """Public keys that are written down in the spec."""

    public_keys: Annotated[
        tuple[PublicKey, ...],
        Field(
            min_length=1,
            max_length=4,
            description="Public keys in OpenSSH's one-line format, of which one is enough.",
        ),
        ListType("set"),
    ]


class McpHostKey(TypedUnion):
    """The verification of an SSH server that speaks MCP: `type`, and the member of that name."""

    type: Annotated[McpHostKeyType, Field(description="How the server's key is verified.")]
    pinned: Annotated[
        TrustedKeys | None, Field(description="With type Pinned: the server must present one of these keys.")
    ] = None
    authority: Annotated[
        TrustedKeys | None,
        Field(
            description="With type Authority: the server must present a host certificate that one of these keys has"
            " signed and that is made out to its address."
        ),
    ] = None
    key_server: Annotated[
        KeyServer | None, Field(description="With type KeyServer: who on the host tells the key to trust.")
    ] = None


class SshServer(ApiModel):
    """An SSH server that speaks MCP on the standard input and output of its session; reached through the SSH link."""

    address: Annotated[Address, Field(description="Its host name or IP address as seen from the host.")] = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535, description="Its TCP port; m2m-mcp-server-ssh-server has 8022.")]
    username: Annotated[Username, Field(description="The account to log in to.")]
    auth: Annotated[OwnAuth, Field(description="How to log in.")]
    host_key: Annotated[
        McpHostKey,
        Field(description="How the server proves that it is the right one. This can't be turned off."),
    ]
    command: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=1024,
            description="What the server is asked to execute. Absent: nothing; a server that speaks nothing but MCP"
            " does so in the session's shell.",
        ),
        _NO_NUL,
    ] = None


class McpServerType(StrEnum):
    """How a server is reached."""

    STDIO = "Stdio"
    HTTP = "HTTP"
    SSH = "SSH"


class Isolation(StrEnum):
    """Who shares a session with the server."""

    SHARED = "Shared"
    PER_SESSION = "PerSession"


class McpServer(TypedUnion):
    """One MCP server: `type`, and the member of that name."""

    name: Annotated[
        McpServerName,
        Field(description="Its tools and prompts are called `<name>__<tool>`."),
    ]
    type: Annotated[McpServerType, Field(description="How it is reached.")]
    stdio: Annotated[StdioServer | None, Field(description="With type Stdio: what to start on the host.")] = None
    http: Annotated[HttpServer | None, Field(description="With type HTTP: where it listens.")] = None
    ssh: Annotated[SshServer | None, Field(description="With type SSH: where it listens, and how to log in.")] = None
    isolation: Annotated[
        Isolation,
        Field(
            description="Shared: one session with the server for all agents. PerSession: one for each agent's session"
            " (of the newest protocol version, which has none: for each token), for servers that remember what one"
            " agent did and must not show it to another."
        ),
    ] = Isolation.SHARED
    start_timeout: Annotated[
        timedelta,
        DurationBetween("1s", "10m"),
        Field(
            description="How long it may take to start and to answer the MCP handshake; the first `uvx` or `npx`"
            " of a package downloads it."
        ),
    ] = timedelta(seconds=30)
