"""Bytes of a host as JSON text, without ever guessing silently."""

import base64
from enum import StrEnum


class Encoding(StrEnum):
    """How bytes are written in a result."""

    UTF8 = "utf-8"
    """As they are."""
    REPLACED = "utf-8-replaced"
    """Mostly text: each invalid byte sequence was replaced by U+FFFD."""
    BASE64 = "base64"
    """Exact bytes that are no text (RFC 4648, section 4)."""


def as_output(data: bytes) -> tuple[str, Encoding]:
    """A command's output, for reading: text wherever it is mostly text.

    Invalid UTF-8 with a NUL byte in it is taken for binary, as grep and git do, and kept exact as base64.
    """
    try:
        return data.decode(), Encoding.UTF8
    except UnicodeDecodeError:
        if b"\0" in data:
            return as_base64(data)
        return data.decode(errors="replace"), Encoding.REPLACED


def as_base64(data: bytes) -> tuple[str, Encoding]:
    """Any bytes, exact."""
    return base64.b64encode(data).decode(), Encoding.BASE64


def as_content(data: bytes) -> tuple[str, Encoding]:
    """A file's content, for writing back: exact in any case."""
    try:
        return data.decode(), Encoding.UTF8
    except UnicodeDecodeError:
        return as_base64(data)


def whole_characters(data: bytes) -> int:
    """How many bytes to keep so that no UTF-8 character is cut in two at the end; all where it is not UTF-8 anyway."""
    try:
        data.decode()
    except UnicodeDecodeError as error:
        if error.reason == "unexpected end of data":
            return error.start
    return len(data)
