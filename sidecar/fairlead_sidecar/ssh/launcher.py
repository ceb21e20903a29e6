"""A shell that waits on the host for one command.

Opening a channel and starting a shell takes two round trips and the account's start-up files. A launcher does both
ahead of need: it reports its process group and waits for one command on its standard input; that then takes one
round trip. It ends with the command, whose exit code, signal and output come back unchanged.
"""

import asyncio
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass

import asyncssh

from fairlead_sidecar.errors import InvalidRequest, ProtocolFailure
from fairlead_sidecar.ssh.result import Sink, Stream

MARKER = "FAIRLEAD_CALL_ID"
"""Environment variable by which every process of a command can be found, also those that left its process group."""
MAX_COMMAND_BYTES = 120_000
"""Linux takes at most 128 KiB in one argument (MAX_ARG_STRLEN in execve(2)), and the login shell gets it as one."""
WINDOW = 1024 * 1024
"""Bytes of output that may be under way."""
MAX_NOISE = 8192
BACKGROUND_SECONDS = 0.5
"""How often to look, after the command has exited, whether what holds its output open still writes."""
_TRICKLE_BYTES = 8192
_FLOOD_BYTES = 8 * 1024 * 1024

# What the login shell is told to run; it may be any shell, so: one line, no backslashes outside printf's formats, no
# exclamation mark, no single quote inside. In order:
# - the marker; SHLVL, so that a bash that runs the command does not read .bashrc a second time;
# - boot id and /proc/PID/stat, by which the process is recognised later even if its number was given to another;
# - the line that says it is ready, on both streams: start-up files may have written something before it;
# - the command's lines: `+` before those that another one follows, `.` before the last. An incomplete command
#   (the connection broke) is never run;
# - the line that says that the command was taken;
# - the login shell runs it, as sshd would have, unless that is no POSIX shell.
_SCRIPT = (
    "export {marker}={nonce} SHLVL=2; "
    "IFS= read -r fl_boot 2>/dev/null </proc/sys/kernel/random/boot_id; "
    "IFS= read -r fl_stat 2>/dev/null </proc/$$/stat; "
    'printf "%s\\n" {nonce} >&2; printf "%s\\n" "{nonce} $$ $fl_boot $fl_stat"; '
    "fl_command=; fl_newline=; "
    "while :; do IFS= read -r fl_line || exit 255; "
    "case $fl_line in .*) fl_command=$fl_command${{fl_line#.}}; break;; esac; "
    'if [ -z "$fl_newline" ]; then fl_newline=$(printf "\\n."); fl_newline=${{fl_newline%.}}; fi; '
    "fl_command=$fl_command${{fl_line#+}}$fl_newline; done; "
    "case ${{SHELL##*/}} in bash|zsh|ksh|ksh93|mksh|dash|ash|sh) fl_shell=$SHELL;; *) fl_shell=/bin/sh;; esac; "
    'printf "%s\\n" {nonce}; exec "$fl_shell" -c "$fl_command" </dev/null'
)

_BOOT_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class RemoteProcess:
    """The process group of one command, recognisable across connections."""

    group: int
    """Process group id, which is also the id of its first process."""
    nonce: str
    """Value of the marker in the environment of all its processes."""
    boot_id: str
    """Empty where the host has no /proc."""
    start_time: str
    """Clock ticks from boot to the start of the first process (proc(5), field 22); empty where unknown."""


