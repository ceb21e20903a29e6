"""Blots the values of `policy.redact` out of everything that agents get.

A value is found as it is, in base64 (wherever it stands in what was encoded), in hexadecimal, percent-encoded, and as
JSON and shells escape it; of a value of several lines, each longer line too. Other spellings (reversed, compressed,
split by the command itself) are beyond it: redaction keeps accidents out of transcripts, it does not stop who means to
carry a secret out.
"""

import base64
import json
import logging
import re
import shlex
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, Protocol, cast
from urllib.parse import quote, quote_plus

import re2

from fairlead_sidecar.config import SecretValue
from fairlead_sidecar.errors import CredentialsInvalid, CredentialsNotFound

logger = logging.getLogger(__name__)

MASK = b"[redacted]"
LEAST_BYTES = 4
"""Shorter values would be found everywhere; they are not redacted, and the log says so."""
MOST_BYTES = 16 * 1024
"""All values together: enough for keys and certificates, and the search stays fast."""
_BEGINNING = 12
"""Bytes of a spelling that are searched for; where they are found, the rest is compared."""
_LINE_BYTES = 16
"""A line of a value of several lines is masked on its own from this length on: shorter ones may be any word."""


class _Match(Protocol):
    def start(self) -> int: ...
    def end(self) -> int: ...


class _Pattern(Protocol):
    def search(self, text: bytes, pos: int = 0) -> _Match | None: ...


class Redactor:
    """Finds a set of values, in every spelling.

    Args:
        values: The values in clear; empty: nothing is changed.
    """

    def __init__(self, values: Iterable[bytes] = ()) -> None:
        found = {spelling for value in values for spelling in _spellings(value)}
        self._needles = tuple(sorted(found, key=len, reverse=True))
        self._beginnings: dict[bytes, list[bytes]] = {}
        self._pattern: _Pattern | None = None
        if self._needles:
            options = re2.Options()
            options.log_errors = False
            options.encoding = re2.Options.Encoding.LATIN1
            options.longest_match = True
            options.max_mem = 64 * 1024 * 1024
            # One search for the beginnings of all of them, whose time does not depend on how many there are; with
            # the whole of long values in it, it would be slow.
            for needle in self._needles:
                self._beginnings.setdefault(needle[:_BEGINNING], []).append(needle)
            self._sizes = sorted({len(beginning) for beginning in self._beginnings})
            alternatives = b"|".join(re2.escape(beginning) for beginning in self._beginnings)
            self._pattern = cast("_Pattern", re2.compile(alternatives, options))

    def __bool__(self) -> bool:
        return self._pattern is not None

    def __repr__(self) -> str:
        return f"<Redactor of {len(self._needles)} spellings>"

    @property
    def longest(self) -> int:
        """Bytes of the longest spelling; 0 where there are no values."""
        return len(self._needles[0]) if self._needles else 0

    def spans(self, data: bytes) -> list[tuple[int, int]]:
        """Where values stand in `data`: beginnings and ends, in order."""
        return list(self.values(data))

    def values(self, buffer: bytes) -> Iterator[tuple[int, int]]:
        """Where values stand: intervals in order, those that overlap or touch joined."""
        start, end, position = -1, -1, 0
        while self._pattern is not None and (match := self._pattern.search(buffer, position)) is not None:
            at, position = match.start(), match.start() + 1
            length = self._length(buffer, at)
            if not length:
                continue
            if at > end:
                if end >= 0:
                    yield start, end
                start = at
            end = max(end, at + length)
        if end >= 0:
            yield start, end

    def first_undecided(self, buffer: bytes) -> int:
        """Where the longest end of `buffer` begins that is the beginning of a spelling; its length where none is."""
        undecided = len(buffer)
        for needle in self._needles:
            start, last = max(0, len(buffer) - len(needle) + 1), max(0, len(buffer) - _BEGINNING + 1)
            # As much as there can be of the needle is looked for: a single byte may stand everywhere in the output.
            for size, first, end in ((_BEGINNING, start, min(undecided, last)), (1, max(start, last), undecided)):
                position = _first_prefix(buffer, needle, size, first, end)
                undecided = undecided if position is None else min(undecided, position)
        return undecided

    def _length(self, buffer: bytes, at: int) -> int:
        """Bytes of the longest spelling that stands at a place; 0 where there is none."""
        found = (
            len(needle)
            for size in self._sizes
            for needle in self._beginnings.get(buffer[at : at + size], ())
            if buffer.startswith(needle, at)
        )
        return max(found, default=0)

    def text(self, text: str) -> str:
        """`text` with every value masked."""
        if self._pattern is None:
            return text
        encoded = text.encode(errors="surrogatepass")
        masked = self.bytes(encoded)
        return text if masked is encoded else masked.decode(errors="surrogatepass")

    def bytes(self, data: bytes) -> bytes:
        """`data` with every value masked; the same object where there is none."""
        if self._pattern is None or self._pattern.search(data) is None:
            return data
        stream = self.stream()
        return stream.feed(data) + stream.end()

    def structure(self, value: Any) -> Any:
        """JSON-like `value` with all its strings masked, the keys of its objects too."""
        if self._pattern is None:
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.structure(key): self.structure(member) for key, member in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(self.structure(member) for member in value)
        return value

    def stream(self) -> "RedactedStream":
        """For one stream that comes in pieces."""
        return RedactedStream(self)


