"""asyncssh's connection, with half the packets and far fewer system calls.

A command is four packets of ours: a session, a request, perhaps input, the session's end. asyncssh sends an empty
packet before each and writes every one on its own, so that a host's sshd wakes up eight times.
"""

import asyncio
from abc import ABC, abstractmethod
from typing import AnyStr

import asyncssh
from asyncssh.channel import SSHChannel
from asyncssh.constants import MSG_IGNORE
from asyncssh.logging import SSHLogger
from asyncssh.packet import SSHPacketLogger, String

_ANSWER_SECONDS = 10.0


class _Unlogged(SSHPacketLogger):
    """Takes what asyncssh says of each packet, in words that it makes even where nobody logs them."""

    def log_sent_packet(self, pkttype: int, pktid: int | None, packet: object, note: str = "") -> None:
        """See the base class."""


_UNLOGGED = _Unlogged()


class _Silent(SSHLogger):
    """Says nothing of channels: what happens on them, commands among it, is nobody's to log."""

    def log(self, level: int, msg: object, *args: object, **kwargs: object) -> None:
        """See the base class."""


_SILENT = _Silent()


class LateCommand(asyncssh.SSHClientSession[bytes], ABC):
    """A session that decides only when it is open what the server is asked to execute."""

    WAITS = "exit 255"
    """To be given to `create_session` as the command; it is never sent."""

    @property
    @abstractmethod
    def command_line(self) -> str:
        """What the server is asked to execute; read once, right after `connection_made`."""


class _LeanChannel(asyncssh.SSHClientChannel[bytes]):
    logger = _SILENT

    def log_received_packet(self, pkttype: int, pktid: int | None, packet: object, note: str = "") -> None:
        """See the base class."""

    async def _make_request(self, request: bytes, *args: bytes) -> bool | None:
        if request == b"exec" and isinstance(self._session, LateCommand):
            args = (String(self._session.command_line),)
        return await super()._make_request(request, *args)


class _LeanTCPChannel(asyncssh.SSHTCPChannel[bytes]):
    logger = _SILENT

    def log_received_packet(self, pkttype: int, pktid: int | None, packet: object, note: str = "") -> None:
        """See the base class."""


_LEAN: dict[type, type] = {asyncssh.SSHClientChannel: _LeanChannel, asyncssh.SSHTCPChannel: _LeanTCPChannel}


class LeanConnection(asyncssh.SSHClientConnection):
    """Sends no empty packets where they protect nothing, and what belongs together in one piece.

    Not made, but put in the place of a connection's class: asyncssh lets nobody choose it. The hooks it overrides are
    private, as are those of `access.resumable`.
    """

    _unsent: list[bytes] | None = None
    """Packets of this turn of the event loop; None: there are none, and nothing will write them."""

    @classmethod
    def improve(cls, connection: asyncssh.SSHClientConnection) -> None:
        """Make a connection that was just made a lean one."""
        connection.__class__ = cls

    def send_packet(self, pkttype: int, *args: bytes, handler: SSHPacketLogger | None = None) -> None:  # noqa: ARG002 - it only logs
        """See the base class."""
        # They hide what the next block is encrypted with, which only CBC gives away (RFC 4251, section 9.3.1).
        if pkttype != MSG_IGNORE or str(self.get_extra_info("send_cipher")).endswith("-cbc"):
            super().send_packet(pkttype, *args, handler=_UNLOGGED)

    def add_channel(self, chan: SSHChannel[AnyStr]) -> int:
        """See the base class."""
        # It is just being made, in a place where nobody can choose its class either.
        chan.__class__ = _LEAN.get(type(chan), type(chan))
        return super().add_channel(chan)

    def log_received_packet(self, pkttype: int, pktid: int | None, packet: object, note: str = "") -> None:
        """See the base class."""

    async def settle(self) -> None:
        """Return once the server has done, and we have received, what it had to do before.

        It answers in order, but what a program has written it may fetch only after it has taken a question: so a second
        question is answered behind that.

        Raises:
            TimeoutError: It does not answer.
        """
        async with asyncio.timeout(_ANSWER_SECONDS):
            for _ in range(2):
                await self._make_global_request(b"keepalive@openssh.com")

    def _send(self, data: bytes) -> None:
        if self._unsent is not None:
            self._unsent.append(data)
        elif self._transport is not None:
            self._unsent = [data]
            asyncio.get_running_loop().call_soon(self._write, self._transport)

    def _write(self, transport: asyncio.Transport) -> None:
        unsent, self._unsent = self._unsent or [], None
        try:
            transport.write(b"".join(unsent))
        except ConnectionError:
            # It is going down; its own event says so.
            return
