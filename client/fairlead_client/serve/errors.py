"""Why a host is not served."""

from collections.abc import Sequence
from pathlib import Path


class ServeError(Exception):
    """It can't be served; the message says why and what to do."""


class LoginRefused(ServeError):
    """The host, or a jump host, refused what was offered.

    `locked` are key files that were not, for want of their passphrase.
    """

    def __init__(self, message: str, locked: Sequence[Path], *, by_target: bool) -> None:
        super().__init__(message)
        self.locked = locked
        self.by_target = by_target
