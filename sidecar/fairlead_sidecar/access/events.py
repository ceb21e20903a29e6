"""What the streams of handshake sessions carried, kept for a while so that a client can take a broken one up again."""

import asyncio
import itertools
import sys
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from mcp.server.streamable_http import GET_STREAM_KEY, EventCallback, EventMessage, EventStore
from mcp_types import (
    INTERNAL_ERROR,
    ErrorData,
    JSONRPCError,
    JSONRPCMessage,
    JSONRPCResponse,
    RequestId,
    jsonrpc_message_adapter,
)

TOTAL_BYTES = 16 * 1024 * 1024
"""What all events together may take. Beyond it, the oldest one goes of the owner who takes the most."""
STREAM_BYTES = 4 * 1024 * 1024
"""What the events of one stream may take; its newest one always has room."""
STREAM_EVENTS = 256
"""Events of one stream; beyond it the oldest one goes."""
RETENTION_SECONDS = 60.0
"""How long a stream is kept after its last message, the answer."""


@dataclass(eq=False, slots=True)
class Event:
    """One message of a stream."""

    stream: "Stream"
    number: int
    """Its place in the stream, from 1."""
    text: str
    """The JSON-RPC message."""

    @property
    def id(self) -> str:
        """What the client names it by in `Last-Event-ID`."""
        return self.stream.event_id(self.number)


@dataclass(eq=False, slots=True)
class Stream:
    """All messages that belong to one request, or those that belong to none."""

    name: str
    """What the transport calls it: the request's id as text, or `GET_STREAM_KEY`."""
    number: int
    request: RequestId | None = None
    """The request that it answers; None while that is not known, and for the stream of those that belong to none."""
    primed: bool = False
    """Whether its client is told its id at the beginning."""
    events: dict[int, Event] = field(default_factory=dict)
    newest: int = 0
    size: int = 0
    """Bytes that its events take."""
    answer: int | None = None
    """The number of the event that is the answer, after which nothing comes."""
    reader: object | None = None
    """Who took it up again; None while that is the connection that the request came on, or nobody."""
    abandoned_at: float | None = None
    """Since when (the loop's clock) nobody has been listening, although the answer is still to come."""
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    expiry: asyncio.TimerHandle | None = None
    """Forgets it a while after its answer."""

    def event_id(self, number: int) -> str:
        """The id of its event `number`; 0 stands for its beginning."""
        return f"{self.number}-{number}"

    def wake(self) -> None:
        """Let whoever follows it look again."""
        changed, self.changed = self.changed, asyncio.Event()
        changed.set()


class Backlog:
    """All events of a process, and how much room whose events take."""

    def __init__(self) -> None:
        self._events: defaultdict[str, dict[Event, None]] = defaultdict(dict)
        self._bytes: Counter[str] = Counter()
        self._total = 0

    @property
    def size(self) -> int:
        """How many bytes all events take."""
        return self._total

    def add(self, owner: str, event: Event) -> None:
        """Keep an event of `owner` (the UID of its McpToken), if need be in the place of older ones."""
        event.stream.events[event.number] = event
        self._events[owner][event] = None
        self._count(owner, event, 1)
        while self._total > TOTAL_BYTES:
            heaviest, _ = self._bytes.most_common(1)[0]
            self.drop(heaviest, next(iter(self._events[heaviest])))

    def drop(self, owner: str, event: Event) -> None:
        """Forget an event that is kept."""
        del event.stream.events[event.number], self._events[owner][event]
        self._count(owner, event, -1)
        if not self._events[owner]:
            # Else every owner there ever was would stay.
            del self._events[owner], self._bytes[owner]

    def _count(self, owner: str, event: Event, sign: int) -> None:
        size = sign * sys.getsizeof(event.text)
        event.stream.size += size
        self._bytes[owner] += size
        self._total += size


