"""What stands in the way of bringing a host to where it should be: noted, so that the rest can go on."""

from collections.abc import Iterator
from contextlib import contextmanager

from fairlead_api.conditions import HostReason
from fairlead_operator.cluster.applier import NameTaken, StillDeleting
from fairlead_operator.cluster.errors import ApiError, Forbidden, Invalid, NotFound, Terminating
from fairlead_operator.reconcile.observed import Obstacle

RETRY_REFUSED = 30.0
"""Seconds after which something that the API server refused is tried again: a quota may have been raised."""
RETRY_DELETING = 1.0
_CLOSED = (
    " So the pod can't be told which tokens are still good, and it is stopped: it starts again as soon as its"
    " configuration can be written."
)


class Unusable(Exception):
    """The object can't be turned into a configuration."""

    def __init__(self, obstacle: Obstacle) -> None:
        super().__init__(obstacle.message)
        self.obstacle = obstacle


class Troubles:
    """The errors of one attempt, in the order in which they were met."""

    def __init__(self) -> None:
        self._met: list[Unusable | NameTaken | StillDeleting | ApiError] = []

    def __bool__(self) -> bool:
        return bool(self._met)

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Note an error that the block ends with, instead of passing it on."""
        try:
            yield
        except (Unusable, NameTaken, StillDeleting, ApiError) as error:
            self._met.append(error)

    @property
    def terminating(self) -> bool:
        """Whether the namespace is about to go: there is nothing left to do."""
        return any(isinstance(error, Terminating) for error in self._met)

    @property
    def waiting(self) -> bool:
        """Whether the only thing is that an earlier object's children are still being deleted."""
        return bool(self._met) and all(isinstance(error, StillDeleting) for error in self._met)

    @property
    def passing(self) -> ApiError | None:
        """An error that may be gone with the next attempt: no answer, a conflict, a fault of the API server."""
        return next((e for e in self._met if isinstance(e, ApiError) and not isinstance(e, _REFUSALS)), None)

    def obstacle(self, *, closed: bool) -> Obstacle | None:
        """What people are told: the first thing that does not pass by itself; None: nothing.

        Args:
            closed: Whether the pod was stopped for it.
        """
        lasting = [error for error in self._met if not isinstance(error, ApiError) or isinstance(error, _REFUSALS)]
        told = lasting or (self._met if closed else [])
        if not told:
            return None
        found = _obstacle(told[0])
        return Obstacle(found.reason, found.message + _CLOSED, found.retry, closed=True) if closed else found


_REFUSALS = (Invalid, Forbidden, NotFound)


def _obstacle(error: Unusable | NameTaken | StillDeleting | ApiError) -> Obstacle:
    if isinstance(error, Unusable):
        return error.obstacle
    if isinstance(error, NameTaken):
        return Obstacle(HostReason.NAME_CONFLICT, str(error), RETRY_REFUSED)
    if isinstance(error, StillDeleting):
        return Obstacle(HostReason.APPLY_FAILED, str(error), RETRY_DELETING)
    message = f"The API server refused an object of this host: {error.message}"
    return Obstacle(HostReason.APPLY_FAILED, message, RETRY_REFUSED)
