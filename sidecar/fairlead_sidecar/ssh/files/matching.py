"""Which entries and lines are looked for, decided without I/O."""

import fnmatch
import posixpath
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, cast

import re2

from fairlead_sidecar.errors import InvalidRequest
from fairlead_sidecar.ssh.files.model import FileInfo, FileType

BINARY_PROBE = 8192
"""A NUL among so many first bytes makes a file a binary one, as grep and git have it."""

GLOB_CHARACTERS = 1024
"""Longest glob: the time that it takes to read one grows with its square."""


@dataclass(frozen=True, slots=True)
class Filter:
    """What an entry must be like; None asks for nothing."""

    glob: str | None = None
    """As `glob_matches` takes it."""
    type: FileType | None = None
    min_size: int | None = None
    max_size: int | None = None
    modified_after: datetime | None = None
    modified_before: datetime | None = None

    def takes(self, info: FileInfo, top: str) -> bool:
        """Whether an entry below the directory `top` is like that."""
        return (
            (self.type is None or info.type is self.type)
            and (self.min_size is None or info.size >= self.min_size)
            and (self.max_size is None or info.size <= self.max_size)
            and (self.modified_after is None or info.modified >= self.modified_after)
            and (self.modified_before is None or info.modified <= self.modified_before)
            and (self.glob is None or glob_matches(self.glob, posixpath.relpath(info.path, top)))
        )


def glob_matches(glob: str, path: str) -> bool:
    """Whether a relative path matches: a glob without `/` looks at the name, any other at the whole path.

    `*` and `?` stay within one name, `**` spans any number of them.
    """
    pattern, wanted = [part for part in glob.split("/") if part], path.split("/")
    if "/" not in glob:
        return fnmatch.fnmatchcase(wanted[-1], glob)
    if pattern[-1] == "**":
        # What is in a directory, not the directory itself.
        pattern.append("*")
    # `reached[i]`: whether the first i parts of the pattern match the names so far.
    reached = [True] + [False] * len(pattern)
    for i, part in enumerate(pattern):
        reached[i + 1] = reached[i] and part == "**"
    for name in wanted:
        following = [False] * (len(pattern) + 1)
        for i, part in enumerate(pattern):
            if part == "**":
                following[i + 1] = following[i] or reached[i + 1] or reached[i]
            else:
                following[i + 1] = reached[i] and fnmatch.fnmatchcase(name, part)
        reached = following
    return reached[-1]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a search's result."""

    number: int
    """From 1."""
    text: bytes
    """Without its end."""
    match: bool
    """False: it stands near a match."""


class Pattern(Protocol):
    """A compiled pattern of RE2, on bytes."""

    def search(self, text: bytes) -> object | None:
        """The first match."""


def compiled(pattern: str, *, literal: bool, ignore_case: bool) -> Pattern:
    """The pattern, for whole files and single lines alike: `^` and `$` are a line's ends.

    Raises:
        InvalidRequest: It is not RE2.
    """
    options = re2.Options()
    options.log_errors = False
    options.case_sensitive = not ignore_case
    options.max_mem = 16 * 1024 * 1024
    source = re2.escape(pattern) if literal else f"(?m:{pattern})"
    try:
        return cast("Pattern", re2.compile(source.encode(), options))
    except (re2.error, UnicodeEncodeError) as error:
        detail = error.args[0] if isinstance(error, re2.error) and error.args else error
        reason = detail.decode(errors="replace") if isinstance(detail, bytes) else str(detail)
        reason = reason.replace(source, pattern)  # as it was given
        raise InvalidRequest(
            f"pattern is not a regular expression of RE2: {reason}.", hint="Correct it, or search with `literal`."
        ) from None


def is_binary(data: bytes) -> bool:
    """Whether it is no text."""
    return b"\0" in data[:BINARY_PROBE]


def matching_lines(data: bytes, pattern: Pattern, *, context: int, most: int) -> list[Line]:
    """The first `most` lines that match, each with the `context` lines around it."""
    data = data.replace(b"\r\n", b"\n")
    if pattern.search(data) is None:
        # One search for the whole file is far faster than one for each line.
        return []
    found: list[Line] = []
    before: deque[tuple[int, bytes]] = deque(maxlen=context)
    hits = behind = 0
    for number, line in enumerate(_lines(data), 1):
        if hits < most and pattern.search(line) is not None:
            hits, behind = hits + 1, context
            found += [Line(*earlier, match=False) for earlier in before]
            found.append(Line(number, line, match=True))
            before.clear()
        elif behind:
            behind -= 1
            found.append(Line(number, line, match=False))
        else:
            before.append((number, line))
        if hits == most and not behind:
            break
    return found


def _lines(data: bytes) -> Iterator[bytes]:
    # One after the other: all at once, short lines would take many times the room of the file.
    position = 0
    while position < len(data):
        end = data.find(b"\n", position)
        end = len(data) if end < 0 else end
        yield data[position:end]
        position = end + 1


def cut(text: str, most: int) -> str:
    """At most `most` characters; what is left out is said."""
    return text if len(text) <= most else f"{text[:most]}… [{len(text) - most} more characters]"
