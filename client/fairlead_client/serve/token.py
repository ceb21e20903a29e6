"""Where the bearer token of a served host comes from: a file, the environment, or minted for this run."""

import os
import shlex
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fairlead_client.client_configs import TOKEN_VARIABLE, Bearer
from fairlead_sidecar import tokens


class TokenError(Exception):
    """The token can't be had; the message says what to change."""


@dataclass(frozen=True)
class ServeToken:
    """The token and how it may be shown."""

    parsed: tokens.ParsedToken
    bearer: Bearer
    origin: str = field(default="minted for this run")
    """Where it came from, for people."""


def obtain(file: Path | None, environment: Mapping[str, str]) -> ServeToken:
    """The token of `file` (made on first use), else of FAIRLEAD_TOKEN, else a new one.

    Raises:
        TokenError: The file is open to others, can't be read or written, or holds no token; the variable holds none.
    """
    if file is not None:
        return _from_file(file)
    if text := environment.get(TOKEN_VARIABLE):
        return ServeToken(
            _parse(text, f"{TOKEN_VARIABLE} holds"), Bearer.from_environment(), f"taken from {TOKEN_VARIABLE}"
        )
    text = tokens.mint()
    return ServeToken(_parse(text, "minted"), Bearer.literal(text))


def _from_file(file: Path) -> ServeToken:
    try:
        text = _read(file)
        origin = f"taken from {file}"
        if text is None:
            text = _create(file)
            origin = f"minted and kept in {file}"
    except OSError as error:
        msg = f"cannot use the token file {file}: {error.strerror}"
        raise TokenError(msg) from error
    return ServeToken(_parse(text, f"{file} holds"), Bearer.from_file(file.absolute()), origin)


def _read(file: Path) -> str | None:
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, encoding="ascii", errors="replace") as stream:
        # Of the opened file, not of the name: nothing can be exchanged in between.
        status = os.fstat(stream.fileno())
        if status.st_uid != os.geteuid():
            msg = f"the token file {file} belongs to somebody else, who knows what is in it: name another one"
            raise TokenError(msg)
        if stat.S_IMODE(status.st_mode) & 0o077:
            msg = f"the token file {file} is open to other users: chmod 600 {shlex.quote(str(file))}"
            raise TokenError(msg)
        return stream.read(1024).strip()


def _create(file: Path) -> str:
    text = tokens.mint()
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as stream:
        stream.write(f"{text}\n")
    return text


def _parse(text: str, holder: str) -> tokens.ParsedToken:
    parsed = tokens.parse(text)
    if parsed is None or parsed.is_probe:
        msg = f"{holder} no Fairlead token (flt_…): unset it or name another file, and a new one is made"
        raise TokenError(msg)
    return parsed
