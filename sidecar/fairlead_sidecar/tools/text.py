"""Bytes of a host as JSON text, without ever guessing silently."""

import base64
import re
from enum import StrEnum


class Encoding(StrEnum):
    """How bytes are written in a result."""

    UTF8 = "utf-8"
    """As they are."""
    REPLACED = "utf-8-replaced"
    """Mostly text: each invalid byte sequence was replaced by U+FFFD."""
    BASE64 = "base64"
    """Exact bytes that are no text (RFC 4648, section 4)."""


def as_output(data: bytes, *, truncated: bool = False) -> tuple[str, Encoding]:
    """A command's output, for reading: text wherever it is mostly text.

    Invalid UTF-8 with a NUL byte in it is taken for binary, as grep and git do, and kept exact as base64.

    Args:
        truncated: Whether its middle was left out; characters cut in two there are dropped.
    """
    try:
        return data.decode(), Encoding.UTF8
    except UnicodeDecodeError:
        if truncated and (mended := _without_halves(data)) != data:
            return as_output(mended)
        if b"\0" in data:
            return base64.b64encode(data).decode(), Encoding.BASE64
        return data.decode(errors="replace"), Encoding.REPLACED


_LEFT_OUT = re.compile(rb"\n\[\.\.\. \d+ bytes left out \.\.\.\]\n")


def shortened(data: bytes, *, total: int, limit: int) -> bytes:
    """An output with at most `limit` bytes of it kept, from beginning and end, whether its middle was cut already.

    Args:
        data: As the link gives it: all, or beginning and end with a line between them that says what was left out.
        total: Bytes of the whole output.
        limit: At least 2.
    """
    cut = _LEFT_OUT.search(data) if total > len(data) else None
    head, tail = (data[: cut.start()], data[cut.end() :]) if cut else (data, data)
    if (len(head) + len(tail) if cut else len(data)) <= limit:
        return data
    half = limit // 2
    head, tail = head[:half], tail[-half:]
    return b"%b\n[... %d bytes left out ...]\n%b" % (head, total - len(head) - len(tail), tail)


def _without_halves(data: bytes) -> bytes:
    cut = _LEFT_OUT.search(data)
    if cut is None:
        return data
    head, tail = data[: cut.start()], data[cut.end() :]
    return head[: whole_characters(head)] + cut[0] + re.sub(rb"\A[\x80-\xbf]{1,3}", b"", tail)


def as_content(data: bytes) -> tuple[str, Encoding]:
    """A file's content, for writing back: exact in any case."""
    try:
        return data.decode(), Encoding.UTF8
    except UnicodeDecodeError:
        return base64.b64encode(data).decode(), Encoding.BASE64


def whole_characters(data: bytes) -> int:
    """How many bytes to keep so that no UTF-8 character is cut in two at the end; all where it is not UTF-8 anyway."""
    try:
        data.decode()
    except UnicodeDecodeError as error:
        if error.reason == "unexpected end of data":
            return error.start
    return len(data)
