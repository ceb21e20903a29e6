"""Connections through the SSH link to where HTTP is spoken, with TLS or without: made on the host, not here."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable

import anyio
import anyio.abc
import anyio.to_thread
import httpx2
from anyio.streams.tls import TLSStream

from fairlead_sidecar.errors import LinkError
from fairlead_sidecar.ssh.direct import DirectStream
from fairlead_sidecar.ssh.failures import quoted
from fairlead_sidecar.ssh.route import place_of
from fairlead_sidecar.upstream.errors import LinkDown, NotResponding, UpstreamError
from fairlead_sidecar.upstream.http_failures import broken_off, not_taken

Connect = Callable[[str, int], Awaitable[DirectStream]]
"""`Link.open_connection`."""

CONNECT_SECONDS = 10.0
_WRITE_SECONDS = 30.0


class Tunnels:
    """Makes such connections.

    Certificates are verified with the system's authorities (or those of `SSL_CERT_FILE`, `SSL_CERT_DIR`) for the host
    name of the URL.
    """

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._tls: ssl.SSLContext | None = None

    async def open(self, url: httpx2.URL) -> "TunnelStream":
        """A connection to a URL's server; an SSH channel.

        Raises:
            UpstreamError: It can't be made.
        """
        needs_tls = url.scheme == "https"
        if needs_tls and self._tls is None:
            # Reading the authorities takes tens of milliseconds, and memory that plain HTTP needs not pay for.
            self._tls = await anyio.to_thread.run_sync(httpx2.create_ssl_context)
        port = url.port or (443 if needs_tls else 80)
        place = place_of(url.host, port)
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                connection = await self._connect(url.host, port)
        except TimeoutError:
            raise NotResponding(f"{place} did not accept a connection within {CONNECT_SECONDS:g} s.") from None
        except LinkError as error:
            raise link_down(error) from error
        stream = TunnelStream(connection, connection, place)
        return stream if self._tls is None or not needs_tls else await stream.start_tls(self._tls, url.host)


class TunnelStream:
    """One connection."""

    def __init__(self, stream: anyio.abc.ByteStream, connection: DirectStream, place: str) -> None:
        self._stream = stream
        self._connection = connection
        self._place = place

    @property
    def readable(self) -> bool:
        """Whether something came. A connection that is not used is so when the server has closed it."""
        return self._connection.readable

    async def read(self, most: int, url: str) -> bytes:
        """At most so many bytes, of the answer of `url`; empty at the end.

        Raises:
            LinkDown: The SSH connection to the host broke.
            BrokenOff: The connection broke in another way.
        """
        try:
            return await self._stream.receive(most)
        except anyio.EndOfStream:
            return b""
        except (anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
            raise self._lost() or broken_off(url) from error

    async def write(self, data: bytes, url: str) -> None:
        """All of it, for `url`.

        Raises:
            LinkDown: The SSH connection to the host broke.
            NotResponding: The server took nothing for a while.
            BrokenOff: The connection broke in another way.
        """
        try:
            if self._stream is self._connection and self._connection.send_at_once(data):
                return
            async with asyncio.timeout(_WRITE_SECONDS):
                await self._stream.send(data)
        except TimeoutError:
            raise not_taken(url) from None
        except (anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
            raise self._lost() or broken_off(url) from error

    def close(self) -> None:
        """End it; what was sent before still goes out."""
        self._connection.close()

    async def start_tls(self, context: ssl.SSLContext, host: str) -> "TunnelStream":
        """Speak TLS from now on, with the server of this name.

        Raises:
            UpstreamError: It speaks none, or its certificate is not trusted; the message says why.
        """
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                stream = await TLSStream.wrap(
                    self._stream,
                    server_side=False,
                    hostname=host,
                    ssl_context=context,
                    # Many servers close the connection without the closing message of TLS.
                    standard_compatible=False,
                )
        except BaseException as error:
            self._connection.close()
            if (failure := self._lost() or _tls_failure(error, self._place, CONNECT_SECONDS)) is not None:
                raise failure from error
            raise
        return TunnelStream(stream, self._connection, self._place)

    def _lost(self) -> LinkDown | None:
        return None if self._connection.lost is None else link_down(self._connection.lost)


def link_down(error: LinkError) -> LinkDown:
    """What an upstream server's user is told of the link's own failure."""
    return LinkDown(f"There is no connection to the host: {error.message}")


def _tls_failure(error: BaseException, place: str, timeout: float) -> UpstreamError | None:
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
