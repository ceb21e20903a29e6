"""What the person at the terminal sees: one line per step with its duration, one sentence per failure."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager


class ClusterError(Exception):
    """Something the person can act on: the message says what is missing or broken."""


def say(text: str) -> None:
    """Print one line at once, to stderr, so that a command's own output stays clean."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def step(what: str) -> Iterator[None]:
    """Announce a step, then say how long it took."""
    say(f"==> {what}")
    start = time.monotonic()
    yield
    say(f"    done in {time.monotonic() - start:.1f} s")
