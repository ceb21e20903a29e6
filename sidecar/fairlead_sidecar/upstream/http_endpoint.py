"""Requests to one server: with its configured headers, within its origin, with errors that have a name."""

from collections.abc import Mapping

import httpx2
from mcp_types import JSONRPCError

from fairlead_sidecar.config import HttpServer
from fairlead_sidecar.tools.redact import Redactor
from fairlead_sidecar.upstream.errors import ProtocolError, UpstreamError
from fairlead_sidecar.upstream.http_client import HttpClient
from fairlead_sidecar.upstream.http_connection import Response
from fairlead_sidecar.upstream.http_failures import check_encoding, is_compressed, meaning, not_http, shown
from fairlead_sidecar.upstream.http_headers import read_headers, secret_parts
from fairlead_sidecar.upstream.messages import MAX_MESSAGE_BYTES

_SAID_BYTES = 64 * 1024
_REDIRECTS = 5
_REDIRECTING = frozenset({301, 302, 303, 307, 308})
_KEEPING_METHOD = frozenset({307, 308})


class Endpoint:
    """One server's URL."""

    def __init__(self, server: HttpServer, client: HttpClient) -> None:
        """Read the headers.

        Raises:
            UpstreamError: One can't be read, or must not be set.
        """
        self.url = server.url
        self._server = server
        self._client = client
        self._headers = read_headers(server.headers)

    async def send(
        self, method: str, headers: Mapping[str, str], content: bytes | None = None, *, url: str | None = None
    ) -> Response:
        """Send a request; its response, whose body is still to be read and which is then to be released.

        A 401 or 403 is tried once more where a header has changed in its Secret since. Redirects are followed where
        they stay at the origin and keep the method, as for a missing `/` at the end.

        Raises:
            UpstreamError: There is no response; reading it raises the same where it breaks off.
        """
        response = await self._response(method, url or self.url, headers, content)
        if response.status_code not in (401, 403):
            return response
        try:
            changed = self._has_new_headers()
        except UpstreamError:
            response.release()
            raise
        if not changed:
            return response
        response.release()
        return await self._response(method, url or self.url, headers, content)

    async def problem(self, response: Response, *, in_session: bool) -> JSONRPCError | UpstreamError:
        """See `http_failures.meaning`; reads the body."""
        body, location = await beginning(response), _location(response)
        return meaning(response, body, location, in_session=in_session, mask=self.masked)

    def masked(self, text: str) -> str:
        """A server's own words, without the secrets that it was given."""
        return Redactor(secret_parts(self._headers)).text(text)

    async def _response(self, method: str, url: str, headers: Mapping[str, str], content: bytes | None) -> Response:
        # Ours last: they make it a message of the protocol. No compression, which would only cost time.
        sent = {**self._headers, **headers, "accept-encoding": "identity"}
        for _ in range(_REDIRECTS):
            response = await self._client.send(method, url, sent, content)
            try:
                following = _following(response, method)
                if following is None and response.is_success:
                    check_encoding(response)
            except UpstreamError:
                response.release()
                raise
            if following is None:
                return response
            # What a redirect has for a body is not read.
            response.release()
            url = str(following)
        raise ProtocolError(f"{shown(url)} redirects again and again.")

    def _has_new_headers(self) -> bool:
        former, self._headers = self._headers, read_headers(self._server.headers)
        return self._headers != former


async def whole(response: Response) -> bytearray:
    """A body.

    Raises:
        ProtocolError: It is longer than any message may be.
    """
    body = bytearray()
    while piece := await response.read():
        body += piece
        if len(body) > MAX_MESSAGE_BYTES:
            raise ProtocolError(f"The server sent an answer of more than {MAX_MESSAGE_BYTES} bytes.")
    return body


async def beginning(response: Response) -> bytes:
    """As much of a body as says what is wrong."""
    body = bytearray()
    if is_compressed(response):
        return b""
    while piece := await response.read():
        body += piece
        if len(body) >= _SAID_BYTES:
            break
    return bytes(body[:_SAID_BYTES])


def _location(response: Response) -> httpx2.URL | None:
    """Where it redirects to; None: it does not."""
    said = response.headers.get("location") if response.status_code in _REDIRECTING else None
    if said is None:
        return None
    try:
        return httpx2.URL(response.url).join(said)
    except httpx2.InvalidURL:
        raise not_http(response.url, "it redirects to what is no URL") from None


def _following(response: Response, method: str) -> httpx2.URL | None:
    """The redirect that is followed: within the origin, and with the same method."""
    location = _location(response)
    if location is None or (response.status_code not in _KEEPING_METHOD and method != "GET"):
        return None
    sent = httpx2.URL(response.url)
    if location.userinfo and location.userinfo != sent.userinfo:
        return None
    return location if _within_origin(sent, location) else None


def _within_origin(url: httpx2.URL, location: httpx2.URL) -> bool:
    """Whether it is the same server, or TLS on the default port in the place of none."""
    if (url.scheme, url.host, url.port) == (location.scheme, location.host, location.port):
        return True
    upgraded = (url.scheme, location.scheme) == ("http", "https")
    return upgraded and url.host == location.host and url.port is None and location.port is None
