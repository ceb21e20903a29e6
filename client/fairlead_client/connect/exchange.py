"""One POST and all that comes back for it, across the drops of its connection."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import httpx2

from fairlead_client.connect import answers
from fairlead_client.connect.endpoint import Cut, Endpoint, EndpointError, Refused
from fairlead_client.connect.messages import Message, read
from fairlead_client.connect.session import SESSION_ID

Deliver = Callable[[Message], Awaitable[None]]
RETRY_SECONDS = 1.0
"""Before a stream is asked for again, unless the server names another time."""
LONGEST_RETRY_MS = 3_600_000
"""Whatever number it names."""
TRIES = 4
"""Of requests that may be repeated."""
MAX_EMPTY_RESUMPTIONS = 5
"""A stream that ends so often in a row without having said anything is not waited for any more."""


class Stream:
    """Where a stream of events stands, so that it can be taken up again (`Last-Event-ID`)."""

    def __init__(self) -> None:
        self.last_id = ""
        self.retry = RETRY_SECONDS

    async def read(self, response: httpx2.Response, deliver: Deliver, done: Callable[[], bool]) -> bool:
        """Pass on what comes, until the stream ends or nothing more is wanted.

        Returns:
            Whether anything came.
        """
        any_came = False
        async for event in httpx2.EventSource(response, max_event_size=None):
            if event.retry is not None:
                self.retry = min(event.retry, LONGEST_RETRY_MS) / 1000
            self.last_id = event.id or self.last_id
            if event.data and event.event == "message":
                await deliver(parse(event.data))
                any_came = True
                if done():
                    break
        return any_came


async def exchange(
    endpoint: Endpoint,
    message: Message,
    headers: Mapping[str, str],
    deliver: Deliver,
    *,
    began: Callable[[httpx2.Response], None] | None = None,
    resumable: Callable[[], bool] = lambda: False,
    persistent: bool = False,
) -> None:
    """Post requests and deliver what belongs to them, their answers last.

    Args:
        endpoint: Where to.
        message: The requests.
        headers: Of the POST, and of the GETs that take the stream up again.
        deliver: Called with each message that comes back.
        began: Called with the first response, once it is known to be a good one.
        resumable: Whether the stream may be taken up again now.
        persistent: Wait for an endpoint that is away for as long as it takes.

    Raises:
        Refused: The endpoint answered with an HTTP error.
        EndpointError: There is no answer; what came before it has been delivered.
    """
    waiting = set(message.requests)
    stream = Stream()

    async def pass_on(part: Message) -> None:
        waiting.difference_update(part.answers)
        await deliver(part)

    async def post() -> None:
        async with endpoint.open("POST", headers, message.text.encode(), persistent=persistent) as response:
            if response.status_code >= 300:
                if SESSION_ID in headers and await answers.is_lost_session(response):
                    msg = "the endpoint does not know the session"
                    raise Refused(msg, 404)
                await pass_on(await _error(endpoint, response, message))
                return
            if began is not None:
                began(response)
            if answers.is_json(response):
                await response.aread()
                await pass_on(parse(response.text))
            elif answers.is_stream(response):
                await stream.read(response, pass_on, lambda: not waiting)
            else:
                kind = answers.shown(response.headers.get("content-type", "nothing"))
                msg = f"the endpoint answered HTTP {response.status_code} with {kind}, which is no MCP"
                raise EndpointError(msg)

    async def resume() -> bool:
        again = {**headers, "Last-Event-ID": stream.last_id}
        async with endpoint.open("GET", again) as response:
            if response.status_code in {401, 403, 404}:
                raise await endpoint.refusal(response)
            if response.status_code >= 300 or not answers.is_stream(response):
                msg = f"the connection was cut, and the stream can't be taken up again (HTTP {response.status_code})"
                raise Cut(msg)
            return await stream.read(response, pass_on, lambda: not waiting)

    cause: Cut | None = None
    try:
        await post()
    except Cut as error:
        if not stream.last_id:
            raise
        cause = error
    empty = 0
    while waiting:
        if not (stream.last_id and resumable()) or empty >= MAX_EMPTY_RESUMPTIONS:
            raise cause or Cut("the stream of events ended without the answer")
        await asyncio.sleep(stream.retry)
        try:
            empty = 0 if await resume() else empty + 1
        except Cut as error:
            cause, empty = error, empty + 1


async def repeated(message: Message, work: Callable[[], Awaitable[None]]) -> None:
    """Do something again when its connection was cut, where that changes nothing but that there is an answer.

    Raises:
        EndpointError: It failed for another reason, or too often.
    """
    for left in reversed(range(TRIES)):
        try:
            await work()
        except Cut:
            if not message.repeatable or not left:
                raise
        else:
            return
        await asyncio.sleep(RETRY_SECONDS / 2)


async def _error(endpoint: Endpoint, response: httpx2.Response, message: Message) -> Message:
    """The server's own JSON-RPC error, where an HTTP error holds one."""
    if len(message.requests) == 1 and await answers.is_rpc(response):
        found = parse(response.text)
        if "error" in found.parts[0]:
            return found.answering(message.requests[0])
    raise await endpoint.refusal(response)


def parse(text: str) -> Message:
    """What a server sent.

    Raises:
        EndpointError: It is no JSON-RPC message.
    """
    try:
        return read(text)
    except ValueError as error:
        msg = f"the endpoint sent something that is no JSON-RPC message ({answers.shown(str(error))})"
        raise EndpointError(msg) from error
