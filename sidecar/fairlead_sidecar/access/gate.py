"""The gate before MCP on the public port: nothing behind it is reached without an accepted token.

Order of the checks: configured, Host header (only where the configuration names hosts), token, address, path, method,
body, rate, permission. So an unknown path without a token is answered like any other: 401; only documents by which
clients learn how to log in (`wellknown`) are looked for before, and their absence is nobody's denial.
"""

import contextlib

import anyio
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from fairlead_sidecar import audit
from fairlead_sidecar.access import checks, departure, page, responses, wellknown
from fairlead_sidecar.access.addresses import client_address
from fairlead_sidecar.access.body import BODY_KEY, Body, Disconnected
from fairlead_sidecar.access.budget import LEASE_KEY, Budget, Lease
from fairlead_sidecar.access.checks import Place, Refused, Route
from fairlead_sidecar.access.grants import AddressRefused, Caller, Unauthenticated, refused_address
from fairlead_sidecar.access.legacy import LegacySse
from fairlead_sidecar.access.sessions import NoSession, session_user
from fairlead_sidecar.access.work import Item
from fairlead_sidecar.errors import AddressNotAllowed
from fairlead_sidecar.protocol.caller import CALLER_KEY, SERVER_KEY
from fairlead_sidecar.reload import Active
from fairlead_sidecar.sidecar import Sidecar

CLOSING_TIMEOUT = 1.0
"""Seconds for a client to take the last bytes of a stream that was cut."""
SESSION_HEADER = "mcp-session-id"
_ITEM_KEY = "fairlead.item"
VERSION_HEADER = "mcp-protocol-version"


