"""What the parts of this package are to each other: a wire, a session on it, a server with its sessions, all servers.

Messages stay what they are on the wire, dicts in the protocol's own spelling: what passes through is not modelled, so
nothing of it is lost.
"""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from mcp.shared._stream_protocols import ReadStream, WriteStream
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCError, JSONRPCRequest, JSONRPCResponse

from fairlead_sidecar.config import McpServer
from fairlead_sidecar.statusz import McpServerStatus
from fairlead_sidecar.upstream.errors import UpstreamError

Json = dict[str, Any]


class Wire(Protocol):
    """A connection that carries MCP messages, of whatever transport."""

    @property
    def read(self) -> ReadStream[SessionMessage | Exception]:
        """What the server sends; ends with the connection.

        An `Exception` stands for a message that could not be read. An `UpstreamError` fails the requests under way,
        since it may have been the answer to any of them; any other exception is only logged.

        Where the transport knows to which request a message of the server belongs (HTTP: it came on the request's
        response stream), this is one of the SDK's context streams (`mcp.shared._context_streams`), and the message is
        put into it in the context in which the request was sent: a task that `write.send` starts has that by itself.
        """

    @property
    def write(self) -> WriteStream[SessionMessage]:
        """What is sent to the server."""

    def fault(self) -> UpstreamError | None:
        """Why it ended, or what is wrong with it, where it knows more than that it did; with the last lines that a
        stdio server wrote to its standard error."""

    def masked(self, text: str) -> str:
        """The server's own words, without the secrets that it was given: what is shown of them outside of results."""


@runtime_checkable
class Asking(Protocol):
    """A wire that knows by itself which answer belongs to which request."""

    async def ask(self, request: JSONRPCRequest, headers: Mapping[str, str]) -> JSONRPCResponse | JSONRPCError:
        """Send a request, give its answer once everything was read that came before it.

        Cancelled, it tells the server so.

        Args:
            headers: For a transport that has such: more of them.

        Raises:
            UpstreamError: There is no answer.
            anyio.BrokenResourceError, anyio.ClosedResourceError: The wire has ended.
        """


OpenWire = Callable[[], AbstractAsyncContextManager[Wire]]
"""Opens one; on leaving, whatever it started on the host is ended.

Raises:
    UpstreamError: It can't be opened.
"""


class Interaction(Protocol):
    """What the client behind one request can do for a server while the server works on it."""

    capabilities: Json
    """The client's capabilities as it declared them (`elicitation`, `sampling`, `roots`)."""

    async def progress(self, params: Json) -> None:
        """Pass on `notifications/progress`; the token in `params` is already the client's own."""

    async def notify(self, method: str, params: Json | None) -> None:
        """Pass on another notification that belongs to the request, such as `notifications/message`."""

    async def ask(self, method: str, params: Json | None) -> Json:
        """Let the client answer `elicitation/create`, `sampling/createMessage` or `roots/list`.

        Raises:
            MCPError: The client refuses or can't.
        """


@dataclass(frozen=True)
class Catalogue:
    """What a server offers, as it last told, unprefixed; empty while it is down."""

    tools: tuple[Json, ...] = ()
    prompts: tuple[Json, ...] = ()
    resources: tuple[Json, ...] = ()
    templates: tuple[Json, ...] = ()
    capabilities: Json = field(default_factory=dict)
    """Its server capabilities."""
    server_info: Json = field(default_factory=dict)
    """`name`, `version`, `title`, … of the handshake."""
    instructions: str = ""
    protocol_version: str = ""


def is_read_only(tool: Json) -> bool:
    """Whether a tool says that it changes nothing."""
    annotations = tool.get("annotations")
    return isinstance(annotations, dict) and annotations.get("readOnlyHint") is True


class Session(Protocol):
    """One MCP session with an upstream server; several callers may share it, each request is correlated anew."""

    @property
    def catalogue(self) -> Catalogue:
        """What the server offers."""

    async def request(self, method: str, params: Json | None, interaction: Interaction | None = None) -> Json:
        """Send a request, and return its result as it came.

        A caller that is cancelled cancels the request at the server. What the server asks or tells while it works on
        it goes to `interaction`; of several requests under way, one whose messages can't be told apart from another's
        (a server-side question of a stdio server with calls of two clients) is refused to the server.

        Raises:
            MCPError: The server's own error, unchanged.
            UpstreamError: The server could not be reached, ended, or broke the protocol.
        """

    async def notify(self, method: str, params: Json | None) -> None:
        """Send a notification."""


class Upstream(Protocol):
    """One configured server: started, watched, started again."""

    spec: McpServer

    @property
    def catalogue(self) -> Catalogue:
        """Of the shared session, or of the one that tells what a PerSession server offers."""

    def status(self) -> McpServerStatus:
        """How it stands now."""

    async def session(self, client: str, capabilities: Json | None = None) -> Session:
        """The session that serves a client; opened where there is none yet.

        Args:
            client: Names the client session (handshake protocols) or the token's owner (modern protocol). Its last word
                is the token's owner, whose sessions are counted together.
            capabilities: What the client can do, as it declared: a PerSession server is told so when its session is
                opened. None: all that Fairlead can pass on.

        Raises:
            UpstreamError: It is not to be had; the message says why.
        """

    def serves(self, client: str) -> bool:
        """Whether there is a session for the client, so that asking for it starts nothing."""

    async def client_gone(self, client: str) -> None:
        """End what is held for a client session that has ended."""


class Upstreams(Protocol):
    """All servers of a host, in the configuration's order."""

    on_change: list[Callable[[], None]]
    """Called whenever a status or a catalogue has changed."""
    on_notification: list[Callable[[str, str | None, str, Json | None], Awaitable[None]]]
    """Called with (server name, client, method, params) for what a server tells that belongs to no request: log
    messages, `notifications/resources/updated`. The client is the one it is meant for, as `Upstream.session` names it:
    the owner of a PerSession session; None where it is for everybody. Changes of lists are seen in the catalogue and
    come by `on_change`."""

    def all(self) -> Mapping[str, Upstream]:
        """The servers by name."""
