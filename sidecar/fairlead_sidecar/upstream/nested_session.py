"""A session on an SSH server that speaks MCP on its standard input and output, as `stdio.StdioWire` takes it."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

import asyncssh

from fairlead_sidecar.ssh.flow import Inflow, Outflow
from fairlead_sidecar.ssh.result import CommandEnd

_PIECE = 64 * 1024


class NestedSession(asyncssh.SSHClientSession[bytes]):
    """Bytes both ways, with back-pressure."""

    environment_known = True
    """The server chooses what it runs, and with which variables."""

    def __init__(self, on_stderr: Callable[[bytes], None], lost: Callable[[], Exception | None]) -> None:
        """`on_stderr` gets the standard error; `lost` gives the error where the link below broke."""
        self._on_stderr = on_stderr
        self._lost = lost
        self._channel: asyncssh.SSHClientChannel[bytes] | None = None
        self._in = Inflow(pause=self._pause, resume=self._resume)
        self._out = Outflow()
        self._open = True
        self._closed = asyncio.Event()
        self._began = time.monotonic()

    async def read(self) -> bytes:
        """The next bytes; empty at the end.

        Raises:
            ConnectionLost: The link broke.
        """
        return await self._in.read()

    async def write(self, data: bytes) -> None:
        """Send input; returns when little of it is left to be taken. One writer at a time.

        Raises:
            BrokenPipeError: It takes no more.
        """
        view = memoryview(data)
        for start in range(0, len(view), _PIECE):
            if not self._open or self._channel is None:
                raise BrokenPipeError
            self._channel.write(bytes(view[start : start + _PIECE]))
            await self._out.drain()

    def close_stdin(self) -> None:
        """End its input."""
        if self._open and self._channel is not None:
            self._open = False
            self._out.resume()
            with suppress(OSError):
                self._channel.write_eof()

    async def wait(self) -> CommandEnd:
        """How it ended, once it has; neither exit code nor signal: its connection ended.

        Raises:
            ConnectionLost: The link broke.
        """
        await self._closed.wait()
        if (lost := self._lost()) is not None:
            raise lost
        assert self._channel is not None  # noqa: S101 - what is closed was open
        code, signal = self._channel.get_exit_status(), self._channel.get_exit_signal()
        return CommandEnd(None if signal else code, signal[0] if signal else None, time.monotonic() - self._began, None)

    # --- called by asyncssh ---

    def connection_made(self, chan: asyncssh.SSHClientChannel[bytes]) -> None:
        """The session is there."""
        self._channel = chan

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        """Output came."""
        if datatype == asyncssh.EXTENDED_DATA_STDERR:
            self._on_stderr(data)
        else:
            self._in.feed(data)

    def eof_received(self) -> bool:
        """No more output will come."""
        self._in.end()
        return True

    def pause_writing(self) -> None:
        """Too much waits to be sent."""
        self._out.pause()

    def resume_writing(self) -> None:
        """There is room again."""
        self._out.resume()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - `wait` finds out why
        """The session has ended."""
        self._open = False
        self._in.end(self._lost())
        self._out.resume()
        self._closed.set()

    def _pause(self) -> None:
        if self._channel is not None:
            self._channel.pause_reading()

    def _resume(self) -> None:
        if self._channel is not None:
            self._channel.resume_reading()
