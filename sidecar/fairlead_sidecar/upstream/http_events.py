"""Server-sent events out of bytes, without copies of long ones."""

from dataclasses import dataclass, field

from fairlead_sidecar.upstream.errors import ProtocolError
from fairlead_sidecar.upstream.messages import MAX_MESSAGE_BYTES

_MOST_DIGITS = 9


@dataclass(slots=True)
class Event:
    """One event; `data` may be emptied by who has read it."""

    name: str = "message"
    data: bytearray = field(default_factory=bytearray)
    id: str | None = None
    retry: float | None = None
    """Seconds to wait before the stream is asked for again."""


class EventDecoder:
    """Makes events of the pieces that come (HTML standard, 9.2.6); each line and each event is held once."""

    def __init__(self, most: int = MAX_MESSAGE_BYTES) -> None:
        """`most` is the number of bytes that one event may have."""
        self._most = most
        self._line = bytearray()
        self._event = Event()
        self._has_data = False
        self._is_empty = True
        self._after_return = False

    def feed(self, piece: bytes) -> list[Event]:
        """The events that `piece` completes.

        Raises:
            ProtocolError: One is too long.
        """
        if self._after_return and piece.startswith(b"\n"):
            piece = piece[1:]
        self._after_return = piece.endswith(b"\r")
        if b"\r" in piece:
            piece = piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        events = []
        start = 0
        while (end := piece.find(b"\n", start)) >= 0:
            self._line += piece[start:end]
            start = end + 1
            if (event := self._end_line()) is not None:
                events.append(event)
        self._line += piece[start:]
        if len(self._line) + len(self._event.data) > self._most:
            raise ProtocolError(f"The server sent an event of more than {self._most} bytes.")
        return events

    def _end_line(self) -> Event | None:
        line, self._line = self._line, bytearray()
        if not line:
            return self._end_event()
        name, colon, _ = bytes(line[:16]).partition(b":")
        if colon and not name:
            return None  # a comment
        value_at = len(name) + (2 if line[len(name) + 1 : len(name) + 2] == b" " else 1)
        # No copy: what is left keeps its place in memory.
        del line[:value_at]
        self._set(name, line)
        return None

    def _set(self, name: bytes, value: bytearray) -> None:
        if name == b"data":
            if self._has_data:
                self._event.data += b"\n"
                self._event.data += value
            else:
                self._event.data, self._has_data = value, True
        elif name == b"event":
            self._event.name = value.decode(errors="replace") or "message"
        elif name == b"id" and b"\0" not in value:
            self._event.id = value.decode(errors="replace")
        elif name == b"retry" and value.isdigit() and len(value) <= _MOST_DIGITS:
            self._event.retry = int(value) / 1000
        else:
            return
        self._is_empty = False

    def _end_event(self) -> Event | None:
        if self._is_empty:
            return None
        event, self._event = self._event, Event()
        self._has_data, self._is_empty = False, True
        return event
