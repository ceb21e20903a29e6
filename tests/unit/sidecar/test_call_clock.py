import asyncio

import pytest

from fairlead_sidecar.errors import CallTimedOut
from fairlead_sidecar.protocol.call_clock import CallClock


async def test_a_call_ends_when_its_time_is_over() -> None:
    with pytest.raises(CallTimedOut):
        async with CallClock(0.01).running():
            await asyncio.sleep(10)


async def test_time_in_which_a_person_thinks_does_not_count() -> None:
    clock = CallClock(0.1)
    async with clock.running():
        with clock.paused(), clock.paused():
            await asyncio.sleep(0.2)


async def test_after_a_pause_the_time_goes_on() -> None:
    clock = CallClock(0.05)

    async def slow() -> None:
        async with clock.running():
            with clock.paused():
                await asyncio.sleep(0)
            await asyncio.sleep(10)

    with pytest.raises(CallTimedOut):
        await slow()


async def test_a_pause_after_the_end_does_nothing() -> None:
    clock = CallClock(1)
    async with clock.running():
        pass
    with clock.paused():
        pass


async def test_a_timeout_of_something_inside_is_not_the_calls() -> None:
    with pytest.raises(TimeoutError):
        async with CallClock(10).running():
            raise TimeoutError
