"""TCP connections from the host to where it can reach, as channels of its SSH connection (direct-tcpip, RFC 4254, 7.2).

Nothing is opened anywhere but on the host itself. A channel of this kind is no session, so MaxSessions does not count
it; the connection that carries one counts as busy.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, Protocol, TypeVar

import anyio
import anyio.abc
import asyncssh

from fairlead_sidecar.errors import ConnectionLost
from fairlead_sidecar.ssh.failures import quoted
from fairlead_sidecar.ssh.flow import Inflow, Outflow
from fairlead_sidecar.ssh.member import Member
from fairlead_sidecar.ssh.route import place_of
from fairlead_sidecar.upstream.errors import ForwardingRefused, NotListening

WINDOW = 1024 * 1024
"""Bytes that may be under way on one channel."""
_PIECE = 64 * 1024

_S = TypeVar("_S", bound=asyncssh.SSHTCPSession[bytes])
Channel = asyncssh.SSHTCPChannel[bytes]


class NoConnection(Exception):
    """There is no connection that could carry a channel any more."""


class DirectStream(anyio.abc.ByteStream, asyncssh.SSHTCPSession[bytes]):
    """One such connection, as a byte stream in anyio's terms; a lost link ends it.

    `receive` raises `anyio.EndOfStream` where the other side has ended it, `anyio.BrokenResourceError` from a
    `ConnectionLost` where the link broke; `send` waits while the host takes nothing.
    """

    def __init__(self) -> None:
        self._channel: Channel | None = None
        self._in = Inflow(pause=self._pause, resume=self._resume)
        self._out = Outflow()
        self._ended = False
        self._closed = False
        self.lost: ConnectionLost | None = None
        """Set where the link broke below it."""

    @property
    def readable(self) -> bool:
        """Whether `receive` would return or raise at once. An idle HTTP connection is so when the server closed it."""
        return self._in.readable

    async def receive(self, max_bytes: int = 65536) -> bytes:
        """The next bytes.

        Raises:
            anyio.EndOfStream: The other side ended it.
            anyio.BrokenResourceError: The link broke.
            anyio.ClosedResourceError: It was closed here.
        """
        if self._closed:
            raise anyio.ClosedResourceError
        try:
            data = await self._in.read(max_bytes)
        except ConnectionLost as lost:
            raise anyio.BrokenResourceError from lost
        if not data:
            raise anyio.ClosedResourceError if self._closed else anyio.EndOfStream
        return data

    async def send(self, item: bytes) -> None:
        """Send all of it; returns when little of it is left to be taken.

        Raises:
            anyio.BrokenResourceError: The link broke, or the other side takes no more.
            anyio.ClosedResourceError: It was closed here.
        """
        view = memoryview(item)
        for start in range(0, len(view), _PIECE):
            if self._closed or self._channel is None:
                raise anyio.ClosedResourceError
            self._write(self._channel, bytes(view[start : start + _PIECE]))
            await self._out.drain()

    def send_at_once(self, item: bytes) -> bool:
        """Send something small where nothing waits before it; whether that was so.

        Raises:
            As `send` does.
        """
        if len(item) > _PIECE or self._out.paused or self._closed or self._channel is None:
            return False
        self._write(self._channel, item)
        return True

    async def send_eof(self) -> None:
        """Nothing more will be sent; what comes can still be received."""
        if self._channel is not None:
            with suppress(OSError):
                self._channel.write_eof()

    async def aclose(self) -> None:
        """End it; what was sent before still goes out."""
        self.close()

    def close(self) -> None:
        """As `aclose`, at once."""
        self._closed = True
        self._in.discard()
        self._in.end()
        self._out.resume()
        if self._channel is not None:
            self._channel.close()

    # --- called by asyncssh ---

    def connection_made(self, chan: Channel) -> None:
        """The other side accepted the connection."""
        self._channel = chan

    def data_received(self, data: bytes, _datatype: asyncssh.DataType) -> None:
        """Bytes came."""
        self._in.feed(data)

    def eof_received(self) -> bool:
        """The other side sends no more."""
        self._ended = True
        self._in.end()
        return True

    def pause_writing(self) -> None:
        """Too much waits to be sent."""
        self._out.pause()

    def resume_writing(self) -> None:
        """There is room again."""
        self._out.resume()

    def connection_lost(self, _exc: Exception | None) -> None:
        """The channel is gone, in order or with the link."""
        # A server ends a channel with an end of its data; a connection that is torn down says nothing, or why.
        if not (self._ended or self._closed):
            self.lost = ConnectionLost("The connection through the host was lost.", hint="Try again in a moment.")
        self._in.end(self.lost)
        self._out.resume()

    # --- inside ---

    def _write(self, channel: Channel, data: bytes) -> None:
        try:
            channel.write(data)
        except OSError as error:
            raise anyio.BrokenResourceError from self.lost or error

    def _pause(self) -> None:
        if self._channel is not None:
            self._channel.pause_reading()

    def _resume(self) -> None:
        if self._channel is not None:
            self._channel.resume_reading()


class DirectChannels:
    """Those of one pool."""

    def __init__(self, members: Sequence[Member], on_closed: Callable[[Member], None]) -> None:
        """Open channels on `members`, which the pool keeps up to date; `on_closed` is told when one has ended."""
        self._members = members
        self._on_closed = on_closed
        self._open: set[Channel] = set()
        self._tasks: set[asyncio.Task[Any]] = set()

    async def connect(self, factory: Callable[[], _S], host: str, port: int) -> tuple[Channel, _S]:
        """Open one, for a session that `factory` makes. The caller sets the deadline.

        Raises:
            ForwardingRefused: The SSH server does not let it through.
            NotListening: The address does not accept connections.
            NoConnection: There is none that could carry it.
        """
        if not self._members:
            raise NoConnection
        # A task of its own: a channel that is half open could not be closed again.
        opening = self._spawn(self._connect(self._members[0], factory, host, port))
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(_close_unwanted)
            raise

    def abort(self) -> None:
        """End all of them at once."""
        for channel in list(self._open):
            channel.abort()

    async def _connect(self, member: Member, factory: Callable[[], _S], host: str, port: int) -> tuple[Channel, _S]:
        member.channels += 1
        opened = False
        try:
            channel, session = await member.connection.create_connection(
                factory, host, port, encoding=None, window=WINDOW
            )
            opened = True
        except asyncssh.ChannelOpenError as error:
            if member not in self._members or member.connection.is_closed():
                raise NoConnection from None
            raise _refused(host, port, error) from None
        except (asyncssh.Error, OSError):
            raise NoConnection from None
        finally:
            if not opened:
                self._ended(member)
        self._open.add(channel)
        self._spawn(self._watch(channel, member))
        return channel, session  # type: ignore[return-value]  # what `factory` made, which asyncssh's types forget

    async def _watch(self, channel: Channel, member: Member) -> None:
        await channel.wait_closed()
        self._open.discard(channel)
        self._ended(member)

    def _ended(self, member: Member) -> None:
        member.channels -= 1
        self._on_closed(member)

    def _spawn(self, work: Any) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


class CarriesChannels(Protocol):
    """A pool, as far as this module needs it."""

    @property
    def direct(self) -> DirectChannels:
        """Its channels."""


class Tunnel:
    """Connections through the link that is up. `asyncssh.connect(tunnel=…)` takes it too, for an SSH connection."""

    def __init__(self, ready: Callable[[], Awaitable[CarriesChannels]]) -> None:
        """`ready` gives the pool that is up, waiting a moment for one."""
        self._ready = ready

    async def open(self, host: str, port: int) -> DirectStream:
        """As `Link.open_connection`."""
        _, stream = await self.create_connection(DirectStream, host, port)
        return stream

    async def create_connection(
        self, session_factory: Callable[[], _S], remote_host: str, remote_port: int
    ) -> tuple[Channel, _S]:
        """As `asyncssh.SSHClientConnection.create_connection`, with the errors of `Link.open_connection`."""
        while True:
            pool = await self._ready()
            try:
                return await pool.direct.connect(session_factory, remote_host, remote_port)
            except NoConnection:
                # The pool learns of it in a moment.
                await asyncio.sleep(0)

    def close(self) -> None:
        """Nothing: the link stays what it is."""

    async def wait_closed(self) -> None:
        """Nothing to wait for."""


def _refused(host: str, port: int, error: asyncssh.ChannelOpenError) -> Exception:
    place = place_of(host, port)
    if error.code == asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED:
        return ForwardingRefused(
            f"The host's SSH server does not let connections to {place} through: {quoted(error.reason)}."
        )
    return NotListening(f"The host can't connect to {place}: {quoted(error.reason)}.")


def _close_unwanted(opening: asyncio.Task[Any]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result()[0].abort()
