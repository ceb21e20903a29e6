"""One MCP session with an upstream server, over whatever wire."""

import asyncio
import logging
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

import anyio
from mcp.shared.dispatcher import CallOptions, DispatchContext
from mcp.shared.exceptions import MCPError
from mcp.shared.jsonrpc_dispatcher import JSONRPCDispatcher
from mcp.shared.subscriptions import SUBSCRIPTION_ID_META_KEY
from mcp.shared.transport_context import TransportContext
from mcp_types import CONNECTION_CLOSED, METHOD_NOT_FOUND, JSONRPCRequest, JSONRPCResponse

from fairlead_sidecar.upstream.catalogue import CHANGES, fetched, param_headers
from fairlead_sidecar.upstream.errors import Exited, NotResponding, ProtocolError, StartFailed, UpstreamError, again
from fairlead_sidecar.upstream.messages import upstream_failure
from fairlead_sidecar.upstream.negotiation import (
    ALL_CAPABILITIES,
    PROBE_TIMEOUT,
    Agreement,
    ParamHeaders,
    dressed,
    negotiate,
    passed_on,
)
from fairlead_sidecar.upstream.session_calls import MAX_QUESTIONS, Calls
from fairlead_sidecar.upstream.session_inbox import Inbox
from fairlead_sidecar.upstream.session_listen import Listening
from fairlead_sidecar.upstream.session_setup import ProbeEnded, Setup
from fairlead_sidecar.upstream.session_watchers import SUBSCRIBE, UNSUBSCRIBE, Watchers
from fairlead_sidecar.upstream.spec import Asking, Catalogue, Interaction, Json, Wire

logger = logging.getLogger(__name__)

LIST_TIMEOUT = 60.0
"""Seconds that the server has for all its lists."""
DEBOUNCE = 0.1
"""Seconds between a change of a list and fetching it, so that many changes at once are one."""
LONGEST_DEBOUNCE = 10.0
"""The same where the lists change all the time: nobody can follow that, and each change concerns all clients."""
QUIET = 2.0
"""Seconds without a change after which a server counts as quiet."""
DELIVERY_TIMEOUT = 5.0
"""Seconds that the notifications before a result have to reach the client."""
END_TIMEOUT = 3.0
"""Seconds that the end of a connection may take to be read that can't be written to any more."""
LOOK_TIMEOUT = 10.0
"""Seconds that an answer may take of which nothing depends but whether there is one."""
MAX_NOTIFICATIONS = 1024
"""Notifications that belong to no request and wait to be passed on."""
MAX_REQUESTS, REQUESTS_WINDOW = 1000, 10.0
"""Requests that the server may send within so many seconds: whoever asks faster does not read the answers."""
MAX_ELICITATIONS = 256
"""Elicitations by URL whose client is remembered for the message that they are done."""
_Way = Callable[[str, Json | None, CallOptions], Awaitable[Json]]
_QUESTIONS = frozenset({"elicitation/create", "sampling/createMessage", "roots/list"})
_FOR_NO_REQUEST = frozenset({"notifications/resources/updated", "notifications/elicitation/complete"})


