"""Carries messages between a client on stdio and an endpoint on HTTP, as they are, for all protocol versions.

The era is the client's: a message that carries its own protocol version (2026-07-28 and later) goes by itself; others
belong to the session that the client's `initialize` began.
"""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Protocol

from fairlead_client.connect import messages
from fairlead_client.connect.endpoint import Cut, Endpoint, EndpointError, Refused
from fairlead_client.connect.exchange import exchange, repeated
from fairlead_client.connect.handshake import Handshake
from fairlead_client.connect.headers import ParameterHeaders, modern_headers
from fairlead_client.connect.messages import Id, Message

CANCELLED = "notifications/cancelled"
LISTEN = "subscriptions/listen"
ACKNOWLEDGED = "notifications/subscriptions/acknowledged"
GOODBYE_SECONDS = 3.0
RELISTEN_SECONDS = 1.0
_LISTS = {"toolsListChanged": "tools", "promptsListChanged": "prompts", "resourcesListChanged": "resources"}


class Client(Protocol):
    """Who the messages come from and go to."""

    async def write(self, line: bytes) -> None:
        """Take one message."""


@dataclass
class UnderWay:
    """Requests that the endpoint works on."""

    message: Message
    modern: bool
    task: asyncio.Task[None] | None = None
    cancelled: bool = False
    """The client wants no answer any more."""


class Bridge:
    """One client, one endpoint."""

    def __init__(self, client: Client, endpoint: Endpoint, say: Callable[[str], None]) -> None:
        """Nothing is sent before the client has said something."""
        self._client = client
        self._endpoint = endpoint
        self._say = say
        self._parameters = ParameterHeaders()
        self._modern_version: str | None = None
        self._handshake = Handshake(endpoint, self._deliver, self._start, say)
        self._under_way: dict[Id, UnderWay] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def take(self, line: bytes) -> None:
        """Take one line from the client; returns when the next may come, not when this one is answered."""
        try:
            message = messages.read(line.decode())
        except ValueError as error:
            self._say(f"The client sent something that is no JSON-RPC message: {error}")
            await self._write(messages.error(None, messages.PARSE_ERROR, f"This is no JSON-RPC message: {error}"))
            return
        version = message.modern_version
        self._modern_version = version or self._modern_version
        if message.requests:
            # Registered before anything is awaited: what comes next may be its cancellation.
            under_way = UnderWay(message, modern=version is not None)
            self._under_way |= dict.fromkeys(message.requests, under_way)
            under_way.task = self._start(self._request(under_way))
        elif message.method == CANCELLED:
            await self._cancel(message)
        else:
            await self._tell(message)

    async def close(self) -> None:
        """Give up whatever is under way and end the session."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with contextlib.suppress(TimeoutError, EndpointError):
            async with asyncio.timeout(GOODBYE_SECONDS):
                await self._handshake.end()

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _request(self, under_way: UnderWay) -> None:
        message = under_way.message
        left = set(message.requests)

        async def deliver(part: Message) -> None:
            left.difference_update(part.answers)
            await self._deliver(part)

        try:
            if message.method == "initialize":
                await self._handshake.begin(message, deliver)
            elif message.method == LISTEN and under_way.modern:
                await self._listen(message, deliver)
            elif under_way.modern:
                await self._exchange_modern(message, deliver)
            else:
                await self._handshake.exchange(message, deliver, lambda: not under_way.cancelled)
        except EndpointError as error:
            if not under_way.cancelled:
                self._say(f"{message.method or 'A batch'} failed: {error}.")
                for answer in messages.errors(tuple(left), _code(message, error), _sentence(message, error)):
                    await self._write(answer)
        except Exception as error:
            # Whatever it is, the client must not wait for ever.
            for answer in messages.errors(tuple(left), messages.CONNECTION_CLOSED, f"fairlead connect: {error!r}"):
                await self._write(answer)
            raise
        finally:
            for identifier in message.requests:
                if self._under_way.get(identifier) is under_way:
                    del self._under_way[identifier]

    async def _exchange_modern(self, message: Message, deliver: Callable[[Message], Any]) -> None:
        headers = modern_headers(message, message.modern_version or "", self._parameters)
        await repeated(message, lambda: exchange(self._endpoint, message, headers, deliver))

    async def _listen(self, message: Message, deliver: Callable[[Message], Any]) -> None:
        """Keep a subscription for as long as the client wants it, whatever becomes of the endpoint meanwhile."""
        (identifier,) = message.requests
        headers = modern_headers(message, message.modern_version or "", self._parameters)
        acknowledged = refused = False

        async def pass_on(part: Message) -> None:
            nonlocal acknowledged, refused
            if part.answers and "result" in part.parts[0]:
                # The server ends all subscriptions, as it does when it is replaced.
                return
            if part.method == ACKNOWLEDGED and acknowledged:
                await self._announce(part, identifier)
                return
            acknowledged = acknowledged or part.method == ACKNOWLEDGED
            refused = bool(part.answers)
            await deliver(part)

        while not refused:
            try:
                await exchange(self._endpoint, message, headers, pass_on, persistent=acknowledged)
            except Cut:
                if not acknowledged:
                    raise
            if not refused:
                await asyncio.sleep(RELISTEN_SECONDS)

    async def _announce(self, acknowledged: Message, identifier: Id) -> None:
        """Let the client ask for its lists again: what has changed meanwhile was told to nobody."""
        agreed = acknowledged.params.get("notifications")
        for key, name in _LISTS.items():
            if isinstance(agreed, dict) and agreed.get(key):
                meta = {"_meta": {messages.SUBSCRIPTION_KEY: identifier}}
                await self._write(messages.notification(f"notifications/{name}/list_changed", meta))

    async def _cancel(self, message: Message) -> None:
        identifier = message.params.get("requestId")
        under_way = self._under_way.get(identifier) if isinstance(identifier, str | int | float) else None
        if under_way is not None:
            under_way.cancelled = True
            if under_way.modern and under_way.task is not None:
                # In these protocols the end of the response is the cancellation.
                under_way.task.cancel()
                return
        if self._handshake.session is not None:
            await self._tell(message)

    async def _tell(self, message: Message) -> None:
        """Send what gets no answer: notifications, and answers to what the server asked."""
        try:
            if self._handshake.session is not None and message.modern_version is None:
                await self._handshake.tell(message)
            elif version := message.modern_version or self._modern_version:
                async with self._endpoint.open(
                    "POST", modern_headers(message, version, self._parameters), message.text.encode()
                ) as response:
                    if response.status_code >= 300:
                        raise await self._endpoint.refusal(response)
        except EndpointError as error:
            self._say(f"{message.method or 'An answer'} did not arrive: {error}.")

    async def _deliver(self, message: Message) -> None:
        self._parameters.learn(message.result)
        await self._write(message)

    async def _write(self, message: Message) -> None:
        await self._client.write(message.text.encode())


def _code(message: Message, error: EndpointError) -> int:
    # A client that asks which protocol is spoken takes this for the answer, and tries an older one.
    probing = (
        message.method == "server/discover" and isinstance(error, Refused) and error.status in {400, 404, 405, 406}
    )
    return messages.METHOD_NOT_FOUND if probing else messages.CONNECTION_CLOSED


def _sentence(message: Message, error: EndpointError) -> str:
    unknown = isinstance(error, Cut) and not message.repeatable
    return f"fairlead connect: {error}." + (" Whether it has had an effect is not known." if unknown else "")
