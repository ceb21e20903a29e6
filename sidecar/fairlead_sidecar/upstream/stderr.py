"""What a stdio server writes to its standard error: to the log, a little at a time, and its end into messages.

A flood of it costs neither memory nor the log: lines beyond a rate are counted only.
"""

import logging
import re
import time
from collections import deque

from fairlead_sidecar.tools.redact import Redactor

LINES = 100
"""How many are logged within `SECONDS`; of the others only their number is, after that time."""
SECONDS = 10.0
LINE_CHARACTERS = 1000
"""Of one line in the log; the rest is cut."""
KEPT_LINES = 20
KEPT_CHARACTERS = 2000
"""Of the last lines, all together."""
_PARTIAL_BYTES = 4 * LINE_CHARACTERS
_COLOUR = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")


class StandardError:
    """Takes one server's standard error."""

    def __init__(self, server: str, redactor: Redactor) -> None:
        """Log for `server`; what `redactor` finds is masked."""
        self._log = logging.getLogger(f"{__name__}.{server}")
        self._stream = redactor.stream()
        self._partial = b""
        self._kept: deque[str] = deque(maxlen=KEPT_LINES)
        self._until = 0.0
        """When more lines may be logged than the allowed ones."""
        self._allowed = LINES
        self._left_out = 0

    def feed(self, data: bytes) -> None:
        """More of it."""
        self._take(self._stream.feed(data))

    def end(self) -> None:
        """That was all for now: nothing is held back any more."""
        held = self._stream.end()
        if held or self._partial:
            self._take(held + b"\n")
        self._say_left_out()

    @property
    def last_words(self) -> str:
        """Its last lines, in one line; empty where it wrote none."""
        lines = list(self._kept)
        if self._partial:
            lines.append(_shown(self._partial))
        text = " | ".join(line for line in lines if line)
        return text if len(text) <= KEPT_CHARACTERS else f"…{text[-KEPT_CHARACTERS:]}"

    def _take(self, data: bytes) -> None:
        *lines, partial = (self._partial + data).split(b"\n")
        # What is longer than a line in the log is neither kept nor logged, so it need not be held.
        self._partial = partial[:_PARTIAL_BYTES]
        now = time.monotonic()
        if now >= self._until:
            self._until, self._allowed = now + SECONDS, LINES
            self._say_left_out()
        logged = min(len(lines), self._allowed)
        self._allowed -= logged
        for line in lines[:logged]:
            if shown := _shown(line):
                self._log.info("%s", shown)
        self._left_out += len(lines) - logged
        self._kept.extend(_shown(line) for line in lines[-KEPT_LINES:])

    def _say_left_out(self) -> None:
        if self._left_out:
            self._log.info("%d more lines of its standard error are not shown", self._left_out)
            self._left_out = 0


def _shown(line: bytes) -> str:
    """A line without colours and whatever else a terminal would obey."""
    text = _COLOUR.sub("", line[:_PARTIAL_BYTES].decode(errors="replace")).strip()
    text = "".join(character if character.isprintable() else " " for character in text)
    return text if len(text) <= LINE_CHARACTERS else f"{text[:LINE_CHARACTERS]}…"
