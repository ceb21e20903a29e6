"""A policy as file operations ask it: about places that the host has resolved."""

import posixpath
from collections.abc import Callable
from functools import cached_property

from fairlead_sidecar.errors import PolicyDenied


class Guard:
    """Judges resolved paths.

    Args:
        check: Lets a resolved path pass, or raises `PolicyDenied`.
        note: Gets each path that an operation is about to work on, before it is judged.
    """

    def __init__(self, check: Callable[[str], None], note: Callable[[str], None] = lambda _: None) -> None:
        self._check = check
        self._note = note

    def judge(self, resolved: str) -> None:
        """Let an operation's place pass.

        Raises:
            PolicyDenied: It lies elsewhere than allowed.
        """
        self._note(resolved)
        self._check(resolved)

    def allows(self, resolved: str) -> bool:
        """Whether a further place passes."""
        try:
            self._check(resolved)
        except PolicyDenied:
            return False
        return True

    @cached_property
    def everything(self) -> bool:
        """Whether every place passes, so that it does not matter where links lead."""
        return self.allows("/")

    def is_root(self, resolved: str) -> bool:
        """Whether it is a directory at which what is allowed begins."""
        return self.allows(resolved) and not self.allows(posixpath.dirname(resolved))


ANYWHERE = Guard(lambda _: None)
"""Lets every place pass."""
