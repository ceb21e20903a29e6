"""Room for request bodies is taken while anything goes on with them, and given back once."""

import pytest

from fairlead_sidecar.access.budget import FREE_BYTES, OWNER_BYTES, Budget, NoRoom

SIZE = FREE_BYTES + 1000


def test_room_is_taken_until_the_last_that_holds_it_ends() -> None:
    budget = Budget()
    lease = budget.lease("owner")
    with lease:
        lease.grow(SIZE)
        lease.__enter__()
        assert budget._taken.total() == 1000
    assert budget._taken.total() == 1000
    lease.__exit__(None, None, None)
    assert budget._taken == {}


def test_a_call_that_begins_when_its_request_has_ended_takes_the_room_again() -> None:
    budget = Budget()
    lease = budget.lease("owner")
    with lease:
        lease.grow(SIZE)
    assert budget._taken == {}
    with lease:
        assert budget._taken.total() == 1000
    assert budget._taken == {}


def test_a_call_whose_request_has_ended_takes_it_even_where_there_is_none() -> None:
    """Its body is in memory either way: whoever comes next must find that there is no room."""
    budget = Budget()
    first, second, third = (budget.lease("owner") for _ in range(3))
    with first:
        first.grow(OWNER_BYTES)
    with second:
        second.grow(OWNER_BYTES)
        with first, third, pytest.raises(NoRoom):
            third.grow(SIZE)
    assert budget._taken == {}
