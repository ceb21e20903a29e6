"""How much of all request bodies may be in memory at once, so that no number of clients can fill the pod."""

from collections import Counter
from types import TracebackType
from typing import Self

TOTAL_BYTES = 16 * 1024 * 1024
"""What the bodies under way may take together, beyond `FREE_BYTES` of each."""
OWNER_BYTES = TOTAL_BYTES // 2
"""What those of one owner may take, so that nobody can take the others' room."""
FREE_BYTES = 16 * 1024
"""What is not counted of a body: ordinary calls pass whatever others upload, and so does the operator's probe. How many
there can be is bounded by the numbers of connections, calls and commands."""


LEASE_KEY = "fairlead.lease"
"""Where the gate leaves the body's `Lease` in the ASGI scope."""


class NoRoom(Exception):
    """Other bodies take all the room; there will be some when their calls have ended."""


class Budget:
    """The room, and who takes how much of it."""

    def __init__(self) -> None:
        self._taken: Counter[str] = Counter()

    def lease(self, owner: str) -> "Lease":
        """Room for one body of `owner` (the UID of its McpToken), taken while some block holds it."""
        return Lease(self._taken, owner)


class Lease:
    """One body's room; it begins with `FREE_BYTES`.

    Everything that goes on with what the body said holds it in a block of its own: the HTTP exchange, the call that may
    outlive it, the command that may outlive both. It is taken until the last of them ends.
    """

    def __init__(self, taken: Counter[str], owner: str) -> None:
        self._taken = taken
        self._owner = owner
        self._size = 0
        self._holders = 0

    def __enter__(self) -> Self:
        self._holders += 1
        if self._holders == 1 and self._size:
            # Its exchange ended before its call began: what is in memory counts, whether there is room or not.
            self._taken[self._owner] += self._size
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._holders -= 1
        if not self._holders and self._size:
            self._taken[self._owner] -= self._size
            # Else every owner there ever was would stay.
            self._taken += Counter()

    def grow(self, size: int) -> None:
        """Make it large enough for a body of `size` bytes.

        Raises:
            NoRoom: It stays as large as it was.
        """
        self.check(size)
        more = self._missing(size)
        if more:
            self._taken[self._owner] += more
            self._size += more

    def check(self, size: int) -> None:
        """Whether it could grow to `size` bytes now.

        Raises:
            NoRoom: It could not.
        """
        more = self._missing(size)
        if more and (self._taken[self._owner] + more > OWNER_BYTES or self._taken.total() + more > TOTAL_BYTES):
            raise NoRoom

    def _missing(self, size: int) -> int:
        return max(0, size - FREE_BYTES - self._size)