class UpstreamSession:
    """See `spec.Session`; `open_session` makes one."""

    def __init__(self, wire: Wire, setup: Setup) -> None:
        self.catalogue = Catalogue()
        self.unreadable = 0
        """How many messages could not be read."""
        self.last_used = time.monotonic()
        """When a client's last request ended."""
        self.watchers = Watchers(partial(self._request, None, None))
        self._wire = wire
        self._asking = wire if isinstance(wire, Asking) else None
        self._setup = setup
        self._agreement: Agreement | None = None
        self._calls = Calls()
        self._ended = asyncio.Event()
        self._end_reason: UpstreamError | None = None
        self._dispatcher: JSONRPCDispatcher[TransportContext] = JSONRPCDispatcher(
            wire.read, wire.write, on_stream_exception=self._on_unreadable
        )
        self._dirty: set[str] = set()
        self._dirtied = asyncio.Event()
        self._inbox = Inbox(MAX_NOTIFICATIONS)
        self._param_headers: ParamHeaders = {}
        self._listening: Listening | None = None
        self._requested: deque[float] = deque(maxlen=MAX_REQUESTS)
        self._elicitations: OrderedDict[str, str | None] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def busy(self) -> bool:
        """Whether clients' requests are under way."""
        return self._calls.of_clients()

    @property
    def modern(self) -> bool:
        """Whether it speaks the modern protocol."""
        return self._agreement is not None and self._agreement.modern

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self._ended.is_set()

    def end(self, why: UpstreamError) -> None:
        """Fail what is under way, and whatever is asked from now on; leaving its block does the rest."""
        if not self.over:
            self._end_reason = why
            self._ended.set()
            self._calls.fail(why)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Read what the server sends while the block runs."""
        started = _Started()
        reading = asyncio.create_task(self._run(started))
        try:
            # It starts in any case, be it to find the wire closed.
            await started.event.wait()
            yield
        finally:
            self.end(UpstreamError("The session with the server was ended here."))
            self._inbox.close()
            tasks = {reading, *self._tasks}
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    async def negotiate(self) -> None:
        """Agree on a version.

        Raises:
            UpstreamError: There is none, or the server is no MCP server.
        """
        self._agreement = agreement = await negotiate(
            self._send_negotiating,
            self._dispatcher.notify,
            capabilities=ALL_CAPABILITIES if self._setup.capabilities is None else passed_on(self._setup.capabilities),
            probe_timeout=min(PROBE_TIMEOUT, self._setup.start_timeout / 3) if self._setup.probe else None,
            mask=self._wire.masked,
        )
        self.catalogue = Catalogue(
            capabilities=agreement.capabilities,
            server_info=agreement.server_info,
            instructions=agreement.instructions,
            protocol_version=agreement.version,
        )

    async def fetch_all(self) -> None:
        """Fetch the catalogue, and keep it up to date from now on.

        Raises:
            UpstreamError: The server does not answer as it should.
        """
        if self._agreement is not None and self.modern:
            # Before the lists: what changes while they are fetched must be told.
            listening = Listening(partial(self._request, None, None), self._agreement.capabilities, self._dirty_all)
            self._listening = self.watchers.listening = listening
            self._start(self._listening.run())
            await self._listening.settled()
        self._dirty.clear()
        await self._fetch(set(CHANGES.values()))
        self._start(self._keep_catalogue())

    async def request(
        self, method: str, params: Json | None, interaction: Interaction | None = None, *, client: str | None = None
    ) -> Json:
        """See `spec.Session.request`; `client` tells whose it is."""
        if method in {SUBSCRIBE, UNSUBSCRIBE}:
            return await self.watchers.request(method, params, client)
        return await self._request(client, interaction, method, params)

    async def notify(self, method: str, params: Json | None) -> None:
        """See `spec.Session.notify`."""
        if self._agreement is None:
            return
        clad, options = dressed(self._agreement, method, params, capabilities={})
        await self._dispatcher.notify(method, clad, options)

    async def ended(self) -> UpstreamError:
        """Wait for its end.

        Returns:
            Why it ended.
        """
        await self._ended.wait()
        return self.why()

    def why(self) -> UpstreamError:
        """Why it ended, where it has."""
        if self._end_reason is not None:
            return again(self._end_reason)
        fault = self.wire_fault()
        if self._agreement is not None:
            return fault or Exited("The server ended, or closed its connection.")
        message = fault.message if fault else "The server ended, or closed its connection, before it answered."
        if fault is not None and not isinstance(fault, Exited):
            return fault
        return (ProbeEnded if self._setup.probe else StartFailed)(message)

    def wire_fault(self) -> UpstreamError | None:
        """What the wire says is wrong with it."""
        fault = self._wire.fault()
        return again(fault) if fault is not None else None

    async def look(self) -> None:
        """Ask something that any server answers, to see whether it is there; its wire ends where it is not."""
        method = "server/discover" if self.modern else "ping"
        with suppress(MCPError, UpstreamError, TimeoutError):
            async with asyncio.timeout(LOOK_TIMEOUT):
                await self._request(None, None, method, None)

    # Requests

    async def _request(
        self,
        client: str | None,
        interaction: Interaction | None,
        method: str,
        params: Json | None,
        options: CallOptions | None = None,
    ) -> Json:
        agreement = self._agreement
        if agreement is None or self._ended.is_set():
            raise self.why()
        client_token = _meta(params).get("progressToken")
        with self._calls.under_way(client, interaction, client_token) as call:
            clad, dressing = dressed(
                agreement,
                method,
                params,
                capabilities=interaction.capabilities if interaction is not None else {},
                progress_token=call.token,
                param_headers=self._param_headers,
            )
            try:
                with call.scope:
                    way = self._dispatcher.send_raw_request if self._asking is None or options else self._ask
                    result = await self._send(method, clad, {**dressing, **(options or {})}, way)
                if call.fault is not None:
                    raise again(call.fault)
                if call.inbox is not None:
                    await call.inbox.drained(DELIVERY_TIMEOUT)
                return result
            finally:
                if client is not None:
                    self.last_used = time.monotonic()

    async def _ask(self, method: str, params: Json | None, options: CallOptions) -> Json:
        """As the dispatcher's own way to send a request, without its bookkeeping, which this wire has no need of."""
        if self._asking is None or self._ended.is_set():
            raise MCPError(code=CONNECTION_CLOSED, message="Connection closed")
        request_id = self._dispatcher._allocate_id()  # noqa: SLF001 - whoever sends takes from the same
        # `params` that are None must not be written.
        members = {"params": params} if params else {}
        request = JSONRPCRequest(jsonrpc="2.0", id=request_id, method=method, **members)
        try:
            answer = await self._asking.ask(request, options.get("headers") or {})
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            raise MCPError(code=CONNECTION_CLOSED, message="Connection closed") from None
        if isinstance(answer, JSONRPCResponse):
            return answer.result
        error = answer.error
        raise MCPError(code=error.code, message=error.message, data=error.data)

    async def _send(self, method: str, params: Json | None, options: CallOptions, way: _Way | None = None) -> Json:
        try:
            return await (way or self._dispatcher.send_raw_request)(method, params, options)
        except MCPError as error:
            if (fault := upstream_failure(error)) is not None:
                raise fault from None
            if error.code == CONNECTION_CLOSED and (self._ended.is_set() or error.message == "Connection closed"):
                # What can't be written may be known before the end is read, and with it why it ended.
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._ended.wait(), END_TIMEOUT)
                raise self.why() from None
            if error.message == "Session terminated" and error.error.data is None:
                # What the SDK makes of a 404: an HTTP server was started anew and knows nothing of the session.
                forgotten = Exited("The server has forgotten the session; it was probably started anew.")
                self.end(forgotten)
                raise forgotten from None
            raise

    async def _send_negotiating(self, method: str, params: Json | None, options: CallOptions) -> Json:
        try:
            return await self._send(method, params, options)
        except UpstreamError as error:
            if method == "server/discover" and not self.over:
                # The wire goes on, so this says no more than that the server is not modern.
                raise MCPError(METHOD_NOT_FOUND, error.message) from error
            raise
        except MCPError:
            # What HTTP says (401, 404, nothing listens) reaches us as an answer to the request.
            if method == "initialize" and (fault := self.wire_fault()) is not None:
                raise fault from None
            raise

    # What the server sends

    async def _run(self, started: "_Started") -> None:
        try:
            await self._dispatcher.run(self._on_request, self._on_rest, self._on_notification, task_status=started)
        except Exception:  # a wire that breaks in a way of its own has ended like any other
            logger.exception("The connection to MCP server %s broke", self._setup.server)
        finally:
            self._ended.set()
            if self._asking is not None:
                self._calls.fail(self.why())

    async def _on_request(
        self, _: DispatchContext[TransportContext], method: str, params: Mapping[str, Any] | None
    ) -> Json:
        self._limit_requests()
        if method == "ping":
            return {}
        if method not in _QUESTIONS:
            raise MCPError(METHOD_NOT_FOUND, "Method not found", method)
        call = self._calls.asked()
        if call.interaction is None or len(call.questions) >= MAX_QUESTIONS:
            raise MCPError(METHOD_NOT_FOUND, "Too many questions are open for this request.")
        asked = _without_meta(dict(params), "progressToken") if params is not None else None
        if asked is not None and isinstance(asked.get("elicitationId"), str):
            self._remember(asked["elicitationId"], call.client)
        scope = anyio.CancelScope()
        call.questions.add(scope)
        try:
            with scope:
                return await call.interaction.ask(method, asked)
        finally:
            call.questions.discard(scope)
        raise MCPError(METHOD_NOT_FOUND, "The request that this belongs to has ended.")

    def _limit_requests(self) -> None:
        """End a session whose server asks without end: each answer that it does not read takes memory here."""
        now = time.monotonic()
        if len(self._requested) == MAX_REQUESTS and now - self._requested[0] < REQUESTS_WINDOW:
            self.end(ProtocolError(f"The server sent more than {MAX_REQUESTS} requests within {REQUESTS_WINDOW:g} s."))
        self._requested.append(now)

    async def _on_rest(
        self, _: DispatchContext[TransportContext], method: str, params: Mapping[str, Any] | None
    ) -> None:
        """Nothing is left for it: `_on_notification` takes everything, in order and without a task for each."""

    def _on_notification(self, method: str, params: Mapping[str, Any] | None) -> bool:
        told = dict(params) if params is not None else None
        if method in CHANGES:
            self._dirty.add(CHANGES[method])
            self._dirtied.set()
        elif method == "notifications/progress":
            call = self._calls.of_token((told or {}).get("progressToken"))
            if call is not None and told is not None:
                call.progress(told)
        elif self._listening is not None and self._listening.told(method, told):
            pass
        elif method != "notifications/cancelled":
            self._pass_on(method, told)
        return True

    def _pass_on(self, method: str, params: Json | None) -> None:
        told = _without_meta(params, SUBSCRIPTION_ID_META_KEY) if params is not None else None
        several = False
        if method in _FOR_NO_REQUEST:
            call = None
        elif hasattr(self._wire.read, "last_context"):
            call = self._calls.of_context(self._wire.read.last_context)
        else:
            call, several = self._calls.only_client()
        if several:
            # Somebody would read what is told to another one.
            logger.debug("MCP server %s told something, and it can't be told which client", self._setup.server)
        elif call is not None and call.interaction is not None:
            call.notify(method, told)
        elif self._setup.on_notification is not None:
            client = self._elicitations.get(str((told or {}).get("elicitationId")))
            self._inbox.put(partial(self._setup.on_notification, client, method, told))

    async def _on_unreadable(self, error: Exception) -> None:
        self.unreadable += 1
        level = logging.WARNING if self.unreadable == 1 else logging.DEBUG
        logger.log(level, "MCP server %s sent what is no MCP message (%s)", self._setup.server, type(error).__name__)
        if isinstance(error, UpstreamError):
            self._calls.fail(error)

    def _remember(self, elicitation: str, client: str | None) -> None:
        self._elicitations[elicitation] = client
        while len(self._elicitations) > MAX_ELICITATIONS:
            self._elicitations.popitem(last=False)

    # The catalogue

    def _dirty_all(self) -> None:
        self._dirty |= set(CHANGES.values())
        self._dirtied.set()

    async def _keep_catalogue(self) -> None:
        pause, fetched_at = DEBOUNCE, -QUIET
        while True:
            await self._dirtied.wait()
            pause = min(pause * 2, LONGEST_DEBOUNCE) if time.monotonic() - fetched_at < QUIET else DEBOUNCE
            await asyncio.sleep(pause)
            self._dirtied.clear()
            dirty, self._dirty = self._dirty, set()
            before = self.catalogue
            try:
                await self._fetch(dirty)
            except UpstreamError as error:
                logger.warning("MCP server %s: its lists could not be fetched: %s", self._setup.server, error.message)
            fetched_at = time.monotonic()
            if self.catalogue == before:
                self.catalogue = before
            else:
                self._setup.on_catalogue()

    async def _fetch(self, capabilities: set[str]) -> None:
        try:
            async with asyncio.timeout(LIST_TIMEOUT):
                self.catalogue = await fetched(
                    self.catalogue, capabilities, partial(self._request, None, None), self._setup.server
                )
        except TimeoutError:
            raise NotResponding(f"The server did not list what it offers within {LIST_TIMEOUT:g} s.") from None
        self._param_headers = param_headers(self.catalogue.tools) if self.modern else {}

    def _start(self, work: Any) -> None:
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class _Started:
    """What the dispatcher tells that it can be used."""

    def __init__(self) -> None:
        self.event = asyncio.Event()

    def started(self, value: None = None) -> None:  # noqa: ARG002 - `anyio.abc.TaskStatus` has it
        """See `anyio.abc.TaskStatus`."""
        self.event.set()


def _meta(params: Json | None) -> Json:
    meta = (params or {}).get("_meta")
    return meta if isinstance(meta, dict) else {}


def _without_meta(params: Json, key: str) -> Json:
    meta = _meta(params)
    if key not in meta:
        return params
    rest = {name: value for name, value in meta.items() if name != key}
    return {**params, "_meta": rest} if rest else {name: value for name, value in params.items() if name != "_meta"}
