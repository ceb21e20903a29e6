"""What a waiting shell is told to do for one command: shell text that goes to its standard input, never into an argv.

The text sets variables, changes the directory, says that the command was taken and becomes the command. Only the
command itself, which `ssh` would show too, stands in an argument list.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from shlex import quote
from types import MappingProxyType

from fairlead_sidecar.errors import CredentialsInvalid, InvalidRequest
from fairlead_sidecar.ssh.marker import MARKER
from fairlead_sidecar.ssh.request import CommandRequest, RunAs, Script
from fairlead_sidecar.ssh.shells import LoginShell

MAX_COMMAND_BYTES = 120_000
"""Linux takes at most 128 KiB in one argument (MAX_ARG_STRLEN in execve(2)), and the login shell gets it as one."""
WORDS = "fl_ready=ready fl_taken=taken"
"""Sets what a waiting shell says. A stranger that start-up files put in its place, and that takes what it reads for a
program of its own, can't say it."""
NO_DIRECTORY = 253
"""Exit code of a shell that could not enter the working directory; it has not taken the command then."""
_FALLBACK = LoginShell("/bin/sh")
_UNKNOWN = LoginShell("")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_KEPT = frozenset({"_", "BASHOPTS", "BASH_VERSINFO", "EUID", "OPTIND", "PPID", "SHELLOPTS", "SHLVL", "UID", "fl_stat"})
"""Variables that a shell does not let others set: some end over it, others go on without."""
# Realpath, which node applies to the script it is given, leads nowhere for a pipe.
_INTERPRETER_OPTIONS = {"node": ("--preserve-symlinks-main",), "nodejs": ("--preserve-symlinks-main",)}


@dataclass(frozen=True, slots=True)
class Program:
    """What is sent for one command."""

    text: bytes
    """For the waiting shell."""
    inner: bytes | None = None
    """For the shell below sudo, framed."""
    password: bytes | None = field(default=None, repr=False)
    """What sudo is given when it asks."""
    stdin: bytes = field(default=b"", repr=False)
    stdin_open: bool = False
    """Whether more input follows."""
    both: bool = True
    """Whether stderr says too where the command's output begins."""
    public: bool = False
    """Whether it holds nothing but the command, which may stand in an argument list."""


def check(request: CommandRequest) -> None:
    """Refuse what no shell and no kernel takes.

    Raises:
        InvalidRequest: Empty, too long, or holding a NUL.
        CredentialsInvalid: The password for sudo can't be one.
    """
    if request.command is not None:
        if not request.command.strip():
            raise InvalidRequest("The command is empty.")
        _check_text(request.command, "command", limit=MAX_COMMAND_BYTES)
    elif request.script is not None:
        if not request.script.interpreter or b"\0" in request.script.content:
            raise InvalidRequest("The script holds a NUL character or has no interpreter.")
        _check_words([*request.script.interpreter, *request.script.arguments])
    else:
        if not request.argv:
            raise InvalidRequest("The command is empty.")
        _check_words(request.argv)
    for name, value in request.environment.items():
        if not _NAME.fullmatch(name):
            raise InvalidRequest(f"{name!r} is no name of an environment variable.")
        if name in _KEPT or name.startswith("FAIRLEAD_"):
            raise InvalidRequest(f"The variable {name} is kept for the shell or for Fairlead.", hint="Rename it.")
        _check_text(value, f"value of {name}", limit=MAX_COMMAND_BYTES)
    if request.working_directory is not None:
        _check_text(request.working_directory, "working directory", limit=4096)
    if request.run_as is not None:
        _check_text(request.run_as.user, "user", limit=256)
        # What follows the first line would reach the shell that sudo starts.
        if request.run_as.password is not None and set("\n\0") & set(request.run_as.password):
            raise CredentialsInvalid("The password for sudo is not one line of text.")


def compose(
    request: CommandRequest,
    shell: LoginShell | None,
    nonce: str,
    variables: Mapping[str, str] = MappingProxyType({}),
    *,
    both: bool = True,
) -> Program:
    """The program for one command.

    Args:
        request: What to run.
        shell: The account's; None while it is not known.
        nonce: Announces that the command was taken.
        variables: What the configuration adds to the environment; here only for sudo, which drops what shells hold.
        both: Whether stderr has to say too where the command's output begins.
    """
    shell = _UNKNOWN if shell is None else shell if shell.runs_posix else _FALLBACK
    if request.run_as is None:
        text = exports(request.environment) + _enter(request.working_directory) + _taken(nonce, both=both)
        text += _run(request, shell)
        public = request.script is None and not request.environment and not request.stdin
        return Program(_encode(text), stdin=request.stdin, stdin_open=request.stdin_open, both=both, public=public)
    inner = exports({**variables, **request.environment}) + _enter(request.working_directory) + _taken(nonce, both=True)
    inner += _run(request, shell, own_shell=False)
    return Program(
        _encode(say(nonce, "ready") + _sudo(request.run_as, nonce)),
        inner=in_lines(_encode(inner)),
        password=None if request.run_as.password is None else _encode(request.run_as.password),
        stdin=request.stdin,
        stdin_open=request.stdin_open,
    )


def exports(variables: Mapping[str, str]) -> str:
    """Shell text that sets variables."""
    if not variables:
        return ""
    return "export " + " ".join(f"{name}={quote(value)}" for name, value in variables.items()) + "; "


def in_lines(text: bytes) -> bytes:
    """Text for a shell that reads it line by line: `+` before lines that another one follows, `.` before the last."""
    *lines, last = text.split(b"\n")
    return b"".join(b"+%b\n" % line for line in lines) + b".%b\n" % last