class Gate:
    """ASGI application: checks, then `mcp` (Streamable HTTP) or `legacy` (HTTP+SSE).

    Whatever it refuses is counted and audited.
    """

    def __init__(self, sidecar: Sidecar, mcp: ASGIApp, legacy: LegacySse) -> None:
        self._sidecar = sidecar
        self._mcp = mcp
        self._legacy = legacy
        self._budget = Budget()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        active = self._sidecar.active
        if active is None or self._sidecar.draining:
            self._deny(request, active, "unavailable")
            state = "is shutting down" if self._sidecar.draining else "has no configuration yet"
            await departure.unavailable(state)(scope, receive, send)
            return
        caller = await self._caller(request, active)
        if not isinstance(caller, Caller):
            await caller(scope, receive, send)
            return
        self._sidecar.note_use(caller)
        # From here to `track` nothing may be awaited: a revocation in between would miss this exchange.
        with contextlib.closing(responses.Response(send)) as response:
            with self._sidecar.work.track(caller) as request.scope[_ITEM_KEY]:
                with self._budget.lease(caller.owner) as lease:
                    await self._exchange(request, active, caller, lease, response)
                # A session that ends with its token may end a stream of events before we get to cut it.
                await response.end_stream()
                return
            await self._close_cut(request, active, caller, response)

    async def _caller(self, request: Request, active: Active) -> Caller | Response:
        """Who asks; or the answer to somebody who is not let in."""
        try:
            await checks.check_host(request, active.config)
            if wellknown.asked_for(request):
                return wellknown.answer(active.config)
            return active.grants.authenticate(request.headers.getlist("authorization"), _address(request, active))
        except Refused as refused:
            self._deny(request, active, refused.reason)
            return refused.answer
        except Unauthenticated as unauthenticated:
            self._deny(request, active, unauthenticated.reason, token_id=unauthenticated.token_id)
            return _unauthorized(request, active, unauthenticated)
        except AddressRefused as elsewhere:
            self._deny(request, active, AddressNotAllowed.code, caller=elsewhere.caller)
            return responses.error(403, AddressNotAllowed.code, str(elsewhere))

    async def _exchange(
        self, request: Request, active: Active, caller: Caller, lease: Lease, response: responses.Response
    ) -> None:
        request.scope[LEASE_KEY] = lease
        try:
            place, body = await self._admitted(request, active, caller, lease)
            if request.method == "HEAD":
                await Response(media_type="text/event-stream")(request.scope, body.receive, response)
            elif place.route is Route.MCP:
                await self._streamable(request, active, caller, body, response)
            else:
                await self._with_sse(request, active, caller, body, response)
        except Refused as refused:
            self._deny(request, active, refused.reason, caller=caller, tool=refused.tool)
            await refused.answer(request.scope, request.receive, response)
        except NoSession as full:
            self._deny(request, active, "too_many_sessions", caller=caller)
            answer = responses.error(503, "too_many_sessions", str(full), {"Retry-After": "10"})
            await answer(request.scope, request.receive, response)
        except Disconnected:
            return

    async def _admitted(self, request: Request, active: Active, caller: Caller, lease: Lease) -> tuple[Place, Body]:
        place = checks.find_place(request, active, caller)
        request.scope[SERVER_KEY] = place.server
        if request.method == "POST":
            body = await checks.read_body(request, caller, lease)
            glance = body.glance()
            if glance.is_request:
                checks.check_rate(self._sidecar.requests, active.config.limits, caller)
            checks.check_permission(active, caller, glance.method, glance.target, place.server)
            self._sort(request, place, glance.method)
            return place, body
        self._sort(request, place, None)
        if caller.is_probe and request.method == "GET":
            checks.check_permission(active, caller, "GET", None)
        return place, Body(b"", request.receive)

    def _sort(self, request: Request, place: Place, method: str | None) -> None:
        """Note what the exchange is, and whether it still may be when the sidecar leaves."""
        item: Item = request.scope[_ITEM_KEY]
        item.stream = departure.stream_of(request, place, method)
        if self._sidecar.takes_nothing_new:
            departure.check_begins_nothing(request, method)

    async def _streamable(
        self, request: Request, active: Active, caller: Caller, body: Body, response: responses.Response
    ) -> None:
        sessions, scope = self._sidecar.sessions, {**_scope(request, caller), BODY_KEY: body}
        if _opens_session(request):
            async with sessions.opening(caller):
                await self._mcp(scope, body.receive, sessions.noting(caller, response))
        else:
            sessions.used(request.headers.get(SESSION_HEADER), caller)
            await self._mcp(scope, body.receive, response)
        reason = self._refused_by_mcp(request, caller, response.status)
        if reason is not None:
            self._deny(request, active, reason, caller=caller)

    async def _with_sse(
        self, request: Request, active: Active, caller: Caller, body: Body, response: responses.Response
    ) -> None:
        inner = Request(_scope(request, caller), body.receive)
        if request.method == "POST":
            await self._legacy.message(inner, caller, body, response)
            return
        async with self._sidecar.sessions.streaming(caller):
            await self._legacy.stream(inner, caller, active.config.endpoint, response)

    def _refused_by_mcp(self, request: Request, caller: Caller, status: int | None) -> str | None:
        """The reason where MCP itself refused; messages that are merely malformed are no denials."""
        session = request.headers.get(SESSION_HEADER)
        if status == 404 and session is not None:
            foreign = self._sidecar.sessions.owner(session) not in (None, caller.owner)
            return "foreign_session" if foreign else "unknown_session"
        return _MCP_REFUSALS.get(status or 0)

    def _deny(
        self,
        request: Request,
        active: Active | None,
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
                "namespace": active.config.namespace if active else None,
                "host": active.config.name if active else None,
                "method": request.method,
                "path": request.url.path,
                "tool": tool,
                "decision": "deny",
                "outcome": reason,
                "trace_id": audit.trace_id(request.headers.get("traceparent")),
            },
        )

    async def _close_cut(self, request: Request, active: Active, caller: Caller, response: responses.Response) -> None:
        """End an exchange whose token was revoked under way, as orderly as its client allows."""
        leaves = self._sidecar.draining or (self._sidecar.leaving and self._sidecar.is_valid(caller))
        elsewhere = (self._sidecar.active or active).grants.elsewhere(caller)
        reason = "unavailable" if leaves else AddressNotAllowed.code if elsewhere else "revoked_token"
        # A call whose answer had begun has an audit line of its own; a stream that waits for messages has none.
        if not response.started or (request.method == "GET" and not leaves):
            self._deny(request, active, reason, caller=caller)
        scope, receive = request.scope, request.receive
        with anyio.move_on_after(CLOSING_TIMEOUT):
            if not response.started and leaves:
                await departure.unavailable("is shutting down")(scope, receive, response)
            elif not response.started and elsewhere:
                await responses.error(403, reason, refused_address(caller.address))(scope, receive, response)
            elif not response.started:
                revoked = Unauthenticated(reason, "The token was revoked or has expired.")
                await responses.unauthorized(revoked, active.config)(scope, receive, response)
            else:
                await response.end_stream()


def _unauthorized(request: Request, active: Active, refusal: Unauthenticated) -> Response:
    answer = responses.unauthorized(refusal, active.config)
    path = request.scope["path"].removesuffix("/")
    if refusal.reason != "missing_token" or path != active.mcp_path or not page.wanted(request):
        return answer
    return page.page(request, {name: answer.headers[name] for name in ("WWW-Authenticate", responses.INSTANCE_HEADER)})


def _address(request: Request, active: Active) -> str | None:
    """Where the request comes from; the audit trail has it from now on."""
    peer = request.client.host if request.client else None
    proxies = active.grants.proxies
    if not proxies:
        return peer
    address = client_address(peer, request.headers.getlist("x-forwarded-for"), proxies)
    request.scope[audit.ADDRESS_KEY] = address
    return address


def _scope(request: Request, caller: Caller) -> Scope:
    return {**request.scope, "user": session_user(caller, request.scope.get(SERVER_KEY)), CALLER_KEY: caller}


def _opens_session(request: Request) -> bool:
    """Whether MCP opens a session for it, if only to end it again where the message is no `initialize`."""
    version = request.headers.get(VERSION_HEADER)
    return SESSION_HEADER not in request.headers and (version is None or version in HANDSHAKE_PROTOCOL_VERSIONS)


_MCP_REFUSALS = {405: "method_not_allowed", 406: "not_acceptable", 409: "conflict"}
