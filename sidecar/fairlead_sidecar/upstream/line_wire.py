"""Messages as lines: a wire over what a server reads and writes as bytes.

Its ends do their work in the task that reads or sends, so a message takes no further step, and nothing is read ahead.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Protocol, Self

import anyio
from mcp.shared._stream_protocols import ReadStream, WriteStream
from mcp.shared.dispatcher import coerce_request_id
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCMessage, JSONRPCRequest, RequestId

from fairlead_sidecar.errors import LinkError
from fairlead_sidecar.ssh.failures import quoted
from fairlead_sidecar.ssh.result import CommandEnd
from fairlead_sidecar.tools.redact import Redactor
from fairlead_sidecar.upstream.errors import CommandNotFound, Exited, LinkDown, ProtocolError, UpstreamError
from fairlead_sidecar.upstream.lines import Lines
from fairlead_sidecar.upstream.messages import MAX_MESSAGE_BYTES, Answer, cancellation, is_answer, parse, render
from fairlead_sidecar.upstream.stderr import StandardError

MAX_UNREADABLE = 1000
"""Lines in a row that are no messages, after which it is given up."""
_END_SECONDS = 1.0
"""How long the exit code may come after the last output."""
_AT_ONCE = 64 * 1024
"""Bytes of a message that are handed over in one step, which can't be cancelled halfway."""
_SHOWN_BYTES = 16 * 1024
"""Far more than is shown: a secret in it must be whole to be masked."""
_CANCEL_SECONDS = 5.0
"""For a server to be told that a request was cancelled."""
_NOT_FOUND, _NOT_EXECUTABLE = 127, 126

Item = SessionMessage | Exception


class Pipe(Protocol):
    """Bytes to and from a server, as a `Held` command gives them."""

    @property
    def environment_known(self) -> bool:
        """See `Held.environment_known`."""

    async def read(self) -> bytes:
        """See `Held.read`."""

    async def write(self, data: bytes) -> None:
        """See `Held.write`."""

    def close_stdin(self) -> None:
        """See `Held.close_stdin`."""

    async def wait(self) -> CommandEnd:
        """See `Held.wait`."""


class StdioWire:
    """The messages of one server. Nothing is read ahead: a server that floods has to wait for its reader."""

    def __init__(self, command: str, held: Pipe, stderr: StandardError, redactor: Redactor) -> None:
        self.read: ReadStream[Item] = MessageReader(self)
        self.write: WriteStream[SessionMessage] = MessageWriter(held)
        self.held = held
        self._command = command
        self._stderr = stderr
        self._redactor = redactor
        self._fault: UpstreamError | None = None
        self._stray: ProtocolError | None = None
        """The first line that was no message, where none was before."""
        self._spoke = False
        self._unreadable = 0
        self._asked: dict[RequestId, asyncio.Future[Answer]] = {}

    async def ask(
        self,
        request: JSONRPCRequest,
        headers: Mapping[str, str],  # noqa: ARG002 - of HTTP
    ) -> Answer:
        """See `spec.Asking`."""
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._asked[request.id] = answer
        try:
            await self.write.send(SessionMessage(request))
            return await answer
        except asyncio.CancelledError:
            with (
                anyio.move_on_after(_CANCEL_SECONDS, shield=True),
                suppress(anyio.BrokenResourceError, anyio.ClosedResourceError),
            ):
                await self.write.send(SessionMessage(cancellation(request.id)))
            raise
        finally:
            del self._asked[request.id]

    def fault(self) -> UpstreamError | None:
        """Why it ended; before that, what it says instead of MCP."""
        if self._fault is not None:
            return self._fault
        return None if self._spoke else self._stray

    def masked(self, text: str) -> str:
        """See `spec.Wire`."""
        return self._redactor.text(text)

    def message(self, line: bytes | bytearray) -> Item | None:
        """What a line says; None for nothing.

        Raises:
            ProtocolError: There were too many that say nothing.
        """
        # Reading a long line leaves nothing of it.
        start = bytes(line[:_SHOWN_BYTES]).strip()
        if not start and not line.strip():
            return None
        try:
            message = parse(line, self.masked)
        except ProtocolError as error:
            return self._no_message(start, error)
        self._spoke, self._unreadable = True, 0
        return None if self._is_taken(message) else SessionMessage(message)

    def _is_taken(self, message: JSONRPCMessage) -> bool:
        """Give an answer to who has asked here; whether somebody has."""
        if not is_answer(message) or message.id is None:
            return False
        asked = self._asked.get(coerce_request_id(message.id))
        if asked is None:
            return False
        if not asked.done():
            asked.set_result(message)
        return True

    def over_long(self) -> None:
        """A line never ended."""
        self._fault = ProtocolError(
            f"{self._command} sent a message of more than {MAX_MESSAGE_BYTES // 1024**2} MiB.",
            hint="The server must send less at a time; it is started again.",
        )

    def given_up(self, error: ProtocolError) -> None:
        """What it sends is no MCP."""
        self._fault = error

    async def ended(self) -> None:
        """Its standard output has ended: find out why."""
        try:
            async with asyncio.timeout(_END_SECONDS):
                end = await self.held.wait()
        except TimeoutError:
            self._fault = Exited(f"{self._command} closed its standard output.{self._last_words()}")
        except LinkError as error:
            self.lost(error)
        else:
            self._stderr.end()
            self._fault = self._explain(end)

    def lost(self, error: LinkError) -> None:
        """The link broke."""
        self._fault = LinkDown(f"There is no connection to the host: {error.message}")

    def _no_message(self, start: bytes, error: ProtocolError) -> Exception:
        self._unreadable += 1
        if self._unreadable >= MAX_UNREADABLE:
            raise error
        if not self._spoke and self._stray is None:
            text = quoted(self.masked(start.decode(errors="replace")))
            self._stray = ProtocolError(f"{self._command} writes to its standard output what is no message: {text}.")
        # What does not even begin like a message was meant for a person, so no request waits for it.
        return error if start.startswith(b"{") else ValueError(error.message)

    def _explain(self, end: CommandEnd) -> UpstreamError:
        said = self._stderr.last_words
        if not self._spoke and end.exit_code in {_NOT_FOUND, _NOT_EXECUTABLE}:
            return _not_found(self._command, end.exit_code, said, environment_known=self.held.environment_known)
        how = f"the signal {end.signal}" if end.signal else f"exit code {end.exit_code}"
        stray = "" if self._spoke or self._stray is None else f" {self._stray.message}"
        return Exited(f"{self._command} ended with {how}.{self._last_words()}{stray}")

    def _last_words(self) -> str:
        said = self._stderr.last_words
        return f" Its standard error ended with: «{said}»." if said else " It wrote nothing to its standard error."


