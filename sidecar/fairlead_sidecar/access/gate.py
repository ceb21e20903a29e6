"""The gate before MCP on the public port: nothing behind it is reached without an accepted token.

Order of the checks: configured, Host header (only where the configuration names hosts), token, path, method, body,
permission. So an unknown path without a token is answered like any other: 401.
"""

import logging

import anyio
from mcp.server.transport_security import TransportSecurityMiddleware, TransportSecuritySettings
from starlette.requests import Request
from starlette.responses import Response as StarletteResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from fairlead_sidecar import audit
from fairlead_sidecar.access import responses
from fairlead_sidecar.access.body import MAX_BYTES, Body, Disconnected, TooLarge
from fairlead_sidecar.access.grants import Caller, Unauthenticated
from fairlead_sidecar.access.sessions import session_user
from fairlead_sidecar.config import SidecarConfig
from fairlead_sidecar.mcp_server import CALLER_KEY
from fairlead_sidecar.reload import Active
from fairlead_sidecar.sidecar import Sidecar
from fairlead_sidecar.tools.catalogue import SCOPES, offered, scope_text

logger = logging.getLogger(__name__)

METHODS = ("GET", "POST", "DELETE")
"""What Streamable HTTP uses."""
PROBE_METHODS = frozenset({"initialize", "notifications/initialized", "ping", "server/discover", "tools/list"})
"""What the operator's probe credential may do."""
CLOSING_TIMEOUT = 1.0
"""Seconds for a client to take the last bytes of a stream that was cut."""


class Gate:
    """ASGI application: checks, then `mcp`."""

    def __init__(self, sidecar: Sidecar, mcp: ASGIApp) -> None:
        self._sidecar = sidecar
        self._mcp = mcp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        active = self._sidecar.active
        if active is None or self._sidecar.draining:
            state = "is shutting down" if self._sidecar.draining else "has no configuration yet"
            refusal = responses.error(503, "unavailable", f"The sidecar {state}.", {"Retry-After": "1"})
            await refusal(scope, receive, send)
            return
        misdirected = await _check_host(request, active.config)
        if misdirected is not None:
            self._deny(request, active, misdirected)
            await responses.error(421, "misdirected_request", "This host name or origin is not served here.")(
                scope, receive, send
            )
            return
        try:
            caller = active.grants.authenticate(request.headers.getlist("authorization"))
        except Unauthenticated as unauthenticated:
            self._deny(request, active, unauthenticated.reason, token_id=unauthenticated.token_id)
            await responses.unauthorized(unauthenticated, active.config)(scope, receive, send)
            return
        # From here to `track` nothing may be awaited: a revocation in between would miss this exchange.
        response = responses.Response(send)
        with self._sidecar.work.track(caller.key):
            await self._exchange(request, active, caller, receive, response)
            return
        await self._close_cut(active, scope, receive, response)

    async def _exchange(
        self, request: Request, active: Active, caller: Caller, receive: Receive, send: responses.Response
    ) -> None:
        refusal = _check_route(request, active)
        if refusal is None and request.method == "POST":
            try:
                body = await Body.read(receive, request.headers.get("content-length"))
            except TooLarge:
                refusal = responses.error(413, "content_too_large", f"A request may have at most {MAX_BYTES} bytes.")
            except Disconnected:
                return
            else:
                receive = body.receive
                refusal = self._check_permission(request, active, caller, *body.method_and_tool())
        elif refusal is None and caller.is_probe and request.method == "GET":
            refusal = self._probe_refused(request, active, caller, "GET")
        if refusal is not None:
            await refusal(request.scope, receive, send)
            return
        scope = {**request.scope, "user": session_user(caller), CALLER_KEY: caller}
        await self._mcp(scope, receive, send)

    def _check_permission(
        self, request: Request, active: Active, caller: Caller, method: str | None, tool_name: str | None
    ) -> StarletteResponse | None:
        if caller.is_probe:
            return None if method in PROBE_METHODS else self._probe_refused(request, active, caller, method)
        if method != "tools/call" or tool_name is None:
            return None
        tool = offered(active.config.groups).get(tool_name)
        if tool is None or tool.permission in caller.permissions:
            return None
        self._deny(request, active, "insufficient_scope", caller=caller, tool=tool_name)
        message = f"{tool_name} needs the permission {tool.permission.value} (scope {SCOPES[tool.permission]})"
        return responses.insufficient_scope(scope_text({*caller.permissions, tool.permission}), message)

    def _probe_refused(self, request: Request, active: Active, caller: Caller, method: str | None) -> StarletteResponse:
        self._deny(request, active, "probe_forbidden", caller=caller)
        return responses.insufficient_scope(
            "", f"The probe credential may not use {ascii(method)[:60]}".replace('"', "")
        )

    def _deny(
        self,
        request: Request,
        active: Active,
        reason: str,
        *,
        caller: Caller | None = None,
        token_id: str | None = None,
        tool: str | None = None,
    ) -> None:
        self._sidecar.metrics.denial(reason)
        self._sidecar.audit.write(
            "denial",
            {
                "subject": caller.subject if caller else None,
                "token_id": caller.token_id if caller else token_id,
                **audit.peer(request),
                "user_agent": request.headers.get("user-agent"),
                "namespace": active.config.namespace,
                "host": active.config.name,
                "method": request.method,
                "path": request.url.path,
                "tool": tool,
                "decision": "deny",
                "outcome": reason,
                "trace_id": audit.trace_id(request.headers.get("traceparent")),
            },
        )

    async def _close_cut(self, active: Active, scope: Scope, receive: Receive, response: responses.Response) -> None:
        """End an exchange whose token was revoked under way, as orderly as its client allows."""
        with anyio.move_on_after(CLOSING_TIMEOUT):
            if not response.started and self._sidecar.draining:
                await responses.error(503, "unavailable", "The sidecar is shutting down.")(scope, receive, response)
            elif not response.started:
                revoked = Unauthenticated("revoked_token", "The token was revoked or has expired.")
                await responses.unauthorized(revoked, active.config)(scope, receive, response)
            elif not response.finished:
                await response({"type": "http.response.body", "body": b"", "more_body": False})


def _check_route(request: Request, active: Active) -> StarletteResponse | None:
    path = request.scope["path"]
    if path.removesuffix("/") != active.mcp_path:
        return responses.error(404, "not_found", f"There is nothing here; MCP is served at {active.mcp_path}.")
    if request.method not in METHODS:
        allowed = ", ".join(METHODS)
        return responses.error(405, "method_not_allowed", f"Use one of {allowed}.", {"Allow": allowed})
    if request.method == "POST" and not request.headers.get("content-type", "").lower().startswith("application/json"):
        return responses.error(415, "unsupported_media_type", "Send Content-Type: application/json.")
    return None


async def _check_host(request: Request, config: SidecarConfig) -> str | None:
    """Refuse names that a page in a browser could have been rebound to, where the configuration says which are right.

    Returns:
        The reason of a refusal.
    """
    hosts = config.endpoint.allowed_hosts
    if hosts is None:
        return None
    settings = TransportSecuritySettings(
        allowed_hosts=list(hosts),
        allowed_origins=[f"{scheme}://{host}" for host in hosts for scheme in ("http", "https")],
    )
    refused = await TransportSecurityMiddleware(settings).validate_request(request)
    return None if refused is None else "host_not_allowed"