class Launcher(asyncssh.SSHClientSession[bytes]):
    """One channel: first the waiting shell, then the command."""

    def __init__(self, on_closed: Callable[["Launcher"], None]) -> None:
        self._on_closed = on_closed
        self._nonce = secrets.token_hex(16)
        self._ready_line = re.compile(rb"%b (\d{1,10} \S* [^\n]*)\n" % self._nonce.encode())
        self._channel: asyncssh.SSHClientChannel[bytes] | None = None
        self._early: dict[Stream, bytearray] = {"stdout": bytearray(), "stderr": bytearray()}
        self._passing: dict[Stream, bool] = {"stdout": False, "stderr": False}
        self._sink: Sink | None = None
        self._received = 0
        self.active_at = 0.0
        """When the command was sent or last wrote something, on the event loop's clock."""
        self.process: RemoteProcess | None = None
        """Known as soon as the shell waits."""
        self.ready = asyncio.Event()
        """The shell waits for a command, or the channel has ended without one (then `process` is None)."""
        self.sent = False
        """Whether a command went out: from here on it may run."""
        self.taken = False
        """Whether the shell confirmed the whole command."""
        self.ended = asyncio.Event()
        """The command has exited and its output is complete, or the channel is gone."""
        self.exit_code: int | None = None
        self.signal: str | None = None
        self.closed = False

    @property
    def command_line(self) -> str:
        """What sshd is asked to execute."""
        return f"exec sh -c '{_SCRIPT.format(marker=MARKER, nonce=self._nonce)}'"

    @property
    def opened(self) -> bool:
        """Whether the server gave a channel; `on_closed` is called for it when it ends."""
        return self._channel is not None

    @property
    def exited(self) -> bool:
        """Whether the command's end was reported."""
        return self.exit_code is not None or self.signal is not None

    @property
    def noise(self) -> str:
        """What came instead of the ready line, for a message."""
        return b" ".join(self._early.values()).decode(errors="replace").strip()[:300]

    def begin(self, command: bytes, sink: Sink) -> None:
        """Send the command; its output goes to `sink` from now on."""
        assert self._channel is not None  # noqa: S101 - a launcher that is ready has a channel
        self._sink = sink
        self.active_at = asyncio.get_running_loop().time()
        *lines, last = command.split(b"\n")
        try:
            self._channel.write(b"".join(b"+%b\n" % line for line in lines) + b".%b\n" % last)
            self._channel.write_eof()
        except OSError:
            # The shell has just ended by itself, e.g. at an idle limit.
            self.ended.set()
        else:
            self.sent = True

    def close(self) -> None:
        """End the channel; a waiting shell then exits, a running command does not (it has to be killed)."""
        if self._channel and not self.closed:
            self._channel.close()

    # --- called by asyncssh ---

    def connection_made(self, chan: asyncssh.SSHClientChannel[bytes]) -> None:
        """The channel is open."""
        self._channel = chan

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
        self.signal = signal
        self._await_output()

    def eof_received(self) -> bool:
        """All output is there."""
        if self.exited:
            self.ended.set()
        return False

    def connection_lost(self, _exc: Exception | None) -> None:
        """The channel is gone, in order or with its connection."""
        self.closed = True
        self.ready.set()
        self.ended.set()
        self._on_closed(self)

    # --- inside ---

    def _own_lines(self, stream: Stream, data: bytes) -> bytes:
        """Consume the launcher's lines and whatever stands before them; return what follows the last."""
        early = self._early[stream]
        early += data
        if stream == "stdout" and self.process is None:
            ready = self._ready_line.search(early)
            if ready:
                self.process = _parse_ready_line(self._nonce, ready[1].decode(errors="replace"))
                self.ready.set()
                del early[: ready.end()]
        if stream == "stderr" or self.process is not None:
            _, found, rest = early.partition(f"{self._nonce}\n".encode())
            if found:
                self._passing[stream] = True
                self.taken = self.taken or stream == "stdout"
                early.clear()
                return bytes(rest)
        # Keep a possible beginning of the line, and enough of the noise for a message.
        del early[MAX_NOISE : max(MAX_NOISE, len(early) - MAX_NOISE)]
        return b""

    def _await_output(self) -> None:
        asyncio.get_running_loop().call_later(
            BACKGROUND_SECONDS, self._check_background, self._received, self._received, 1
        )

    def _check_background(self, at_exit: int, before: int, rounds: int) -> None:
        """Decide whether what still holds the output open is worth waiting for.

        The command's own last output may still be on its way, on a slow link for a while; a process left in the
        background is not waited for.
        """
        if self.ended.is_set():
            return
        fresh = self._received - before
        if fresh == 0 or (rounds > 1 and fresh < _TRICKLE_BYTES) or self._received - at_exit > _FLOOD_BYTES:
            self.ended.set()
            self.close()
            return
        asyncio.get_running_loop().call_later(
            BACKGROUND_SECONDS, self._check_background, at_exit, self._received, rounds + 1
        )


def encode_command(command: str) -> bytes:
    """Check a command line and give its bytes.

    Raises:
        InvalidRequest: It is empty, too long, or holds a NUL.
    """
    if not command.strip():
        raise InvalidRequest("The command is empty.")
    if "\0" in command:
        raise InvalidRequest("The command holds a NUL character, which no shell can run.")
    # Undecodable bytes of a file name come as surrogates, as everywhere in Python.
    data = command.encode("utf-8", "surrogateescape")
    if len(data) > MAX_COMMAND_BYTES:
        raise InvalidRequest(
            f"The command has {len(data)} bytes, more than the {MAX_COMMAND_BYTES} that a shell takes.",
            hint="Write it to a file on the host first and run that.",
        )
    return data


def not_a_shell(launcher: Launcher) -> ProtocolFailure:
    """The account ran something else, or nothing, instead of a shell."""
    answer = f" It answered: {launcher.noise!r}." if launcher.noise else ""
    return ProtocolFailure(
        f"The account runs no commands.{answer}",
        hint="Give the account a login shell and check for a forced command (authorized_keys, ForceCommand).",
    )


def _parse_ready_line(nonce: str, line: str) -> RemoteProcess:
    group, boot_id, stat = line.split(" ", 2)
    # The process name in the second field may hold spaces, so count from its closing parenthesis.
    fields = stat.rpartition(")")[2].split()
    start_time = fields[19] if len(fields) > 19 else ""
    # The kill script is made from these, so what a host says here must look like what it is.
    return RemoteProcess(
        int(group),
        nonce,
        boot_id if _BOOT_ID.fullmatch(boot_id) else "",
        start_time if start_time.isascii() and start_time.isdigit() else "",
    )