class EventLog(EventStore):
    """The streams of one session.

    The SDK stores in it whatever it sends. What it sends again is read from `follow`, which, unlike the SDK's own way,
    misses no message that comes in the meantime, ends behind the answer, and has one reader at a time.
    """

    def __init__(self, owner: str, backlog: Backlog) -> None:
        self._owner = owner
        self._backlog = backlog
        self._numbers = itertools.count(1)
        self._by_name: dict[str, Stream] = {}
        self._by_number: dict[int, Stream] = {}
        self._closed = False

    async def store_event(self, stream_id: str, message: JSONRPCMessage | None) -> str:
        """See `EventStore`; without a message a stream begins."""
        if message is None:
            return self._begin(stream_id).event_id(0)
        stream = self._open(stream_id)
        stream.newest += 1
        if isinstance(message, JSONRPCResponse | JSONRPCError) and stream.name != GET_STREAM_KEY:
            stream.answer, stream.abandoned_at = stream.newest, None
            stream.expiry = asyncio.get_running_loop().call_later(RETENTION_SECONDS, self.forget, stream)
        if not self._closed:
            text = message.model_dump_json(by_alias=True, exclude_unset=True)
            self._backlog.add(self._owner, Event(stream, stream.newest, text))
            self._bound(stream)
        stream.wake()
        return stream.event_id(stream.newest)

    async def replay_events_after(self, last_event_id: str, send_callback: EventCallback) -> str | None:
        """See `EventStore`: everything that is kept behind that event."""
        stream = self.find(last_event_id)
        if stream is None:
            return None
        after = _number(last_event_id)
        for event in [event for event in stream.events.values() if event.number > after]:
            await send_callback(EventMessage(jsonrpc_message_adapter.validate_json(event.text), event.id))
        return stream.name

    def request(self, name: str, request: RequestId) -> Stream:
        """The stream that the answer to a request goes to."""
        stream = self._open(name)
        stream.request = request
        return stream

    def is_taken(self, name: str) -> bool:
        """Whether another request's stream has the name, whose answer is still to come."""
        stream = self._by_name.get(name)
        return name == GET_STREAM_KEY or (stream is not None and stream.request is not None and stream.answer is None)

    def prime(self, name: str) -> None:
        """The client of this stream understands an event that only names it."""
        self._by_name[name].primed = True

    def find(self, event_id: str) -> Stream | None:
        """The stream that an event belongs to, also where the event itself is no longer kept."""
        number, separator, _ = event_id.partition("-")
        if not separator or not (number.isascii() and number.isdecimal()) or _number(event_id) < 0:
            return None
        return self._by_number.get(int(number[:20]))

    def text(self, event_id: str) -> str | None:
        """The message of an event that is kept."""
        stream = self.find(event_id)
        event = stream.events.get(_number(event_id)) if stream else None
        return event.text if event else None

    async def follow(self, event_id: str, reader: object) -> AsyncIterator[tuple[str, str]]:
        """Id and message of everything behind that event, until the answer or until another reader takes over.

        Of what was dropped for lack of room, only the answer is replaced, by an error.
        """
        stream, after = self.find(event_id), _number(event_id)
        while stream is not None and stream.reader is reader:
            missed = [event for event in stream.events.values() if event.number > after]
            for event in missed:
                yield event.id, event.text
                after = event.number
            if stream.answer is not None and not any(number > after for number in stream.events):
                if after < stream.answer and stream.request is not None:
                    yield stream.event_id(stream.answer), _lost(stream.request)
                return
            if not missed:
                await stream.changed.wait()

    def forget(self, stream: Stream) -> None:
        """Nobody can take it up again."""
        if stream.expiry is not None:
            # It would keep every request of the last minute in memory.
            stream.expiry.cancel()
        for event in list(stream.events.values()):
            self._backlog.drop(self._owner, event)
        self._by_number.pop(stream.number, None)
        if self._by_name.get(stream.name) is stream:
            del self._by_name[stream.name]

    def take_over(self, name: str) -> None:
        """End whoever follows the stream of that name."""
        stream = self._by_name.get(name)
        if stream is not None:
            stream.reader = None
            stream.wake()

    def close(self) -> None:
        """The session is over: forget everything, let nobody wait."""
        self._closed = True
        for stream in list(self._by_number.values()):
            stream.reader = None
            stream.wake()
            self.forget(stream)

    def _begin(self, name: str) -> Stream:
        old = self._by_name.get(name)
        if old is not None and old.answer is None:
            self.forget(old)
        stream = self._by_name[name] = Stream(name, next(self._numbers))
        self._by_number[stream.number] = stream
        return stream

    def _open(self, name: str) -> Stream:
        stream = self._by_name.get(name)
        return stream if stream is not None and stream.answer is None else self._begin(name)

    def _bound(self, stream: Stream) -> None:
        while len(stream.events) > STREAM_EVENTS or (stream.size > STREAM_BYTES and len(stream.events) > 1):
            self._backlog.drop(self._owner, next(iter(stream.events.values())))


def _number(event_id: str) -> int:
    """The event's place in its stream; -1 where it can't be one."""
    digits = event_id.partition("-")[2][:20]
    return int(digits) if digits.isascii() and digits.isdecimal() else -1


def _lost(request: RequestId) -> str:
    message = "The answer is no longer kept: too much came after it, or it was too large."
    error = JSONRPCError(jsonrpc="2.0", id=request, error=ErrorData(code=INTERNAL_ERROR, message=message))
    return error.model_dump_json(by_alias=True, exclude_unset=True)
