"""One request of the modern protocol and its answer.

The SDK's own way serves each request in three tasks with streams between them. Here the task that took the request runs
its handler and writes the answer; another one begins only once that takes longer than most do. Whatever is not a
well-formed request is left to the SDK, which knows how to refuse it.
"""

import asyncio
import json
import logging
from collections.abc import Mapping
from functools import cached_property, partial
from typing import Any

import anyio
import pydantic_core
from mcp.server._streamable_http_modern import _SSE_HEADERS, _sse_event
from mcp.server.connection import Connection
from mcp.server.lowlevel.server import Server
from mcp.server.runner import ServerRunner, aclose_shielded, modern_error_data
from mcp.server.streamable_http import check_accept_headers
from mcp.shared.dispatcher import CallOptions
from mcp.shared.exceptions import NoBackChannelError
from mcp.shared.inbound import (
    ERROR_CODE_HTTP_STATUS,
    InboundModernRoute,
    classify_inbound_request,
    find_duplicated_routing_header,
)
from mcp.shared.jsonrpc_dispatcher import progress_token_from_params
from mcp.shared.message import ServerMessageMetadata
from mcp.shared.transport_context import TransportContext
from mcp_types import JSONRPCError, JSONRPCNotification, JSONRPCResponse
from starlette.requests import Request
from starlette.types import Send

from fairlead_sidecar.access.body import Body
from fairlead_sidecar.access.watching import PING, watching

logger = logging.getLogger(__name__)

_written = json.JSONEncoder(separators=(",", ":"), default=pydantic_core.to_jsonable_python).encode


def well_formed(server: Server[Any], request: Request, body: Body, state: Any) -> "Exchange | None":
    """The exchange that a request begins; None where the SDK has to look at it, and to say what is wrong.

    Headers that repeat arguments are not compared with them, as the SDK would: our server tells it of no such tool
    (`get_tool_input_schema`).

    Args:
        body: Taken, where it begins one.
        state: What the server's lifespan gave.
    """
    accepted = check_accept_headers(request)
    message: Any = body.message
    if message is None:
        # Not what the quicker parser reads, which refuses some text that this one takes.
        try:
            message = json.loads(body.content)
        except (ValueError, RecursionError):
            return None
    if accepted != (True, True) or not _is_request(message) or message["method"] == "subscriptions/listen":
        return None
    headers = request.headers.items()
    if find_duplicated_routing_header(headers) is not None:
        return None
    # Of a header that comes twice the first one counts, as when it is looked up.
    route = classify_inbound_request(message, headers=dict(reversed(headers)))
    if not isinstance(route, InboundModernRoute):
        return None
    body.take()
    return Exchange(server, request, message, route, state)


class Exchange:
    """See `mcp.shared.dispatcher.DispatchContext`; the client can't be asked anything on it."""

    can_send_request = False

    def __init__(
        self, server: Server[Any], request: Request, message: dict[str, Any], route: InboundModernRoute, state: Any
    ) -> None:
        self.transport = TransportContext(kind="streamable-http", can_send_request=False, headers=request.headers)
        self.request_id = message["id"]
        self.message_metadata = ServerMessageMetadata(request_context=request)
        self.progress_token = progress_token_from_params(message["params"])
        self._server = server
        self._request = request
        self._method: str = message["method"]
        self._params: dict[str, Any] = message["params"]
        self._route = route
        self._state = state
        self._send: Send | None = None
        self._writing = asyncio.Lock()
        self._streams = False
        self._over = False

    @cached_property
    def cancel_requested(self) -> anyio.Event:
        """Never set: a client cancels by closing the response, which cancels the handler."""
        return anyio.Event()

    async def serve(self, send: Send) -> None:
        """Answer it: with JSON, or with a stream where something is told before or much time passes."""
        self._send = send
        with watching(self._request.receive, partial(self._stream, PING)):
            try:
                await self._answer(await self._outcome())
            finally:
                self._over = True

    async def send_raw_request(
        self,
        method: str,
        params: Mapping[str, Any] | None,  # noqa: ARG002 - as `DispatchContext` has it
        opts: CallOptions | None = None,  # noqa: ARG002 - the same
    ) -> dict[str, Any]:
        """Never.

        Raises:
            NoBackChannelError: Always.
        """
        raise NoBackChannelError(method)

    async def notify(
        self,
        method: str,
        params: Mapping[str, Any] | None,
        opts: CallOptions | None = None,  # noqa: ARG002 - as `DispatchContext` has it
    ) -> None:
        """Tell the client something, before the answer."""
        told = dict(params) if params is not None else None
        await self._stream(_sse_event(JSONRPCNotification(jsonrpc="2.0", method=method, params=told)))

    async def progress(self, progress: float, total: float | None = None, message: str | None = None) -> None:
        """Tell the client how far its request got, where it wants to know."""
        if self.progress_token is None:
            return
        given = {"progressToken": self.progress_token, "progress": progress, "total": total, "message": message}
        await self.notify("notifications/progress", {key: value for key, value in given.items() if value is not None})

    async def _outcome(self) -> dict[str, Any] | JSONRPCError:
        """The result, or the error that stands for it."""
        route = self._route
        connection = Connection.from_envelope(route.protocol_version, route.client_info, route.client_capabilities)
        runner = ServerRunner(self._server, connection, self._state)
        try:
            return await runner.on_request(self, self._method, self._params)
        except Exception as error:  # noqa: BLE001 - as the SDK does: what is unforeseen is logged there
            return JSONRPCError(jsonrpc="2.0", id=self.request_id, error=modern_error_data(error))
        finally:
            if connection.exit_stack._exit_callbacks:  # type: ignore[attr-defined]  # noqa: SLF001 - most have nothing to end
                await aclose_shielded(connection)

    async def _answer(self, outcome: dict[str, Any] | JSONRPCResponse | JSONRPCError) -> None:
        if self._streams:
            if not isinstance(outcome, JSONRPCError):
                outcome = JSONRPCResponse(jsonrpc="2.0", id=self.request_id, result=outcome)
            await self._stream(_sse_event(outcome), last=True)
            return
        self._over, status = True, 200
        if isinstance(outcome, JSONRPCError):
            status = ERROR_CODE_HTTP_STATUS.get(outcome.error.code, status)
            answer = outcome.model_dump(mode="json", by_alias=True, exclude_none=True)
        else:
            answer = {"jsonrpc": "2.0", "id": self.request_id, "result": outcome}
        # One copy of a long result at a time, beside the one that goes out.
        del outcome
        text = _written(answer)
        del answer
        body = text.encode()
        del text
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await self._to_client({"type": "http.response.start", "status": status, "headers": headers})
        await self._to_client({"type": "http.response.body", "body": body, "more_body": False})

    async def _stream(self, event: bytes, *, last: bool = False) -> None:
        async with self._writing:
            if self._over:
                logger.debug("Something was told behind the answer")
                return
            self._over = last
            if not self._streams:
                self._streams = True
                await self._to_client({"type": "http.response.start", "status": 200, "headers": _SSE_HEADERS})
            await self._to_client({"type": "http.response.body", "body": event, "more_body": not last})

    async def _to_client(self, message: dict[str, Any]) -> None:
        if self._send is not None:
            await self._send(message)


def _is_request(message: Any) -> bool:
    return (
        isinstance(message, dict)
        and message.get("jsonrpc") == "2.0"
        and isinstance(message.get("method"), str)
        and isinstance(message.get("id"), str | int)
        and not isinstance(message["id"], bool)
        and isinstance(message.get("params"), dict)
    )
