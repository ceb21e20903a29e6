"""A shell that waits on the host for one command.

Opening a channel and starting a shell takes two round trips and the account's start-up files. A launcher does both
ahead of need: it reports its process group and waits for one command on its standard input; that then takes one
round trip. It ends with the command, whose exit code, signal and output come back unchanged. Where nothing waits, the
command is sent together with the request that starts the shell.
"""

import asyncio
import contextlib
import re
from collections.abc import Callable
from typing import Protocol

import asyncssh

from fairlead_sidecar.ssh.lean import LateCommand, LeanConnection
from fairlead_sidecar.ssh.marker import MARKER, RemoteProcess
from fairlead_sidecar.ssh.program import WORDS, Program, in_lines, in_size, prompt, say, sudo_ready, waiting_loop
from fairlead_sidecar.ssh.result import Sink, Stream
from fairlead_sidecar.ssh.shells import LoginShell

WINDOW = 1024 * 1024
"""Bytes of output that may be under way."""
MAX_NOISE = 8192
BACKGROUND_SECONDS = 0.5
"""How often to look, after the command has exited, whether what holds its output open still writes."""
_READY = b" ready "
_TAKEN = b" taken "
_IN_REQUEST = 8192
_TRICKLE_BYTES = 8192
_SIGNAL = re.compile(r"[A-Za-z0-9@._-]{1,64}")
_FLOOD_BYTES = 8 * 1024 * 1024

# What the login shell is told to run: no tracing, which start-up files may have begun and which would show variables
# and pass for the launcher's own lines; the marker; SHLVL, so that a bash that runs the command does not read .bashrc a
# second time; /proc/PID/stat, by which the process is recognised later even if its number was given to another; the
# line that says it is ready (start-up files may have written something before it). An incomplete text (the connection
# broke) is never run.
_BEGIN = f"set +vx; export {MARKER}=@call@.$$.$PPID SHLVL=2; {WORDS}; IFS= read -r fl_stat 2>/dev/null </proc/$$/stat; "
# `read -N` takes what is there in one system call, where `read` takes byte by byte. It counts characters.
_BASH_LOOP = (
    "while IFS= read -rN 8 fl_size; do case $fl_size in "
    'u*) IFS= LC_ALL=C read -rN "${fl_size#u}" fl_text || exit 255;; '
    '*) IFS= read -rN "$fl_size" fl_text || exit 255;; esac; eval "$fl_text"; done; exit 255'
)
_BASH_AT_ONCE = 'IFS= @locale@read -rN @size@ fl_text && eval "$fl_text"; exit 255'


class Holder(Protocol):
    """Who follows a command whose input stays open."""

    @property
    def paused(self) -> bool:
        """Whether output waits for its reader."""

    def taken(self) -> None:
        """The shell becomes the command now."""

    def eof_received(self) -> None:
        """All output is there."""

    def pause_writing(self) -> None:
        """Too much input waits to be sent."""

    def resume_writing(self) -> None:
        """There is room again."""


