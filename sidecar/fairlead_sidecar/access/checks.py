"""What a request must satisfy before MCP sees it, each check on its own."""

from dataclasses import dataclass
from enum import StrEnum

from mcp.server.transport_security import TransportSecurityMiddleware, TransportSecuritySettings
from starlette.requests import Request
from starlette.responses import Response

from fairlead_sidecar.access import responses
from fairlead_sidecar.access.body import MAX_BYTES, MAX_BYTES_WITHOUT_WRITE, SECONDS, Body, TooLarge, TooSlow
from fairlead_sidecar.access.budget import Lease, NoRoom
from fairlead_sidecar.access.grants import Caller
from fairlead_sidecar.access.rates import MovingWindow, share
from fairlead_sidecar.access.selection import not_selected, selected
from fairlead_sidecar.config import Limits, Permission, SidecarConfig
from fairlead_sidecar.errors import RateLimited
from fairlead_sidecar.reload import Active
from fairlead_sidecar.tools.catalogue import SCOPES, scope_text
from fairlead_sidecar.upstream.names import SEPARATOR, Names


class Route(StrEnum):
    """What is served below the endpoint's path."""

    MCP = "/mcp"
    """Streamable HTTP, both protocol eras."""
    SSE = "/sse"
    """The stream of HTTP+SSE (2024-11-05)."""
    MESSAGES = "/messages"
    """Where that takes messages."""


_ROUTES: dict[str, Route] = {str(route): route for route in Route}
METHODS = {Route.MCP: ("GET", "POST", "DELETE"), Route.SSE: ("GET",), Route.MESSAGES: ("POST",)}
"""The HTTP methods that they answer; HEAD where there is GET."""
SERVERS = "/servers/"
"""Below it each upstream server has an endpoint of its own: `/servers/<name>/mcp`."""
PROBE_METHODS = frozenset({"initialize", "notifications/initialized", "ping", "server/discover", "tools/list"})
"""What the operator's probe credential may do."""


@dataclass(frozen=True)
class Place:
    """What a request's path leads to."""

    route: Route
    server: str | None = None
    """The upstream server whose own endpoint it is; None: all that the host has."""


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


def find_place(request: Request, active: Active, caller: Caller) -> Place:
    """What the path leads to, where HTTP method and media type are right for it.

    Raises:
        Refused: There is nothing that answers such a request, or nothing that this caller may know of.
    """
    base = active.mcp_path.removesuffix(Route.MCP)
    path = request.scope["path"].removesuffix("/")
    route = _ROUTES.get(path.removeprefix(base)) if path.startswith(base) else None
    server = None
    if route is None and path.startswith(base + SERVERS) and path.endswith(Route.MCP):
        route, server = Route.MCP, path.removeprefix(base + SERVERS).removesuffix(Route.MCP)
        _check_server(server, active, caller)
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
    return Place(route, server)


def _check_server(name: str, active: Active, caller: Caller) -> None:
    if not caller.is_probe and Permission.CALL not in caller.permissions:
        raise _insufficient(caller, Permission.CALL, "The host's MCP servers", None)
    names = [server.name for server in active.config.mcp_servers]
    if name not in names:
        known = f"its MCP servers are: {', '.join(names)}" if names else "it has none"
        message = f"The host has no MCP server of this name; {known}."
        raise Refused("unknown_server", responses.error(404, "not_found", message))


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


def check_rate(requests: MovingWindow, limits: Limits, caller: Caller) -> None:
    """Count one request of the caller's owner. The operator's probe is not counted.

    Raises:
        Refused: There were too many within a minute.
    """
    if limits.requests_per_minute is None or caller.is_probe:
        return
    limit = share(limits.requests_per_minute, caller.rate_percent)
    wait = requests.take(caller.owner, limit)
    if wait:
        message = f"The token may make {limit} requests a minute; try again in {wait} seconds."
        raise Refused(RateLimited.code, responses.error(429, RateLimited.code, message, {"Retry-After": str(wait)}))


def check_permission(
    active: Active, caller: Caller, method: str | None, target: str | None, server: str | None = None
) -> None:
    """Whether the caller may send this JSON-RPC method, and for `tools/call` call the tool of this name.

    Args:
        target: The name or URI that the message is about.
        server: The upstream server whose own endpoint it came to.

    Raises:
        Refused: It may not.
    """
    if caller.is_probe:
        if method not in PROBE_METHODS:
            message = f"The probe credential may not use {ascii(method)[:60]}".replace('"', "")
            raise Refused("probe_forbidden", responses.insufficient_scope("", message))
        return
    name = _tool_name(active, method, target, server)
    if name is None:
        return
    tool = active.tools.get(name)
    if tool is None and (SEPARATOR not in name or not active.config.mcp_servers):
        return
    permission = Permission.CALL if tool is None else tool.permission
    if permission not in caller.permissions:
        raise _insufficient(caller, permission, name, name)
    if not selected(caller.tools, name):
        error = not_selected(name)
        answer = responses.error(403, error.code, f"{error.message} {error.hint}")
        raise Refused(error.code, answer, tool=name)


def _tool_name(active: Active, method: str | None, target: str | None, server: str | None) -> str | None:
    """The tool that is to be called, by its name among all tools; None where it is none."""
    if method == "tools/call" and target is not None:
        return target if server is None else Names(server, [target]).aggregate(target)
    own = target is None or not active.config.mcp_servers or target.startswith(f"ssh://{active.config.name}/")
    # A resource of the host's own is what `read_file` reads.
    return "read_file" if method == "resources/read" and server is None and own else None


def _insufficient(caller: Caller, permission: Permission, what: str, tool: str | None) -> Refused:
    needs = "need" if tool is None else "needs"
    message = f"{_quotable(what)} {needs} the permission {permission.value} (scope {SCOPES[permission]})"
    scope = scope_text({*caller.permissions, permission})
    return Refused("insufficient_scope", responses.insufficient_scope(scope, message), tool=tool)


def _quotable(name: str) -> str:
    """A name that a client sent, fit for a header."""
    return (
        "".join(character if character.isascii() and character.isprintable() else "?" for character in name[:128])
        .replace('"', "")
        .replace("\\", "")
    )