def _first_prefix(buffer: bytes, needle: bytes, size: int, start: int, end: int) -> int | None:
    """The first place from `start` to before `end` from which on all of `buffer` is a prefix of the needle.

    Its first `size` bytes are searched for, so a place with fewer bytes behind it is found only where that is 1.
    """
    beginning, position = needle[:size], start
    while (position := buffer.find(beginning, position, end + len(beginning) - 1)) >= 0:
        if needle.startswith(buffer[position:]):
            return position
        position += 1
    return None


class RedactedStream:
    """Masks one stream, piece by piece; the result does not depend on where the pieces end.

    It holds back only what may turn out to be the beginning of a value, never more than the longest spelling.
    """

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._held = b""
        self._masked = 0
        """How many of the held bytes belong to a value whose mask was given out already."""
        self._in_mask = False
        """Whether the last thing given out was a mask that ends where the held bytes begin."""

    def feed(self, data: bytes) -> bytes:
        """What is sure to be no part of a value, after the next piece."""
        if not self._redactor:
            return data
        buffer = self._held + data if self._held else data
        return self._advance(buffer, self._redactor.first_undecided(buffer))

    def end(self) -> bytes:
        """The rest, once the stream has ended."""
        return self._advance(self._held, len(self._held))

    def _advance(self, buffer: bytes, until: int) -> bytes:
        """Give out `buffer[:until]`, masked, and hold the rest."""
        pieces: list[bytes] = []
        position, masked_to = 0, self._masked
        in_mask = self._in_mask or masked_to > 0
        for start, end in self._redactor.values(buffer):
            if start >= until and start > masked_to:
                break
            if start > max(position, masked_to):
                pieces.append(buffer[max(position, masked_to) : start])
                in_mask = False
            if not in_mask:
                pieces.append(MASK)
                in_mask = True
            position = masked_to = max(end, masked_to)
        if masked_to < until:
            rest = buffer[max(position, masked_to) : until]
            pieces.append(rest)
            in_mask = in_mask and not rest
        self._held = buffer[until:]
        self._masked = max(0, masked_to - until)
        self._in_mask = in_mask
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def redactor(values: Iterable[SecretValue]) -> Redactor:
    """The redactor for these values as their files hold them now.

    Closed by default: where a value can't be read it can't be masked either, so nothing may be given out.

    Raises:
        CredentialsNotFound: A file is missing.
        CredentialsInvalid: A file can't be read, or they are too long to be searched for.
    """
    return _redactor(tuple((value, _version(value)) for value in values))


def read_secret(value: SecretValue) -> bytes:
    """A mounted value, without the line end that editors put behind it.

    Raises:
        CredentialsNotFound: The file is missing.
        CredentialsInvalid: It can't be read.
    """
    try:
        return value.file.read_bytes().rstrip(b"\r\n")
    except FileNotFoundError:
        raise _missing(value) from None
    except OSError as error:
        msg = f"The value {value.name} can't be read: {error.strerror}."
        raise CredentialsInvalid(msg) from None


@lru_cache(maxsize=4)
def _redactor(versions: tuple[tuple[SecretValue, tuple[int, ...]], ...]) -> Redactor:
    values, total = [], 0
    for value, _ in versions:
        secret = read_secret(value)
        total += len(secret)
        if total > MOST_BYTES:
            msg = f"The values to redact are too long: with {value.name} more than {MOST_BYTES} bytes together."
            raise CredentialsInvalid(msg, hint="Name fewer or shorter values in spec.policy.redact.")
        if len(secret) < LEAST_BYTES:
            logger.warning("The value %s is shorter than %s bytes and is not redacted", value.name, LEAST_BYTES)
            continue
        values.append(secret)
    return Redactor(values)


def _version(value: SecretValue) -> tuple[int, ...]:
    try:
        status = value.file.stat()
    except FileNotFoundError:
        raise _missing(value) from None
    except OSError as error:
        msg = f"The value {value.name} can't be read: {error.strerror}."
        raise CredentialsInvalid(msg) from None
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size


def _missing(value: SecretValue) -> CredentialsNotFound:
    msg = f"The value {value.name}, which this call needs, does not exist; nothing was done."
    return CredentialsNotFound(msg, hint="Create the Secret and the key that spec.policy names.")


def _spellings(value: bytes) -> Iterator[bytes]:
    if len(value) < LEAST_BYTES:
        return
    yield from _encoded(value)
    lines = value.splitlines()
    if len(lines) > 1:
        for line in lines:
            if len(line.strip()) >= _LINE_BYTES:
                yield line.strip()
        # A terminal and some tools end lines their own way.
        yield b"\r\n".join(lines)
        yield b"\n".join(lines)


def _encoded(value: bytes) -> Iterator[bytes]:
    yield value
    for offset in range(3):
        # What stands before and behind it changes the first and the last characters, which are left out.
        encoded = base64.b64encode(b"\0" * offset + value)
        inner = encoded[(offset * 8 + 5) // 6 : len(encoded) - ((0, 3, 2)[(offset + len(value)) % 3])]
        if len(inner) >= LEAST_BYTES:
            yield inner
            yield inner.translate(bytes.maketrans(b"+/", b"-_"))
    # As tools wrap it that encode a whole file.
    yield from (line for line in base64.encodebytes(value).splitlines() if len(line) >= _LINE_BYTES)
    yield value.hex().encode()
    yield value.hex().upper().encode()
    yield quote(value, safe="").encode()
    yield quote(value).encode()
    yield quote_plus(value).encode()
    yield re.sub(rb"%[0-9A-F]{2}", lambda match: match[0].lower(), quote(value, safe="").encode())
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return
    yield json.dumps(text)[1:-1].encode()
    yield json.dumps(text, ensure_ascii=False)[1:-1].encode()
    yield shlex.quote(text).encode()[1:-1] if shlex.quote(text) != text else value