class Launcher(LateCommand):
    """One channel: first the waiting shell, then the command."""

    holder: Holder | None = None
    _asked = False
    """Whether it is decided what the request for the shell says."""
    _requested = False
    """Whether the shell was asked for, so that data may be sent."""
    _let_in = False
    """Whether sudo let its shell start: what is written from then on is the command's, whatever it looks like."""
    _eof = False

    def __init__(
        self,
        call_id: str,
        shell: LoginShell | None,
        *,
        on_open: Callable[["Launcher"], None],
        on_closed: Callable[["Launcher"], None],
        boot_id: str = "",
        environment: str = "",
        public: bool = False,
        ordered: bool = False,
    ) -> None:
        """Prepare it.

        Args:
            call_id: Beginning of the marker.
            shell: The account's; None while it is not known.
            on_open: Called when the channel is open; may call `begin`.
            on_closed: Called when the channel that was opened has ended.
            boot_id: The host's.
            environment: Shell text that sets variables, for the waiting shell.
            public: Whether that may show in a process list.
            ordered: Whether nothing comes on stderr before the command's own, and that never before what was written
                to stdout earlier.
        """
        self.call_id = call_id
        self.shell = shell
        self.nonce = call_id.rpartition(".")[2]
        self._nonce_bytes = self.nonce.encode()
        self._on_open = on_open
        self._on_closed = on_closed
        self._boot_id = boot_id
        self._environment = environment.encode("utf-8", "surrogateescape")
        self._public = public and shell is not None and shell.waits
        self.ordered = ordered
        self._bash = shell is not None and shell.is_bash
        self._frame = in_size if self._bash else in_lines
        # With the command; what a shell reads byte by byte goes ahead of need.
        self._unsent = self._frame(self._environment) if environment and not self._bash else b""
        self._at_once: bytes | None = None
        """What the shell is told, where the command is known before the shell is asked for."""
        self._in_request = False
        """Whether that stands in the request itself."""
        self._channel: asyncssh.SSHClientChannel[bytes] | None = None
        self._early: dict[Stream, bytearray] = {"stdout": bytearray(), "stderr": bytearray()}
        self._passing: dict[Stream, bool] = {"stdout": False, "stderr": False}
        self._program: Program | None = None
        self._passwords = 0
        self._sink: Sink | None = None
        self._received = 0
        self.active_at = 0.0
        """When the command was sent or last wrote something, on the event loop's clock."""
        self.process: RemoteProcess | None = None
        """Known as soon as the shell waits."""
        self.ready = asyncio.Event()
        """The shell has started, or the channel has ended without (then `process` is None)."""
        self.sent = False
        """Whether a command went out: from here on it may run."""
        self.taken = False
        """Whether the shell confirmed the whole command."""
        self.ended = asyncio.Event()
        """The command has exited and its output is complete, or the channel is gone."""
        self.exit_code: int | None = None
        self.signal: str | None = None
        self.closed = False
        self.abandoned = False
        """Whether we closed the channel."""
        self.refused = False
        """Whether the server gave a channel but ran nothing on it."""
        # Watches what holds the output open after the command's end.
        self._look: asyncio.TimerHandle | asyncio.Task[None] | None = None

    @property
    def command_line(self) -> str:
        """What sshd is asked to execute."""
        if self._at_once is None:
            script = say(self.nonce, "ready") + (_BASH_LOOP if self._bash else waiting_loop())
        elif self._in_request:
            script = self._at_once.decode()
        elif self._bash:
            locale = "" if self._at_once.isascii() else "LC_ALL=C "
            script = _BASH_AT_ONCE.replace("@locale@", locale).replace("@size@", str(len(self._at_once)))
        else:
            script = waiting_loop()
        # Only what is our own: a command may hold these words too.
        script = _BEGIN.replace("@call@", self.call_id) + script
        # Any shell understands this: one line, no backslash outside printf's formats, no quote inside.
        return script if self.shell is not None and self.shell.waits else f"exec sh -c '{script}'"

    @property
    def opened(self) -> bool:
        """Whether the server gave a channel; `on_closed` is called for it when it ends."""
        return self._channel is not None

    @property
    def channel(self) -> asyncssh.SSHClientChannel[bytes] | None:
        """What the server gave."""
        return self._channel

    @property
    def exited(self) -> bool:
        """Whether the command's end was reported."""
        return self.exit_code is not None or self.signal is not None

    @property
    def noise(self) -> str:
        """What came before the command's own output, for a message."""
        return b" ".join(self._early.values()).decode(errors="replace").strip()[:300]

    @property
    def silent(self) -> bool:
        """Whether the start-up files wrote nothing to stderr."""
        return self._passing["stderr"] and not self._early["stderr"]

    @property
    def complaint(self) -> str:
        """What the shell or sudo wrote to stderr instead of running the command."""
        text = self._early["stderr"].replace(prompt(self.nonce), b"").decode(errors="replace")
        return " ".join(line.strip() for line in text.splitlines()[-4:] if line.strip())[:500]

    def begin(self, program: Program, sink: Sink) -> None:
        """Send a command; its output goes to `sink` from now on."""
        self._sink = sink
        self._program = program
        self.active_at = asyncio.get_running_loop().time()
        text = self._environment + program.text
        if not self._asked:
            # A server takes no input before the shell runs, which costs a round trip more.
            self._at_once, self._in_request = text, program.public and self._fits_request(text)
            self._unsent = b"" if self._in_request else text if self._bash else self._frame(text)
        else:
            self._unsent += self._frame(text if self._bash else program.text)
        if program.password is None:
            self._unsent += (program.inner or b"") + program.stdin
        if self._requested:
            self._send()

    def close(self) -> None:
        """End the channel; a waiting shell then exits, a running command does not (it has to be killed)."""
        self.abandoned = True
        if self._channel and not self.closed:
            self._channel.close()

    # --- called by asyncssh ---

    def connection_made(self, chan: asyncssh.SSHClientChannel[bytes]) -> None:
        """The channel is open; right after this the shell is asked for."""
        self._channel = chan
        self._on_open(self)
        self._asked = True
        asyncio.get_running_loop().call_soon(self._send)

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        """Output, or one of the launcher's own lines before it."""
        stream: Stream = "stderr" if datatype == asyncssh.EXTENDED_DATA_STDERR else "stdout"
        if not self._passing[stream]:
            data = self._own_lines(stream, data)
        if data and self._sink:
            self._received += len(data)
            self.active_at = asyncio.get_running_loop().time()
            self._sink(stream, data)

    def exit_status_received(self, status: int) -> None:
        """The command exited."""
        self.exit_code = status
        self._await_output()

    def exit_signal_received(self, signal: str, _core_dumped: bool, _msg: str, _lang: str) -> None:
        """The command died of a signal."""
        # It is shown as it comes, so it has to look like one.
        self.signal = signal if _SIGNAL.fullmatch(signal) else "unknown"
        self._await_output()

    def eof_received(self) -> bool:
        """All output is there."""
        self._eof = True
        if self.holder is not None:
            self.holder.eof_received()
        if self.exited:
            self.ended.set()
        # The server closes the channel soon; an end of our input would be one packet more.
        return True

    def pause_writing(self) -> None:
        """Too much input waits to be sent."""
        if self.holder is not None:
            self.holder.pause_writing()

    def resume_writing(self) -> None:
        """There is room again."""
        if self.holder is not None:
            self.holder.resume_writing()

    def connection_lost(self, _exc: Exception | None) -> None:
        """The channel is gone, in order or with its connection."""
        self.closed = True
        self.ready.set()
        self.ended.set()
        if self._look is not None:
            self._look.cancel()
        self._on_closed(self)

    # --- inside ---

    def _fits_request(self, text: bytes) -> bool:
        """Whether the shell may be told this in the request, where it shows in a process list."""
        if not self._public or len(text) > _IN_REQUEST:
            return False
        try:
            # A request is UTF-8, which a command that names an old file may not be.
            text.decode()
        except UnicodeDecodeError:
            return False
        return True

    def _send(self) -> None:
        """Send what is due: the command with its input, or variables ahead of it."""
        self._requested = True
        if self._channel is None or self.closed:
            return
        data, self._unsent = self._unsent, b""
        # asyncssh sends as much as the host's window takes, and the rest as the command reads.
        try:
            if data:
                self._channel.write(data)
            if self._program is not None:
                if self._program.stdin and not self._program.stdin_open and self._program.password is None:
                    self._channel.write_eof()
                self.sent = True
        except OSError:
            # The shell has just ended by itself, e.g. at an idle limit.
            self.ended.set()

    def _own_lines(self, stream: Stream, data: bytes) -> bytes:
        """Consume the launcher's lines and whatever stands before them; return what follows the last."""
        early = self._early[stream]
        early += data
        if self._program is not None and self._program.password is not None:
            self._talk_to_sudo(self._program, self._program.password)
        for line in (_READY, _TAKEN) if stream == "stdout" else (_TAKEN,):
            found = self._line(early, self._nonce_bytes + line)
            if found is None:
                continue
            start, end = found
            if stream == "stdout" and self.process is None:
                self.process = _process(self.call_id, self._boot_id, bytes(early[start + len(self.nonce) : end]))
                self.ready.set()
            if line is _TAKEN:
                return self._take(stream, start, end)
            del early[start : end + 1]
        # Keep a possible beginning of the line, and enough of the noise for a message.
        del early[MAX_NOISE : max(MAX_NOISE, len(early) - MAX_NOISE)]
        return b""

    @staticmethod
    def _line(early: bytearray, beginning: bytes) -> tuple[int, int] | None:
        start = early.find(beginning)
        end = early.find(b"\n", start) if start >= 0 else -1
        return (start, end) if end >= 0 else None

    def _take(self, stream: Stream, start: int, end: int) -> bytes:
        """What follows is the command's own; what stood before is kept for a message."""
        early = self._early[stream]
        rest = bytes(early[end + 1 :])
        del early[start:]
        self._passing[stream] = True
        if stream == "stdout":
            self.taken = True
            if self.holder is not None:
                self.holder.taken()
            if self._program is not None and not self._program.both:
                self._passing["stderr"] = True
        return rest

    def _talk_to_sudo(self, program: Program, password: bytes) -> None:
        """Give the password when it is asked for, once; the command once, when sudo has let its shell start."""
        if self._let_in:
            return
        assert self._channel is not None  # noqa: S101 - data came from it
        asked = self._early["stderr"].count(prompt(self.nonce))
        answer = sudo_ready(self.nonce)
        try:
            if answer in self._early["stdout"]:
                self._let_in = True
                self._early["stdout"][:] = self._early["stdout"].partition(answer)[2]
                self._channel.write((program.inner or b"") + program.stdin)
                if program.stdin and not program.stdin_open:
                    self._channel.write_eof()
            elif asked > self._passwords:
                self._passwords = asked
                if asked == 1:
                    self._channel.write(password + b"\n")
                else:
                    # It was wrong. A second try with the same could lock the account.
                    self._channel.write_eof()
        except OSError:
            # The channel is going down; its own event says so.
            return

    def _await_output(self) -> None:
        if self._eof:
            self.ended.set()
            return
        # Nearly always the end of the output follows at once, so no task is made for it yet.
        self._look = asyncio.get_running_loop().call_later(BACKGROUND_SECONDS, self._begin_watch, self._received)

    def _begin_watch(self, at_exit: int) -> None:
        if not self.ended.is_set():
            self._look = asyncio.create_task(self._watch_background(at_exit))

    async def _watch_background(self, at_exit: int) -> None:
        """Wait for output as long as that is worth it.

        The command's own last output may still be on its way, on a slow link for a while; a process left in the
        background is not waited for.
        """
        before, rounds = at_exit, 1
        while True:
            if self._received == before:
                # Silence may mean no more than that one of both sides got no processor.
                await self._settled()
            at_exit, rounds = self._judge(at_exit, before, rounds)
            if self.ended.is_set():
                return
            before, rounds = self._received, rounds + 1
            await asyncio.sleep(BACKGROUND_SECONDS)

    async def _settled(self) -> None:
        connection = self._channel.get_connection() if self._channel is not None else None
        with contextlib.suppress(TimeoutError, OSError, asyncssh.Error):
            if isinstance(connection, LeanConnection):
                await connection.settle()

    def _judge(self, at_exit: int, before: int, rounds: int) -> tuple[int, int]:
        """End the output, or say from where and in which round to go on."""
        if self.ended.is_set():
            return at_exit, rounds
        fresh = self._received - before
        if self.holder is not None and self.holder.paused:
            fresh, at_exit, rounds = 1, self._received, 0
        if fresh == 0 or (rounds > 1 and fresh < _TRICKLE_BYTES) or self._received - at_exit > _FLOOD_BYTES:
            self.ended.set()
            self.close()
        return at_exit, rounds


def _process(call_id: str, boot_id: str, line: bytes) -> RemoteProcess:
    """From ` ready PID STAT`."""
    _, _, group, *stat = line.split(b" ", 3)
    # The process name in the second field may hold spaces, so count from its closing parenthesis.
    fields = b"".join(stat).decode(errors="replace").rpartition(")")[2].split()
    start_time = fields[19] if len(fields) > 19 else ""
    # The kill script is made from these, so what a host says here must look like what it is.
    return RemoteProcess(
        int(group) if group.isdigit() and len(group) <= 10 else None,
        call_id,
        boot_id,
        start_time if start_time.isascii() and start_time.isdigit() else "",
    )
