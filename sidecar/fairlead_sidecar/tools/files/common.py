"""What all tools for files share."""

import base64
import binascii
import posixpath
from collections.abc import Callable
from typing import Annotated, Literal

import mcp_types as types
from pydantic import Field

from fairlead_sidecar.errors import InvalidRequest
from fairlead_sidecar.ssh.file_names import meant, shown
from fairlead_sidecar.ssh.files import Guard, RemoteFiles
from fairlead_sidecar.tools.spec import Call

Path = Annotated[
    str,
    Field(description="Absolute, or relative to the account's home.", min_length=1, max_length=16_384),
]
Mode = Annotated[str | None, Field(description="Octal, such as 0644.", pattern=r"^0?[0-7]{3}$")]
Encoding = Literal["utf-8", "base64"]
Sha256 = Annotated[str | None, Field(description="Of the whole file.")]
Expected = Annotated[
    str | None,
    Field(description="Fail unless the file still has this sha256.", pattern=r"^[0-9a-f]{64}$"),
]


def readable(call: Call) -> RemoteFiles:
    """The host's files, for reading."""
    return _files(call, call.policy.check_read)


def writable(call: Call) -> RemoteFiles:
    """The host's files, for changing them."""
    return _files(call, call.policy.check_write)


def changeable(call: Call) -> RemoteFiles:
    """The host's files, for changes that show what was there."""

    def check(resolved: str) -> None:
        call.policy.check_write(resolved)
        call.policy.check_read(resolved)

    return _files(call, check)


def _files(call: Call, check: Callable[[str], None]) -> RemoteFiles:
    def note(resolved: str) -> None:
        call.facts["path"] = shown(resolved)

    return RemoteFiles(call.link, Guard(check, note), timeout=call.limits.command_timeout)


def path_of(call: Call, text: str) -> str:
    """The path that an argument means; the audit line says it even where it leads nowhere."""
    call.facts["path"] = text
    return meant(text)


def relative(path: str, top: str) -> str:
    """A path below `top`, as a result writes it."""
    return shown(posixpath.relpath(path, top))


def octal(mode: int) -> str:
    """Permission bits as results write them."""
    return f"{mode:04o}"


def parsed_mode(mode: str | None) -> int | None:
    """Permission bits of an argument."""
    return None if mode is None else int(mode, 8)


def decoded(content: str, encoding: Encoding) -> bytes:
    """The bytes that an argument means.

    Raises:
        InvalidRequest: They are not encoded as it says.
    """
    try:
        return content.encode() if encoding == "utf-8" else base64.b64decode(content, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidRequest(
            f"content is not {encoding}: {error}.",
            hint="Encode the bytes as standard base64, or give text with encoding utf-8.",
        ) from None


READS = types.ToolAnnotations(read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False)


def changes(*, destructive: bool, idempotent: bool) -> types.ToolAnnotations:
    """The annotations of a tool that changes files."""
    return types.ToolAnnotations(
        read_only_hint=False, destructive_hint=destructive, idempotent_hint=idempotent, open_world_hint=False
    )
