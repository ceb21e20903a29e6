import asyncio

import pytest

from fairlead_sidecar.ssh.flow import HIGH, Inflow, Outflow


class Source:
    """What is told to pause and to go on."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.inflow = Inflow(pause=lambda: self.calls.append("pause"), resume=lambda: self.calls.append("resume"))


async def test_a_reader_gets_what_came_in_order_and_then_the_end() -> None:
    inflow = Source().inflow
    inflow.feed(b"one")
    inflow.feed(b"two")
    inflow.end()
    assert [await inflow.read(), await inflow.read(2), await inflow.read(), await inflow.read()] == [
        b"one",
        b"tw",
        b"o",
        b"",
    ]


async def test_a_reader_that_waits_is_woken() -> None:
    inflow = Source().inflow
    reading = asyncio.create_task(inflow.read())
    await asyncio.sleep(0)
    inflow.feed(b"late")
    assert await reading == b"late"


async def test_a_reader_that_gives_up_loses_nothing() -> None:
    inflow = Source().inflow
    reading = asyncio.create_task(inflow.read())
    await asyncio.sleep(0)
    inflow.feed(b"kept")
    reading.cancel()
    await asyncio.wait({reading})
    assert await inflow.read() == b"kept"


async def test_an_error_comes_after_what_was_there() -> None:
    inflow = Source().inflow
    inflow.feed(b"last")
    inflow.end(ConnectionError("lost"))
    inflow.end()
    assert inflow.readable
    assert await inflow.read() == b"last"
    for _ in range(2):
        with pytest.raises(ConnectionError, match="lost"):
            await inflow.read()


async def test_the_source_pauses_while_much_waits_and_goes_on_when_little_does() -> None:
    source = Source()
    for _ in range(HIGH // 1024):
        source.inflow.feed(b"x" * 1024)
    assert source.calls == []
    source.inflow.feed(b"x")
    source.inflow.feed(b"x")
    assert source.calls == ["pause"]
    assert source.inflow.paused
    await source.inflow.read()
    assert source.calls == ["pause"]
    while source.inflow.paused:
        await source.inflow.read()
    assert source.calls == ["pause", "resume"]
    assert source.inflow.readable


async def test_what_nobody_will_read_is_dropped_and_holds_nothing_up() -> None:
    source = Source()
    source.inflow.feed(b"x" * (HIGH + 1))
    source.inflow.discard()
    source.inflow.feed(b"more")
    assert source.calls == ["pause", "resume"]
    assert not source.inflow.readable
    source.inflow.end()
    assert await source.inflow.read() == b""


async def test_a_writer_waits_until_there_is_room() -> None:
    outflow = Outflow()
    await outflow.drain()
    outflow.pause()
    writing = asyncio.create_task(outflow.drain())
    assert not (await asyncio.wait({writing}, timeout=0.01))[0]
    outflow.resume()
    await writing
