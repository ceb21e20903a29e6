"""What stands in the way of a host: what is noted, what is tried again, and what people are told."""

import asyncio

import pytest

from fairlead_api.conditions import HostReason
from fairlead_operator.cluster.errors import Invalid, Unavailable
from fairlead_operator.controllers.troubles import Troubles, Unexpected


def test_an_error_that_nobody_thought_of_does_not_keep_the_rest_from_being_done() -> None:
    troubles = Troubles()
    with troubles.noted():
        raise OverflowError("date value out of range")
    assert troubles
    assert isinstance(troubles.passing, Unexpected)
    assert isinstance(troubles.passing.__cause__, OverflowError)
    assert troubles.obstacle(closed=False) is None
    closed = troubles.obstacle(closed=True)
    assert closed is not None
    assert closed.reason is HostReason.APPLY_FAILED
    assert "The operator failed, see its log: OverflowError." in closed.message
    assert "date value" not in closed.message


def test_what_was_refused_is_told_before_what_may_pass() -> None:
    troubles = Troubles()
    with troubles.noted():
        raise Unavailable(0, "Unavailable", "no answer")
    with troubles.noted():
        raise Invalid(422, "Invalid", "too long")
    assert isinstance(troubles.passing, Unavailable)
    obstacle = troubles.obstacle(closed=False)
    assert obstacle is not None
    assert "too long" in obstacle.message


def test_the_end_of_the_task_is_no_trouble() -> None:
    troubles = Troubles()
    with pytest.raises(asyncio.CancelledError), troubles.noted():
        raise asyncio.CancelledError
    assert not troubles
