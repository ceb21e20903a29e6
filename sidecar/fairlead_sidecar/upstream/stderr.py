"""What a stdio server writes to its standard error: to the log, a little at a time, and its end into messages.

A flood of it costs neither memory nor the log: lines beyond a rate are counted only.
"""

import logging
import re
import time
from collections import deque

from fairlead_sidecar.tools.redact import Redactor

LINES_PER_SECOND = 10
BURST = 100
"""Lines that may be logged at once after a quiet time."""
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
        self._allowed = float(BURST)
        self._at = time.monotonic()
        self._left_out = 0

    def feed(self, data: bytes) -> None:
        """More of it."""
        self._take(self._stream.feed(data))

    def end(self) -> None:
        """That was all."""
        self._take(self._stream.end() + b"\n")
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
        self._allowed = min(BURST, self._allowed + (now - self._at) * LINES_PER_SECOND)
        self._at = now
        logged = min(len(lines), int(self._allowed))
        if logged:
            self._allowed -= logged
            self._say_left_out()
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
