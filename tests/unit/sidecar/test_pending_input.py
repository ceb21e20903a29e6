import asyncio
from typing import Any

import pytest

from fairlead_sidecar.protocol import pending_input
from fairlead_sidecar.protocol.confirm import ForgedState
from fairlead_sidecar.protocol.pending_input import PendingCall, PendingInput
from fairlead_sidecar.protocol.questions import Subject

ANN = Subject.of("ann", "tools/call box ask", {"about": "life"})
BOB = Subject.of("bob", "tools/call box ask", {"about": "life"})
OTHER = Subject.of("ann", "tools/call box ask", {"about": "death"})
NOBODY: Any = None


async def forever() -> dict[str, Any]:
    await asyncio.Event().wait()
    return {}


def waiting(subject: Subject) -> PendingCall:
    return PendingCall(subject, NOBODY, asyncio.create_task(forever()))


async def test_a_waiting_call_is_taken_once_and_only_by_its_caller_for_the_same_request() -> None:
    pending, call = PendingInput(), waiting(ANN)
    state = pending.hold(call)
    assert pending.take(state, BOB) is None
    assert pending.take(state, OTHER) is None
    assert pending.take(state, ANN) is call
    assert pending.take(state, ANN) is None
    call.task.cancel()


async def test_a_servers_own_state_comes_back_as_it_was() -> None:
    pending = PendingInput()
    state = pending.seal(ANN, "opaque")
    assert "opaque" not in state
    assert pending.take(state, BOB) is None
    assert [pending.take(state, ANN), pending.take(state, ANN)] == ["opaque", "opaque"]


async def test_a_state_of_another_make_is_refused() -> None:
    with pytest.raises(ForgedState):
        PendingInput().take(PendingInput().seal(ANN, "opaque"), ANN)


async def test_a_call_that_nobody_goes_on_with_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pending_input, "TIMEOUT", 0.01)
    pending, call = PendingInput(), waiting(ANN)
    state = pending.hold(call)
    await asyncio.wait([call.task], timeout=5)
    assert call.task.cancelled()
    assert pending.take(state, ANN) is None


async def test_the_oldest_gives_way_to_too_many_of_one_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pending_input, "MAX_OF_OWNER", 2)
    pending, calls = PendingInput(), [waiting(ANN) for _ in range(3)]
    bobs = waiting(BOB)
    pending.hold(bobs)
    for call in calls:
        pending.hold(call)
    await asyncio.wait([calls[0].task], timeout=5)
    assert [call.task.cancelled() for call in (*calls, bobs)] == [True, False, False, False]
    for call in (*calls, bobs):
        call.task.cancel()
