"""What a request must satisfy before MCP sees it, each check on its own."""

from enum import StrEnum

from mcp.server.transport_security import TransportSecurityMiddleware, TransportSecuritySettings
from starlette.requests import Request
from starlette.responses import Response

from fairlead_sidecar.access import responses
from fairlead_sidecar.access.body import MAX_BYTES, MAX_BYTES_WITHOUT_WRITE, SECONDS, Body, TooLarge, TooSlow
from fairlead_sidecar.access.budget import Lease, NoRoom
from fairlead_sidecar.access.grants import Caller
from fairlead_sidecar.config import Permission, SidecarConfig
from fairlead_sidecar.reload import Active
from fairlead_sidecar.tools.catalogue import SCOPES, scope_text


class Route(StrEnum):
    """What is served below the endpoint's path."""

    MCP = "/mcp"
    """Streamable HTTP, both protocol eras."""
    SSE = "/sse"
    """The stream of HTTP+SSE (2024-11-05)."""
    MESSAGES = "/messages"
    """Where that takes messages."""


METHODS = {Route.MCP: ("GET", "POST", "DELETE"), Route.SSE: ("GET",), Route.MESSAGES: ("POST",)}
"""The HTTP methods that they answer; HEAD where there is GET."""
PROBE_METHODS = frozenset({"initialize", "notifications/initialized", "ping", "server/discover", "tools/list"})
"""What the operator's probe credential may do."""


class Refused(Exception):
    """A request is not let through.

    Args:
        reason: Short and bounded, for metrics and audit.
        answer: For the client.
        tool: The tool that was to be called, as far as it is known.
    """

    def __init__(self, reason: str, answer: Response, *, tool: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.answer = answer
        self.tool = tool


async def check_host(request: Request, config: SidecarConfig) -> None:
    """Refuse names that a page in a browser could have been rebound to, where the configuration says which are right.

    Raises:
        Refused: Host or Origin is foreign.
    """
    hosts = config.endpoint.allowed_hosts
    if hosts is None:
        return
    settings = TransportSecuritySettings(
        allowed_hosts=list(hosts),
        allowed_origins=[f"{scheme}://{host}" for host in hosts for scheme in ("http", "https")],
    )
    if await TransportSecurityMiddleware(settings).validate_request(request) is not None:
        message = "This host name or origin is not served here."
        raise Refused("host_not_allowed", responses.error(421, "misdirected_request", message))


def find_route(request: Request, active: Active) -> Route:
    """What the path leads to, where HTTP method and media type are right for it.

    Raises:
        Refused: There is nothing that answers such a request.
    """
    base = active.mcp_path.removesuffix(Route.MCP)
    path = request.scope["path"].removesuffix("/")
    route = next((route for route in Route if path == base + route), None)
    if route is None:
        message = f"There is nothing here; MCP is served at {active.mcp_path}."
        raise Refused("not_found", responses.error(404, "not_found", message))
    methods = METHODS[route]
    if request.method not in methods and not (request.method == "HEAD" and "GET" in methods):
        allowed = ", ".join(methods)
        answer = responses.error(405, "method_not_allowed", f"Use one of {allowed}.", {"Allow": allowed})
        raise Refused("method_not_allowed", answer)
    if request.method == "POST" and not request.headers.get("content-type", "").lower().startswith("application/json"):
        message = "Send Content-Type: application/json."
        raise Refused("unsupported_media_type", responses.error(415, "unsupported_media_type", message))
    return route


async def read_body(request: Request, caller: Caller, lease: Lease) -> Body:
    """The body, as large as this caller's may be.

    Raises:
        Refused: Too large, too slow, or no room for it.
        Disconnected: The client went away.
    """
    may_write = Permission.WRITE in caller.permissions
    limit = MAX_BYTES if may_write else MAX_BYTES_WITHOUT_WRITE
    try:
        return await Body.read(request.receive, request.headers.get("content-length"), limit=limit, lease=lease)
    except TooLarge:
        message = f"A request may have at most {limit} bytes" + (
            "." if may_write else " with a token that lacks Write."
        )
        raise Refused("content_too_large", responses.error(413, "content_too_large", message)) from None
    except TooSlow:
        message = f"The request did not arrive within {SECONDS:g} seconds."
        raise Refused("request_timeout", responses.error(408, "request_timeout", message)) from None
    except NoRoom:
        message = "Too many large requests are under way; try again when they have ended."
        raise Refused("too_many_bytes", responses.error(503, "too_busy", message, {"Retry-After": "1"})) from None


def check_permission(active: Active, caller: Caller, method: str | None, tool_name: str | None) -> None:
    """Whether the caller may send this JSON-RPC method, and for `tools/call` this tool's name.

    Raises:
        Refused: It may not.
    """
    if caller.is_probe:
        if method not in PROBE_METHODS:
            message = f"The probe credential may not use {ascii(method)[:60]}".replace('"', "")
            raise Refused("probe_forbidden", responses.insufficient_scope("", message))
        return
    if method == "resources/read":
        # A resource is what `read_file` reads.
        tool_name = "read_file"
    elif method != "tools/call" or tool_name is None:
        return
    tool = active.tools.get(tool_name)
    if tool is None or tool.permission in caller.permissions:
        return
    message = f"{tool_name} needs the permission {tool.permission.value} (scope {SCOPES[tool.permission]})"
    scope = scope_text({*caller.permissions, tool.permission})
    raise Refused("insufficient_scope", responses.insufficient_scope(scope, message), tool=tool_name)
