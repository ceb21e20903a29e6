"""The modern protocol's `subscriptions/listen`: a stream that is kept open for changes."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import count
from typing import Any

from mcp.shared.dispatcher import CallOptions
from mcp.shared.exceptions import MCPError
from mcp.shared.subscriptions import SUBSCRIPTION_ID_META_KEY
from mcp_types import INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND

from fairlead_sidecar.upstream.spec import Json

logger = logging.getLogger(__name__)

ACK_TIMEOUT = 10.0
"""Seconds that the server has to acknowledge a stream."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds between the end of a stream and the next one."""

Send = Callable[[str, Json, CallOptions], Awaitable[Json]]


class Listening:
    """Keeps one stream open; another one takes its place when other resources are to be watched.

    Args:
        send: Sends a request of the session.
        capabilities: Of the server.
        on_gap: Called when changes may have been missed.
    """

    def __init__(self, send: Send, capabilities: Json, on_gap: Callable[[], None]) -> None:
        self._send = send
        self._capabilities = capabilities
        self._on_gap = on_gap
        self._uris: tuple[str, ...] = ()
        self._changed = asyncio.Event()
        self._settled = asyncio.Event()
        self._acks: dict[str, asyncio.Event] = {}
        self._streams: dict[str, asyncio.Task[None]] = {}
        self._ids = count(1)
        self._refused: MCPError | None = None

    async def watch(self, uris: tuple[str, ...]) -> None:
        """Have the updates of these resources too, and no others; returns once the server has acknowledged it.

        Raises:
            MCPError: The server has no such stream.
        """
        self._uris = uris
        if self._refused is None:
            self._settled.clear()
            self._changed.set()
            await self.settled()
        if self._refused is not None:
            raise self._refused

    async def settled(self) -> None:
        """Wait until the first stream is acknowledged, refused, or late."""
        with suppress(TimeoutError):
            async with asyncio.timeout(ACK_TIMEOUT):
                await self._settled.wait()

    def told(self, method: str, params: Json | None) -> bool:
        """Take note of a notification; whether it was only for us."""
        if method == "notifications/cancelled":
            stream = self._streams.get(str((params or {}).get("requestId")))
            if stream is not None:
                stream.cancel()
            return True
        if method != "notifications/subscriptions/acknowledged":
            return False
        ack = self._acks.get(str(_meta(params).get(SUBSCRIPTION_ID_META_KEY)))
        if ack is not None:
            ack.set()
        return True

    async def run(self) -> None:
        """Keep listening until cancelled, or for as long as the server has such a thing."""
        pause, gap = FIRST_PAUSE, False
        try:
            while True:
                self._changed.clear()
                request_id, stream = self._open()
                acknowledged = await self._acknowledged(request_id, stream)
                self._close_others(request_id)
                self._settled.set()
                if gap:
                    self._on_gap()
                gap = False
                changed = asyncio.create_task(self._changed.wait())
                await asyncio.wait({changed, stream}, return_when=asyncio.FIRST_COMPLETED)
                changed.cancel()
                if not stream.done():
                    continue
                if self._ended(stream):
                    return
                pause = FIRST_PAUSE if acknowledged else min(pause * 2, LONGEST_PAUSE)
                gap = True
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._changed.wait()
        finally:
            self._settled.set()
            self._close_others(None)

    def _open(self) -> tuple[str, asyncio.Task[None]]:
        # No number, so that it can't be mistaken for an id of the dispatcher's.
        request_id = f"listen-{next(self._ids)}"
        self._acks[request_id] = asyncio.Event()
        stream = asyncio.create_task(self._stream(request_id))
        self._streams[request_id] = stream
        return request_id, stream

    async def _stream(self, request_id: str) -> None:
        wanted: Json = {f"{name}ListChanged": True for name in ("tools", "prompts", "resources") if self._has(name)}
        if self._uris:
            wanted["resourceSubscriptions"] = list(self._uris)
        await self._send("subscriptions/listen", {"notifications": wanted}, {"request_id": request_id})

    def _has(self, name: str) -> bool:
        return name in self._capabilities

    async def _acknowledged(self, request_id: str, stream: asyncio.Task[None]) -> bool:
        ack = asyncio.create_task(self._acks[request_id].wait())
        await asyncio.wait({ack, stream}, timeout=ACK_TIMEOUT, return_when=asyncio.FIRST_COMPLETED)
        return not ack.cancel()

    def _close_others(self, kept: str | None) -> None:
        for request_id in [request_id for request_id in self._streams if request_id != kept]:
            stream = self._streams.pop(request_id)
            stream.cancel()
            stream.add_done_callback(_look_at)
            self._acks.pop(request_id)

    def _ended(self, stream: asyncio.Task[None]) -> bool:
        """Whether there is no point in opening another one."""
        error = None if stream.cancelled() else stream.exception()
        if not isinstance(error, MCPError):
            return False
        logger.info("The server ended the stream of changes: %s", error.message)
        # So answers a server that has no such thing; one that has may well end a stream for a time.
        if error.code in {METHOD_NOT_FOUND, INVALID_REQUEST, INVALID_PARAMS}:
            self._refused = error
        return self._refused is not None


def _look_at(task: asyncio.Task[None]) -> None:
    if not task.cancelled():
        task.exception()


def _meta(params: Json | None) -> dict[str, Any]:
    meta = (params or {}).get("_meta")
    return meta if isinstance(meta, dict) else {}
