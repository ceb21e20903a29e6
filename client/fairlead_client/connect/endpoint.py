"""The endpoint's end: HTTP requests that wait for an endpoint that is away, and failures that name their cause."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import httpx2

from fairlead_client.connect import answers
from fairlead_client.connect.availability import FIRST_DELAY, Availability, Away
from fairlead_client.connect.errors import ConnectError
from fairlead_client.connect.tokens import TokenSource
from fairlead_client.connect.url import account, is_loopback

ACCEPT = {"Accept": "application/json, text/event-stream"}
CONNECT_SECONDS = 10.0
PROBE_SECONDS = 5.0
LONGEST_PAUSE = 2.0
"""Between tries of an endpoint that is there and says that it is too busy."""
LEAST_PATIENCE = 2.0
"""Seconds that a request waits for an endpoint that has been away for long."""
_GATEWAY = frozenset({502, 503, 504})
_NOT_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)


class EndpointError(Exception):
    """A request got no answer; the message names the cause, and says whether it may have had an effect."""


class Cut(EndpointError):
    """The connection ended while the request was under way."""


class Refused(EndpointError):
    """The endpoint answered, with an HTTP error."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Endpoint:
    """One URL, and the token for it."""

    def __init__(
        self, url: str, token: TokenSource, headers: Mapping[str, str], patience: float, say: Callable[[str], None]
    ) -> None:
        """Nothing is sent yet.

        Args:
            url: Where MCP is spoken over Streamable HTTP.
            token: Read now, and again when the endpoint refuses it.
            headers: Further ones, with every request.
            patience: Seconds that a request waits for an endpoint that is away.
            say: Tells the person.

        Raises:
            ConnectError: The token can't be had.
        """
        self.url = url
        self._source = token
        self._token = token.read()
        self._patience = patience
        self._say = say
        # Without a read timeout: a tool may be silent for as long as it likes. TCP's keep-alive notices a dead peer.
        self._http = httpx2.AsyncClient(
            headers={"User-Agent": "fairlead-connect", **headers},
            timeout=httpx2.Timeout(CONNECT_SECONDS, read=None, pool=None),
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=8),
            # No proxy of the environment leads to this machine itself.
            mounts={"http://": None, "https://": None} if is_loopback(url) else None,
        )
        self._availability = Availability(self._probe, say)

    @property
    def has_token(self) -> bool:
        """Whether a token goes with the requests."""
        return self._token is not None

    async def close(self) -> None:
        """Close all connections."""
        self._availability.close()
        await self._http.aclose()

    @contextlib.asynccontextmanager
    async def open(
        self, method: str, headers: Mapping[str, str], body: bytes | None = None, *, persistent: bool = False
    ) -> AsyncIterator[httpx2.Response]:
        """Send a request, once the endpoint is there; what it answers is for the caller to read, errors included.

        Args:
            method: GET, POST or DELETE.
            headers: Beside those of every request.
            body: JSON.
            persistent: Wait for an endpoint that is away for as long as it takes.

        Raises:
            Cut: The connection ended before there was an answer.
            EndpointError: The endpoint is away.
        """
        response = await self._send(method, {**ACCEPT, **headers}, body, persistent=persistent)
        try:
            yield response
        except httpx2.RequestError as error:
            msg = f"the connection was cut ({answers.spoken(error)})"
            self._availability.lost(msg)
            raise Cut(msg) from error
        finally:
            await response.aclose()

    async def refusal(self, response: httpx2.Response) -> Refused:
        """What an HTTP error means, in words."""
        if response.status_code == 401:
            return Refused(
                answers.unauthorized(response, self._source.name if self._token else None, self._masked), 401
            )
        return Refused(
            answers.refused(response, await answers.explanation(response, self._masked)), response.status_code
        )

    async def _send(
        self, method: str, headers: Mapping[str, str], body: bytes | None, *, persistent: bool
    ) -> httpx2.Response:
        loop = asyncio.get_running_loop()
        # Whoever comes later has not the whole wait before them: a client that asks again has little patience left.
        patience = max(self._patience - self._availability.away_for, min(self._patience, LEAST_PATIENCE))
        deadline = None if persistent else loop.time() + patience
        delay, renewed = FIRST_DELAY, False
        while True:
            try:
                await self._availability.wait(None if deadline is None else max(0.0, deadline - loop.time()))
            except Away as away:
                msg = f"{account(self.url)} is away: {away}; waited {patience:.0f} s, and nothing was sent"
                raise EndpointError(msg) from away
            try:
                response = await self._http.send(self._request(method, headers, body), stream=True)
            except _NOT_SENT as error:
                if problem := answers.certificate_problem(error):
                    msg = f"the certificate of {account(self.url)} can't be verified: {problem}"
                    raise EndpointError(msg) from error
                self._availability.lost(answers.spoken(error))
                continue
            except httpx2.RequestError as error:
                msg = f"the connection was cut before the answer ({answers.spoken(error)})"
                self._availability.lost(msg)
                raise Cut(msg) from error
            if response.status_code == 401 and not renewed and await self._token_changed():
                renewed = True
                await response.aclose()
                continue
            if response.status_code not in _GATEWAY or await answers.is_rpc(response):
                return response
            cause = await answers.gateway(response, self._masked)
            await response.aclose()
            self._availability.lost(cause)
            if response.status_code != 503:
                msg = f"the gateway lost the endpoint ({cause})"
                raise Cut(msg)
            # Nobody took it. The endpoint may be there, and still have nobody who takes it.
            await asyncio.sleep(delay)
            delay = min(delay * 2, LONGEST_PAUSE)

    def _masked(self, text: str) -> str:
        return text.replace(self._token, "[redacted]") if self._token else text

    def _request(self, method: str, headers: Mapping[str, str], body: bytes | None) -> httpx2.Request:
        every = dict(headers)
        if self._token:
            every["Authorization"] = f"Bearer {self._token}"
        if body is not None:
            every["Content-Type"] = "application/json"
        return self._http.build_request(
            method, self.url, content=body, headers=every, extensions={"trace": _keep_alive}
        )

    async def _token_changed(self) -> bool:
        try:
            token = await asyncio.to_thread(self._source.read)
        except ConnectError as error:
            self._say(str(error))
            return False
        changed, self._token = token != self._token, token
        return changed

    async def _probe(self) -> str | None:
        try:
            # Without a session: the answer is a refusal or a stream that is closed at once, and changes nothing.
            request = self._request("GET", ACCEPT, None)
            request.extensions["timeout"] = httpx2.Timeout(PROBE_SECONDS).as_dict()
            response = await self._http.send(request, stream=True)
        except httpx2.TransportError as error:
            return answers.spoken(error)
        await response.aclose()
        return f"HTTP {response.status_code}" if response.status_code in _GATEWAY else None


async def _keep_alive(event: str, info: Mapping[str, Any]) -> None:
    """Let the system notice within a minute that nobody is there any more."""
    if event != "connection.connect_tcp.complete":
        return
    connection = info["return_value"].get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in (("TCP_KEEPIDLE", 20), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):
            if hasattr(socket, name):
                connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
