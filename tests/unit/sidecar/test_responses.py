"""How the messages of an answer are put together before they are written."""

import asyncio

import pytest
from starlette.types import Message

from fairlead_sidecar.access.responses import (
    FIRST_SECONDS,
    FLUSH_BYTES,
    FLUSH_SECONDS,
    MAY_WAIT,
    OPENING_SECONDS,
    Response,
)

START: Message = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]}


def body(content: bytes, *, more: bool = True) -> Message:
    return {"type": "http.response.body", "body": content, "more_body": more}


class Client:
    """What came out, and a way to be slow."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.reads = asyncio.Event()
        self.reads.set()
        self.is_written_to = asyncio.Event()

    async def __call__(self, message: Message) -> None:
        self.is_written_to.set()
        await self.reads.wait()
        self.messages.append(message)

    async def written(self) -> None:
        """Wait for the next attempt to write."""
        await asyncio.wait_for(self.is_written_to.wait(), 5)
        self.is_written_to.clear()

    @property
    def bodies(self) -> list[bytes]:
        return [message["body"] for message in self.messages if message["type"] == "http.response.body"]


async def test_what_comes_at_once_is_written_at_once() -> None:
    client = Client()
    response = Response(client)
    for message in (START, body(b"priming "), body(b"answer"), body(b"", more=False)):
        await response(message)
    assert client.messages == [START, body(b"priming answer", more=False)]


async def test_a_beginning_without_a_continuation_does_not_wait_for_long() -> None:
    client = Client()
    response = Response(client)
    await response(START)
    assert client.messages == []
    await client.written()
    await response(body(b"first"))
    await client.written()
    await response(body(b"last", more=False))
    assert client.bodies == [b"first", b"last"]


async def test_a_head_waits_a_moment_for_what_comes_soon() -> None:
    client = Client()
    response = Response(client)
    await response(START)
    await asyncio.sleep(FIRST_SECONDS / 4)
    assert client.messages == []
    await response(body(b"answer", more=False))
    assert client.messages == [START, body(b"answer", more=False)]


async def test_a_beginning_that_tells_nothing_waits_for_the_answer() -> None:
    client = Client()
    response = Response(client)
    await response(START)
    await response({**body(b"priming "), MAY_WAIT: True})
    await asyncio.sleep(OPENING_SECONDS / 4)
    assert client.messages == []
    await response(body(b"answer", more=False))
    assert client.bodies == [b"priming answer"]


async def test_a_beginning_that_tells_nothing_goes_before_a_late_answer() -> None:
    client = Client()
    response = Response(client)
    await response(START)
    await response({**body(b"priming "), MAY_WAIT: True})
    await client.written()
    assert client.bodies == [b"priming "]


async def test_what_tells_something_waits_for_nothing_long() -> None:
    client = Client()
    response = Response(client)
    await response(START)
    await response({**body(b"priming "), MAY_WAIT: True})
    begun = asyncio.get_running_loop().time()
    await response(body(b"progress"))
    await client.written()
    assert asyncio.get_running_loop().time() - begun < OPENING_SECONDS / 2
    assert client.bodies == [b"priming progress"]


async def test_much_is_written_at_once_and_its_sender_waits_for_the_client() -> None:
    client = Client()
    response = Response(client)
    client.reads.clear()
    await response(START)
    large = asyncio.create_task(response(body(b"x" * (FLUSH_BYTES + 1))))
    await client.written()
    assert not large.done()
    client.reads.set()
    await asyncio.wait_for(large, 5)
    assert [len(content) for content in client.bodies] == [FLUSH_BYTES + 1]


async def test_order_is_kept_while_the_client_is_slow() -> None:
    client = Client()
    response = Response(client)
    client.reads.clear()
    await response(START)
    await client.written()  # the head, which now waits for the client
    await response(body(b"1"))
    last = asyncio.create_task(response(body(b"2", more=False)))
    done, _ = await asyncio.wait([last], timeout=10 * FLUSH_SECONDS)
    assert not done
    assert not client.messages
    client.reads.set()
    await asyncio.wait_for(last, 5)
    assert b"".join(client.bodies) == b"12"
    assert client.messages[0] == START
    assert client.messages[-1]["more_body"] is False


async def test_what_came_while_the_client_was_slow_is_written_once_it_reads() -> None:
    client = Client()
    response = Response(client)
    client.reads.clear()
    await response(START)
    await client.written()  # the head, which now waits for the client
    await response(body(b"event"))
    await asyncio.wait([asyncio.create_task(client.is_written_to.wait())], timeout=10 * FLUSH_SECONDS)
    client.reads.set()
    async with asyncio.timeout(5):
        while client.bodies != [b"event"]:
            await client.written()
            await asyncio.sleep(0)


@pytest.mark.parametrize("slow", [True, False])
async def test_an_answer_cut_behind_its_last_message_still_ends_once(slow: bool) -> None:
    client = Client()
    response = Response(client)
    client.reads.clear()
    await response(START)
    if slow:
        await client.written()  # the head is being written by itself; the end stands behind it
    last = asyncio.create_task(response(body(b"answer", more=False)))
    if not slow:
        await client.written()
    await asyncio.wait([last], timeout=10 * FLUSH_SECONDS)
    last.cancel()
    with pytest.raises(asyncio.CancelledError):
        await last
    assert not response.finished
    client.reads.set()
    await response(body(b"", more=False))
    assert client.messages == [START, body(b"answer", more=False)]
    assert response.finished


async def test_an_end_that_was_being_written_when_its_sender_was_cut_is_not_written_again() -> None:
    client = Client()
    response = Response(client)
    client.reads.clear()
    await response(START)
    await client.written()
    last = asyncio.create_task(response(body(b"answer", more=False)))
    await asyncio.wait([last], timeout=10 * FLUSH_SECONDS)
    last.cancel()
    with pytest.raises(asyncio.CancelledError):
        await last
    client.reads.set()
    ends = [response(body(b"", more=False)), response(body(b"", more=False))]
    await asyncio.wait_for(asyncio.gather(*ends), 5)
    assert client.messages == [START, body(b"answer", more=False)]


async def test_an_answer_that_was_given_up_is_not_written() -> None:
    client = Client()
    response = Response(client)
    await response(START)
    response.close()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(client.is_written_to.wait(), 10 * FLUSH_SECONDS)


@pytest.mark.parametrize("content", [b"", b"Not here"])
async def test_errors_that_are_not_json_become_json(content: bytes) -> None:
    client = Client()
    response = Response(client)
    await response({"type": "http.response.start", "status": 404, "headers": [(b"content-type", b"text/plain")]})
    await response(body(content, more=False))
    assert client.messages[0]["status"] == 404
    assert client.bodies == [b'{"error": "not_found", "message": "%b"}' % (content or b"Not Found")]
    assert response.finished
