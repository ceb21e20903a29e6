"""What stands in the way of bringing a host to where it should be: noted, so that the rest can go on."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeGuard

from fairlead_api.conditions import HostReason
from fairlead_operator.cluster.applier import NameTaken, StillDeleting
from fairlead_operator.cluster.errors import ApiError, Forbidden, Invalid, NotFound, Terminating
from fairlead_operator.reconcile.observed import Obstacle

logger = logging.getLogger(__name__)

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


class Unexpected(Exception):
    """A defect of the operator's; `__cause__` is what it looked like."""


_Trouble = Unusable | NameTaken | StillDeleting | ApiError | Unexpected


class Troubles:
    """The errors of one attempt, in the order in which they were met."""

    def __init__(self) -> None:
        self._met: list[_Trouble] = []

    def __bool__(self) -> bool:
        return bool(self._met)

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Note an error that the block ends with, instead of passing it on."""
        try:
            yield
        except (Unusable, NameTaken, StillDeleting, ApiError) as error:
            self._met.append(error)
        except Exception as error:
            # Whatever an object or a Secret holds that nobody thought of: the rest goes on, revocations above all.
            logger.exception("what a host needs could not be brought about")
            # Its own words may hold a piece of a secret.
            unexpected = Unexpected(type(error).__name__)
            unexpected.__cause__ = error
            self._met.append(unexpected)

    @property
    def terminating(self) -> bool:
        """Whether the namespace is about to go: there is nothing left to do."""
        return any(isinstance(error, Terminating) for error in self._met)

    @property
    def waiting(self) -> bool:
        """Whether the only thing is that an earlier object's children are still being deleted."""
        return bool(self._met) and all(isinstance(error, StillDeleting) for error in self._met)

    @property
    def passing(self) -> ApiError | Unexpected | None:
        """An error that may be gone with the next attempt: no answer, a conflict, a fault of the API server or ours."""
        return next((error for error in self._met if _passes(error)), None)

    def obstacle(self, *, closed: bool) -> Obstacle | None:
        """What people are told: the first thing that does not pass by itself; None: nothing.

        Args:
            closed: Whether the pod was stopped for it.
        """
        lasting = [error for error in self._met if not _passes(error)]
        told = lasting or (self._met if closed else [])
        if not told:
            return None
        found = _obstacle(told[0])
        return Obstacle(found.reason, found.message + _CLOSED, found.retry, closed=True) if closed else found

    @property
    def first(self) -> Obstacle | None:
        """What was met first, whether it passes or not."""
        return _obstacle(self._met[0]) if self._met else None


_REFUSALS = (Invalid, Forbidden, NotFound)


def _passes(error: _Trouble) -> TypeGuard[ApiError | Unexpected]:
    return isinstance(error, ApiError | Unexpected) and not isinstance(error, _REFUSALS)


def _obstacle(error: _Trouble) -> Obstacle:
    if isinstance(error, Unusable):
        return error.obstacle
    if isinstance(error, NameTaken):
        return Obstacle(HostReason.NAME_CONFLICT, str(error), RETRY_REFUSED)
    if isinstance(error, StillDeleting):
        return Obstacle(HostReason.APPLY_FAILED, str(error), RETRY_DELETING)
    if isinstance(error, Unexpected):
        return Obstacle(HostReason.APPLY_FAILED, f"The operator failed, see its log: {error}.", RETRY_REFUSED)
    message = f"The API server refused an object of this host: {error.message}"
    return Obstacle(HostReason.APPLY_FAILED, message, RETRY_REFUSED)
