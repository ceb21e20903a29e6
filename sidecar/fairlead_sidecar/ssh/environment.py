"""The environment of a person's terminal, for commands that run without one.

`.bashrc` guards hide nvm, pyenv and friends from every shell that is not interactive. So each connection asks an
interactive login shell once for its variables, and commands get what differs from the variables they have anyway.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fairlead_sidecar.config import Environment, SecretValue
from fairlead_sidecar.errors import CredentialsInvalid, CredentialsNotFound
from fairlead_sidecar.ssh.program import exports
from fairlead_sidecar.ssh.shells import LoginShell

CAPTURE_SECONDS = 10.0
"""Within which the account's start-up files have to be through."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OWN_NAMES = """
_ BASHOPTS COLUMNS EUID FAIRLEAD_CALL_ID IFS LINENO LINES OLDPWD OPTARG OPTIND PPID PWD RANDOM SECONDS SHELL SHELLOPTS
SHLVL SSH_CLIENT SSH_CONNECTION SSH_TTY TERM TMOUT UID
"""
_OWN = frozenset(_OWN_NAMES.split())
"""Variables that belong to a shell, a terminal or a connection, not to the person."""

_PUBLIC = re.compile(
    r"PATH|MANPATH|LANG|LANGUAGE|LC_[A-Z]+|LS_COLORS|LESSOPEN|LESSCLOSE|MAIL|EDITOR|PAGER|TZ|NVM_[A-Z_]+|PYENV_ROOT|"
    r"GOPATH|(JAVA|CARGO|RUSTUP|PNPM)_HOME|XDG_[A-Z_]+"
)
"""Variables that may show in a process list."""


# A terminal shows a person .bashrc even where no file of the login shell reads it.
_AS_AT_A_TERMINAL = (
    "[ -e ~/.bash_profile ] || [ -e ~/.bash_login ] || [ -e ~/.profile ] || { [ ! -r ~/.bashrc ] || . ~/.bashrc; }"
)


@dataclass(frozen=True, slots=True)
class HostFacts:
    """What the account's shells say about themselves."""

    shell: LoginShell | None = None
    boot_id: str = ""
    set: Mapping[str, str] = field(default_factory=dict)
    """Variables of the interactive login shell that other shells lack or have otherwise."""
    unset: tuple[str, ...] = ()
    silent: bool = False
    """Whether start-up files write nothing to stderr."""
    captured: bool = False
    """Whether the interactive login shell answered."""

    @property
    def public(self) -> bool:
        """Whether the variables may show in a process list."""
        return all(_PUBLIC.fullmatch(name) for name in self.set)


def capture_script(nonce: str) -> str:
    """The shell command that tells everything: sections that end in the nonce, lists that end in NUL."""
    mark = f'printf "%s" {nonce}'
    # compgen lists what a bash with .bashrc knows; SHLVL lets it read that again.
    return (
        f'printf "%s\\0" "$SHELL"; cat /proc/sys/kernel/random/boot_id 2>/dev/null; {mark}; '
        "case ${SHELL##*/} in "
        f"bash) SHLVL=0 \"$SHELL\" -c 'compgen -A function; compgen -a; {mark}; exec env -0' </dev/null 2>/dev/null;; "
        f"*) {mark};; esac; {mark}; env -0 2>/dev/null; {mark}; "
        # The marker in the middle parts the variables from what start-up files print.
        f"fl_tell='echo {nonce}; exec env -0'; fl_person={_AS_AT_A_TERMINAL!r}; "
        'case ${SHELL##*/} in csh|tcsh) set -- -c "$fl_tell";; bash) set -- -l -i -c "$fl_person; $fl_tell";; '
        f'*) set -- -l -i -c "$fl_tell";; esac; "$SHELL" "$@" </dev/null 2>/dev/null; {mark}'
    )


def parse_capture(output: bytes, nonce: str) -> HostFacts:
    """Read what `capture_script` wrote, as far as it came."""
    sections = output.split(nonce.encode())
    if len(sections) < 5:
        return HostFacts()
    head, names, again_text, plain_text = sections[:4]
    path, _, boot_id = head.partition(b"\0")
    shell = LoginShell(_text(path), frozenset(_text(names).split())) if path.startswith(b"/") else None
    boot = _text(boot_id).strip()
    boot = boot if re.fullmatch(r"[0-9a-f-]{36}", boot) else ""
    # The last section but one is what followed the marker of the interactive shell; complete only with its end.
    if len(sections) < 7 or not sections[-2].endswith(b"\0"):
        return HostFacts(shell, boot)
    plain, person = _variables(plain_text), _variables(sections[-2].lstrip(b"\r\n"))
    # What start-up files add to once more each time they run is right after the first time.
    again = _variables(again_text)
    person = {
        name: plain[name] if name in plain and again.get(name) == value else value for name, value in person.items()
    }
    return HostFacts(
        shell,
        boot,
        {name: value for name, value in person.items() if plain.get(name) != value},
        tuple(sorted(plain.keys() - person.keys())),
        captured=True,
    )


def preamble(facts: HostFacts, variables: Mapping[str, str]) -> str:
    """Shell text that gives a waiting shell its environment."""
    text = exports({**facts.set, **variables})
    left_out = [name for name in facts.unset if name not in variables]
    return text + (f"unset {' '.join(left_out)}; " if left_out else "")


def configured(environment: Environment) -> dict[str, str]:
    """The variables that the configuration adds. Reads the files of secret ones.

    Raises:
        CredentialsNotFound: The Secret or its key is missing.
        CredentialsInvalid: It holds a NUL character.
    """
    return {
        variable.name: variable.value or "" if secret is None else _secret_variable(variable.name, secret)
        for variable in environment.variables
        for secret in (variable.secret,)
    }


def secrets_version(environment: Environment) -> tuple[tuple[int, int], ...]:
    """Changes when a secret value does."""
    return tuple(_version(variable.secret.file) for variable in environment.variables if variable.secret is not None)


def read_secret(secret: SecretValue) -> str:
    """The value, as it is now.

    Raises:
        CredentialsNotFound: It is missing.
    """
    try:
        return secret.file.read_bytes().decode("utf-8", "surrogateescape")
    except OSError:
        raise CredentialsNotFound(
            f"The value {secret.name} is missing.", hint="Create the Secret with this key, or correct the reference."
        ) from None


def _secret_variable(name: str, secret: SecretValue) -> str:
    try:
        value = read_secret(secret)
    except CredentialsNotFound as error:
        # A server has many values; which of them it is stands in no other place.
        raise CredentialsNotFound(
            f"The variable {name} has no value: Secret {secret.name} is missing.", hint=error.hint
        ) from None
    # Shells pass over it, so what follows it would no longer be read as what it is.
    if "\0" in value:
        raise CredentialsInvalid(
            f"The value {secret.name} holds a NUL character, which no variable can hold.",
            hint="Keep binary values base64 encoded within the Secret's value.",
        )
    return value


def _version(file: Path) -> tuple[int, int]:
    try:
        status = file.stat()
    except OSError:
        return (0, 0)
    return (status.st_mtime_ns, status.st_ino)


def _variables(listing: bytes) -> dict[str, str]:
    pairs = (_text(entry).partition("=") for entry in listing.split(b"\0") if b"=" in entry)
    return {name: value for name, _, value in pairs if _NAME.fullmatch(name) and name not in _OWN}


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