class MessageReader:
    """The messages from a server, read by who wants the next one; a `ReadStream`."""

    def __init__(self, wire: StdioWire) -> None:
        self._wire = wire
        self._lines = Lines(MAX_MESSAGE_BYTES)
        self._ended = False

    async def receive(self) -> Item:
        """The next message.

        Raises:
            anyio.EndOfStream: There is none any more; the wire's fault says why.
        """
        while not self._ended:
            try:
                line = self._lines.take()
                if line is None:
                    await self._more()
                elif (item := self._wire.message(line)) is not None:
                    return item
            except OverflowError:
                self._ended = True
                self._wire.over_long()
            except ProtocolError as error:
                self._ended = True
                self._wire.given_up(error)
        raise anyio.EndOfStream

    async def aclose(self) -> None:
        """Read no more; the server then waits when it writes."""
        self._ended = True

    def __aiter__(self) -> "MessageReader":
        return self

    async def __anext__(self) -> Item:
        try:
            return await self.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def _more(self) -> None:
        try:
            piece = await self._wire.held.read()
        except LinkError as error:
            self._ended = True
            self._wire.lost(error)
            return
        if piece:
            self._lines.feed(piece)
            return
        await self._wire.ended()
        self._ended = True


class MessageWriter:
    """The messages to a server, written by who sends them; a `WriteStream`."""

    def __init__(self, held: Pipe) -> None:
        self._held = held
        self._turn = asyncio.Lock()
        self._closed = False

    async def send(self, item: SessionMessage, /) -> None:
        """Send a message; returns when little of it is left to be taken.

        Raises:
            anyio.ClosedResourceError: It was closed.
            anyio.BrokenResourceError: The server takes no more.
        """
        if self._closed:
            raise anyio.ClosedResourceError
        data = render(item.message)
        if len(data) < _AT_ONCE:
            await self._write(data + b"\n")
            return
        # One that is cancelled halfway would spoil the next one.
        writing = asyncio.ensure_future(self._write(data, b"\n"))
        # Where nobody waits any more, nobody wants to know how it ended.
        writing.add_done_callback(lambda done: done.cancelled() or done.exception())
        await asyncio.shield(writing)

    async def aclose(self) -> None:
        """Send no more: the server's input ends."""
        self._closed = True
        self._held.close_stdin()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def _write(self, *pieces: bytes) -> None:
        async with self._turn:
            try:
                for piece in pieces:
                    await self._held.write(piece)
            except OSError as error:
                raise anyio.BrokenResourceError from error


def _not_found(command: str, exit_code: int, said: str, *, environment_known: bool) -> CommandNotFound:
    if command in said.rpartition(" | ")[2]:
        what = "command not found" if exit_code == _NOT_FOUND else "the account may not execute it"
        message = f"{command}: {what}. The host says: «{said}»."
    else:
        # Such as a script whose interpreter is not there.
        message = f"{command} did not find what it starts (exit code {exit_code}): «{said}»."
    if environment_known:
        return CommandNotFound(message)
    return CommandNotFound(
        message,
        hint="The account's interactive login shell did not tell its PATH in time: make its start-up files faster, "
        "or give the program's absolute path.",
    )