def in_size(text: bytes) -> bytes:
    """Text for a bash that reads it in one piece: its length in eight characters before it, `u` where not ASCII."""
    return (b"%08d" if text.isascii() else b"u%07d") % len(text) + text


def prompt(nonce: str) -> bytes:
    """What sudo asks for the password with, so that the question is recognised."""
    return f"[{nonce}]".encode()


def say(nonce: str, what: str) -> str:
    """Shell text that writes a line for the launcher: `ready` or `taken` with the process, which it has read."""
    return f'printf "%s\\n" "{nonce} $fl_{what} $$ $fl_stat"; '


def sudo_ready(nonce: str) -> bytes:
    """The line that says that sudo let the inner shell start."""
    return f"{nonce} sudo\n".encode()


def waiting_loop() -> str:
    """A POSIX shell's loop over texts in lines: without single quotes and exclamation marks, for all outer shells."""
    return (
        "fl_text=; fl_newline=; "
        "while :; do IFS= read -r fl_line || exit 255; "
        'case $fl_line in .*) fl_text=$fl_text${fl_line#.}; eval "$fl_text"; fl_text=; continue;; esac; '
        'if [ -z "$fl_newline" ]; then fl_newline=$(printf "\\n."); fl_newline=${fl_newline%.}; fi; '
        "fl_text=$fl_text${fl_line#+}$fl_newline; done"
    )


def _enter(directory: str | None) -> str:
    if directory is None:
        return ""
    # `-` alone would be the former directory, and CDPATH another one.
    path = directory if directory.startswith("/") else f"./{directory}"
    return f"CDPATH= cd -- {quote(path)} || exit {NO_DIRECTORY}; "


def _taken(nonce: str, *, both: bool) -> str:
    # stderr first: once it is said on stdout, everything that follows is the command's.
    return (f"printf '%s\\n' '{nonce} taken ' >&2; " if both else "") + say(nonce, "taken")


def _run(request: CommandRequest, shell: LoginShell, *, own_shell: bool = True) -> str:
    """Text that becomes the command; `own_shell` when the reading shell is the account's own."""
    closed = "" if request.stdin or request.stdin_open else " </dev/null"
    if request.argv is not None:
        return f"exec {_words(request.argv)}{closed}"
    if request.script is not None:
        return _script(request.script, closed)
    command = (request.command or "").strip(" \t\n") if own_shell else request.command or ""
    if own_shell and closed and shell.builtin(command):
        return f"{command}\nexit"
    again = _shell(shell, request.command or "", named=own_shell) + closed
    program = shell.program(command) if own_shell else None
    if program is None:
        return again
    # What is not found or no program gets its message from the shell itself.
    return f"command -v {program} >/dev/null 2>&1 && exec {command}{closed}\n{again}"


def _shell(shell: LoginShell, command: str, *, named: bool) -> str:
    if shell is _UNKNOWN:
        known = "bash|zsh|ksh|ksh93|mksh|dash|ash|sh"
        choose = f"case ${{SHELL##*/}} in {known}) fl_shell=$SHELL;; *) fl_shell=/bin/sh;; esac"
        return f'{choose}; exec "$fl_shell" -c {quote(command)}'
    # By the name that sshd gives it, so that its messages begin alike.
    before = f"-a {quote(shell.name)} " if named and shell.is_bash else ""
    # What begins so is an option, and the name would be the command.
    after = f" {quote(shell.name)}" if named and not shell.is_bash and command[:1] not in "-+" else ""
    return f"exec {before}{quote(shell.path)} -c {quote(command)}{after}"


def _script(script: Script, closed: str) -> str:
    # A here-document is a pipe or a file that has no name any more, so nothing is left whatever happens.
    first, *options = script.interpreter
    end = "FAIRLEAD_END_OF_SCRIPT"
    while end.encode() in script.content:
        end += "_"
    extra = _INTERPRETER_OPTIONS.get(first.rpartition("/")[2], ())
    words = _words([first, *extra, *options, "/dev/fd/9", *script.arguments])
    content = script.content.decode("utf-8", "surrogateescape")
    newline = "" if content.endswith("\n") else "\n"
    return f"exec {words}{closed} 9<<'{end}'\n{content}{newline}{end}\n"


def _sudo(run_as: RunAs, nonce: str) -> str:
    ask = "-n" if run_as.password is None else f"-S -p {quote(prompt(nonce).decode())}"
    ready = "" if run_as.password is None else f'printf "%s\\n" "{nonce} sudo"; '
    inner = f'export "$1" SHLVL=2; {WORDS}; {ready}{waiting_loop()}'
    return f'exec sudo {ask} -u {quote(run_as.user)} -- /bin/sh -c {quote(inner)} sh "{MARKER}=${MARKER}"'


def _words(words: tuple[str, ...] | list[str]) -> str:
    return " ".join(quote(word) for word in words)


def _check_words(words: tuple[str, ...] | list[str]) -> None:
    if not words[0] or words[0].startswith("-"):
        raise InvalidRequest("The program's name is empty or begins with a dash.")
    for word in words:
        _check_text(word, "argument", limit=MAX_COMMAND_BYTES)


def _check_text(text: str, what: str, *, limit: int) -> None:
    if "\0" in text:
        raise InvalidRequest(f"The {what} holds a NUL character, which no shell can run.")
    size = len(_encode(text))
    if size > limit:
        raise InvalidRequest(
            f"The {what} has {size} bytes, more than the {limit} that a shell takes.",
            hint="Write it to a file on the host first, or send it as a script.",
        )


def _encode(text: str) -> bytes:
    # Undecodable bytes of a file name come as surrogates, as everywhere in Python.
    return text.encode("utf-8", "surrogateescape")
