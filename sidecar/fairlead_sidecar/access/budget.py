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
there can be is bounded by the number of connections."""


class NoRoom(Exception):
    """Other bodies take all the room; there will be some when their calls have ended."""


class Budget:
    """The room, and who takes how much of it."""

    def __init__(self) -> None:
        self._taken: Counter[str] = Counter()

    def lease(self, owner: str) -> "Lease":
        """Room for one body of `owner` (the UID of its McpToken), given back at the end of the block."""
        return Lease(self._taken, owner)


class Lease:
    """One body's room; it begins with `FREE_BYTES`."""

    def __init__(self, taken: Counter[str], owner: str) -> None:
        self._taken = taken
        self._owner = owner
        self._held = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._held:
            self._taken[self._owner] -= self._held
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
            self._held += more

    def check(self, size: int) -> None:
        """Whether it could grow to `size` bytes now.

        Raises:
            NoRoom: It could not.
        """
        more = self._missing(size)
        if more and (self._taken[self._owner] + more > OWNER_BYTES or self._taken.total() + more > TOTAL_BYTES):
            raise NoRoom

    def _missing(self, size: int) -> int:
        return max(0, size - FREE_BYTES - self._held)
