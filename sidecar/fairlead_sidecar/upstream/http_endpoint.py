"""Requests to one server: with its configured headers, within its origin, with errors that have a name."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import httpx2
from mcp.shared._httpx_utils import next_request_within_origin, redirect_location
from mcp_types import JSONRPCError

from fairlead_sidecar.config import HttpServer
from fairlead_sidecar.tools.redact import Redactor
from fairlead_sidecar.upstream.errors import ProtocolError, UpstreamError
from fairlead_sidecar.upstream.http_failures import broken, check_encoding, is_compressed, meaning, shown
from fairlead_sidecar.upstream.http_headers import read_headers, secret_parts
from fairlead_sidecar.upstream.messages import MAX_MESSAGE_BYTES

_SAID_BYTES = 64 * 1024
_REDIRECTS = 5


class Endpoint:
    """One server's URL."""

    def __init__(self, server: HttpServer, client: httpx2.AsyncClient) -> None:
        """Read the headers.

        Raises:
            UpstreamError: One can't be read, or must not be set.
        """
        self.url = server.url
        self._server = server
        self._client = client
        self._headers = read_headers(server.headers)

    @asynccontextmanager
    async def request(
        self, method: str, headers: Mapping[str, str], content: bytes | None = None, *, url: str | None = None
    ) -> AsyncIterator[httpx2.Response]:
        """Send a request, give its response while its body is read.

        A 401 or 403 is tried once more where a header has changed in its Secret since. Redirects are followed where
        they stay at the origin and keep the method, as for a missing `/` at the end.

        Raises:
            UpstreamError: There is no response, or it broke off while it was read.
        """
        url = url or self.url
        try:
            for again in (True, False):
                # Ours last: they make it a message of the protocol. No compression, which would only cost time.
                sent = {**self._headers, **headers, "accept-encoding": "identity"}
                request = self._client.build_request(method, url, headers=sent, content=content)
                async with self._response(request) as response:
                    if again and response.status_code in (401, 403) and self._has_new_headers():
                        continue
                    yield response
                    return
        except httpx2.TransportError as error:
            raise broken(error, url) from error

    async def problem(self, response: httpx2.Response, *, in_session: bool) -> JSONRPCError | UpstreamError:
        """See `http_failures.meaning`; reads the body."""
        body, location = await beginning(response), redirect_location(response)
        return meaning(response, body, location, in_session=in_session, mask=self.masked)

    def masked(self, text: str) -> str:
        """A server's own words, without the secrets that it was given."""
        return Redactor(secret_parts(self._headers)).text(text)

    @asynccontextmanager
    async def _response(self, request: httpx2.Request) -> AsyncIterator[httpx2.Response]:
        # Not the SDK's `stream_within_origin`, which reads whatever a redirect has for a body.
        for _ in range(_REDIRECTS):
            response = await self._client.send(request, stream=True)
            following = next_request_within_origin(response)
            if following is None:
                break
            await response.aclose()
            request = following
        else:
            raise ProtocolError(f"{shown(request.url)} redirects again and again.")
        try:
            if response.is_success:
                check_encoding(response)
            yield response
        finally:
            await response.aclose()

    def _has_new_headers(self) -> bool:
        former, self._headers = self._headers, read_headers(self._server.headers)
        return self._headers != former


async def whole(response: httpx2.Response) -> bytearray:
    """A body.

    Raises:
        ProtocolError: It is longer than any message may be.
    """
    body = bytearray()
    async for piece in response.aiter_bytes():
        body += piece
        if len(body) > MAX_MESSAGE_BYTES:
            raise ProtocolError(f"The server sent an answer of more than {MAX_MESSAGE_BYTES} bytes.")
    return body


async def beginning(response: httpx2.Response) -> bytes:
    """As much of a body as says what is wrong."""
    body = bytearray()
    if is_compressed(response):
        return b""
    async for piece in response.aiter_bytes():
        body += piece
        if len(body) >= _SAID_BYTES:
            break
    return bytes(body[:_SAID_BYTES])
