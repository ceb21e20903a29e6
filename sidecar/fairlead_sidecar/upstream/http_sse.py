"""HTTP with SSE, the transport before Streamable HTTP: one stream of events, and messages posted beside it."""

import asyncio

import anyio
import httpx2
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCError, JSONRPCMessage, JSONRPCRequest

from fairlead_sidecar.ssh.failures import quoted
from fairlead_sidecar.upstream.errors import EndpointNotFound, Exited, NotResponding, ProtocolError, UpstreamError
from fairlead_sidecar.upstream.http_connection import Response
from fairlead_sidecar.upstream.http_endpoint import Endpoint, beginning
from fairlead_sidecar.upstream.http_events import EventDecoder
from fairlead_sidecar.upstream.http_failures import content_type, no_mcp, shown
from fairlead_sidecar.upstream.http_wire import HttpWire
from fairlead_sidecar.upstream.messages import is_answer, parse, render, request_id_of

_JSON = {"accept": "application/json, text/event-stream", "content-type": "application/json"}
_SEND_SECONDS = 30.0


class SseWire(HttpWire):
    """One session with a server: it lasts as long as its stream."""

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(endpoint)
        self._post_url: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def open(self) -> None:
        """Ask for the stream, and wait until the server has said where messages go.

        Raises:
            UpstreamError: There is no such stream.
        """
        self.spawn(self._run())
        await self._post_url

    async def send(self, item: SessionMessage) -> None:
        """See `Outlet.send`."""
        self.check()
        message = item.message
        if isinstance(message, JSONRPCRequest):
            # Not waited for: some servers answer in the stream first.
            self.spawn(self._post(message))
        else:
            await self._post(message)
            self.check()

    async def _post(self, message: JSONRPCMessage) -> None:
        url = self._post_url.result()
        try:
            with anyio.fail_after(_SEND_SECONDS):
                with await self._endpoint.send("POST", _JSON, render(message), url=url) as response:
                    if response.is_success:
                        await beginning(response)
                        return
                    refusal = await self._endpoint.problem(response, in_session=True)
            if isinstance(refusal, UpstreamError):
                raise refusal
            if isinstance(message, JSONRPCRequest):
                refusal.id = message.id
                await self.deliver(refusal)
        except TimeoutError:
            await self.fail(NotResponding(f"{shown(url)} did not take a message."), request_id_of(message))
        except UpstreamError as error:
            await self.fail(error, request_id_of(message))

    async def _run(self) -> None:
        try:
            with await self._endpoint.send("GET", {"accept": "text/event-stream"}) as response:
                if not response.is_success:
                    refusal = await self._endpoint.problem(response, in_session=False)
                    raise refusal if isinstance(refusal, UpstreamError) else _no_stream(response, refusal)
                if content_type(response) != "text/event-stream":
                    raise no_mcp(response)
                await self._read(response)
            raise Exited(f"{shown(self._endpoint.url)} ended its stream of events.")
        except UpstreamError as error:
            if not self._post_url.done():
                self._post_url.set_exception(error)
            self.end(error)

    async def _read(self, response: Response) -> None:
        decoder = EventDecoder()
        while piece := await response.read():
            for event in decoder.feed(piece):
                if event.name == "endpoint" and not self._post_url.done():
                    self._post_url.set_result(self._within_origin(event.data.decode(errors="replace")))
                elif event.name == "message" and event.data:
                    await self._receive(event.data)

    async def _receive(self, data: bytearray) -> None:
        try:
            message = parse(data, self.masked)
        except ProtocolError as error:
            await self.report(error)
            return
        if is_answer(message):
            self.succeeded()
        await self.deliver(message)

    def _within_origin(self, said: str) -> str:
        url = httpx2.URL(self._endpoint.url)
        try:
            target = url.join(said)
        except httpx2.InvalidURL:
            raise ProtocolError(f"{shown(url)} sends its clients to {quoted(said)}, which is no URL.") from None
        if (target.scheme, target.host, target.port) != (url.scheme, url.host, url.port):
            raise ProtocolError(f"{shown(url)} sends its clients to another server, {shown(target)}.")
        return str(target)


def _no_stream(response: Response, refusal: JSONRPCError) -> UpstreamError:
    return EndpointNotFound(
        f"{shown(response.url)} offers no stream of events (HTTP {response.status_code}): "
        f"{quoted(refusal.error.message)}.",
        hint="Check the path of the URL; a server with Streamable HTTP needs transport: StreamableHTTP.",
    )
