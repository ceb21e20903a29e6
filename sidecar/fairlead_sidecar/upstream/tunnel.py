"""HTTP through the SSH link: a network backend for httpx2 that opens its connections on the host, not here."""

import ssl
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import anyio
import anyio.abc
import anyio.to_thread
import httpcore2
import httpx2
from anyio.streams.tls import TLSStream

from fairlead_sidecar.errors import LinkError
from fairlead_sidecar.ssh.direct import DirectStream
from fairlead_sidecar.ssh.failures import quoted
from fairlead_sidecar.ssh.route import place_of
from fairlead_sidecar.upstream.errors import LinkDown, NotResponding, UpstreamError

Connect = Callable[[str, int], Awaitable[DirectStream]]
"""`Link.open_connection`."""

CONNECT_SECONDS = 10.0
_WRITE_SECONDS = 30.0
_IDLE_SECONDS = 4.0
"""For which an idle connection is kept: many servers close theirs after 5 s, and a request that meets that is lost."""
_MAX_IDLE = 8


class TunnelTransport(httpx2.AsyncHTTPTransport):
    """httpx2's own transport over a pool of its own core whose connections go through the link."""

    def __init__(self, connect: Connect, tls: ssl.SSLContext | None) -> None:
        # Not the base's: it builds a pool on this machine's network, and nothing else.
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=tls,
            max_connections=None,
            max_keepalive_connections=_MAX_IDLE,
            keepalive_expiry=_IDLE_SECONDS,
            network_backend=TunnelBackend(connect),
        )


async def tunnel_client(connect: Connect, url: str) -> httpx2.AsyncClient:
    """An HTTP client whose connections go through the link, for servers at one origin.

    Certificates are verified with the system's authorities (or those of `SSL_CERT_FILE`, `SSL_CERT_DIR`) for the host
    name of the URL. Neither proxies nor credentials are taken from the environment, and no redirect is followed.
    Answers may take as long as they like: whoever waits has a deadline.
    """
    # Reading the authorities takes tens of milliseconds, and memory that plain HTTP needs not pay for.
    needs_tls = httpx2.URL(url).scheme == "https"
    tls = await anyio.to_thread.run_sync(httpx2.create_ssl_context) if needs_tls else None
    return httpx2.AsyncClient(
        transport=TunnelTransport(connect, tls),
        timeout=httpx2.Timeout(connect=CONNECT_SECONDS, read=None, write=_WRITE_SECONDS, pool=None),
        trust_env=False,
        follow_redirects=False,
    )


class TunnelBackend(httpcore2.AsyncNetworkBackend):
    """Connections from the host, each an SSH channel."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,  # noqa: ARG002 - the host chooses
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,  # noqa: ARG002 - the socket is the host's
    ) -> httpcore2.AsyncNetworkStream:
        """Open one.

        Raises:
            UpstreamError: It can't be made.
        """
        place = place_of(host, port)
        try:
            with anyio.fail_after(timeout):
                connection = await self._connect(host, port)
        except TimeoutError:
            raise NotResponding(f"{place} did not accept a connection within {timeout:g} s.") from None
        except LinkError as error:
            raise link_down(error) from error
        return TunnelStream(connection, connection, place)

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Never: it would be a socket of this machine."""
        raise NotImplementedError

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await anyio.sleep(seconds)


class TunnelStream(httpcore2.AsyncNetworkStream):
    """One connection, plain or with TLS on it."""

    def __init__(self, stream: anyio.abc.ByteStream, connection: DirectStream, place: str) -> None:
        self._stream = stream
        self._connection = connection
        self._place = place

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """At most `max_bytes`; empty at the end.

        Raises:
            LinkDown: The SSH connection to the host broke.
        """
        try:
            with anyio.fail_after(timeout):
                return await self._stream.receive(max_bytes)
        except anyio.EndOfStream:
            return b""
        except TimeoutError as error:
            raise httpcore2.ReadTimeout from error
        except (anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
            raise self._lost() or httpcore2.ReadError(str(error)) from error

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """All of it.

        Raises:
            LinkDown: The SSH connection to the host broke.
        """
        if not buffer:
            return
        try:
            with anyio.fail_after(timeout):
                await self._stream.send(buffer)
        except TimeoutError as error:
            raise httpcore2.WriteTimeout from error
        except (anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
            raise self._lost() or httpcore2.WriteError(str(error)) from error

    async def aclose(self) -> None:
        """End it."""
        await self._stream.aclose()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.AsyncNetworkStream:
        """Speak TLS from now on.

        Raises:
            UpstreamError: The server speaks none, or its certificate is not trusted; the message says why.
        """
        try:
            with anyio.fail_after(timeout):
                stream = await TLSStream.wrap(
                    self._stream,
                    server_side=False,
                    hostname=server_hostname,
                    ssl_context=ssl_context,
                    # Many servers close the connection without the closing message of TLS.
                    standard_compatible=False,
                )
        except BaseException as error:
            self._connection.close()
            if (failure := self._lost() or _tls_failure(error, self._place, timeout)) is not None:
                raise failure from error
            raise
        return TunnelStream(stream, self._connection, self._place)

    def get_extra_info(self, info: str) -> Any:
        """What httpcore asks about a connection."""
        # Asked of an idle connection: the server has closed it.
        return self._connection.readable if info == "is_readable" else None

    def _lost(self) -> LinkDown | None:
        return None if self._connection.lost is None else link_down(self._connection.lost)


def link_down(error: LinkError) -> LinkDown:
    """What an upstream server's user is told of the link's own failure."""
    return LinkDown(f"There is no connection to the host: {error.message}")


def _tls_failure(error: BaseException, place: str, timeout: float | None) -> UpstreamError | None:
    if isinstance(error, TimeoutError):
        return NotResponding(f"{place} did not finish the TLS handshake within {timeout:g} s.")
    if isinstance(error, ssl.SSLCertVerificationError):
        return UpstreamError(
            f"The TLS certificate of {place} is not trusted: {quoted(error.verify_message)}.",
            hint="Give the server a certificate that a trusted authority made out to the URL's host name.",
        )
    if isinstance(error, ssl.SSLError):
        return UpstreamError(
            f"The TLS handshake with {place} failed: {quoted(error.reason or str(error))}.",
            hint="Check that the server speaks TLS on that port; if it does not, the URL begins with http://.",
        )
    if isinstance(error, (anyio.EndOfStream, anyio.BrokenResourceError)):
        return UpstreamError(
            f"{place} closed the connection during the TLS handshake.",
            hint="Check that the server speaks TLS on that port; if it does not, the URL begins with http://.",
        )
    return None
