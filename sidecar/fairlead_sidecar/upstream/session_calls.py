"""The requests that are under way in a session, and to which of them belongs what the server asks and tells."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar
from itertools import count
from typing import Any

import anyio
from mcp.shared.dispatcher import coerce_request_id
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_REQUEST

from fairlead_sidecar.upstream.errors import UpstreamError
from fairlead_sidecar.upstream.session_inbox import Inbox
from fairlead_sidecar.upstream.spec import Interaction, Json

MAX_WAITING = 256
"""Notifications that may wait for one client."""
MAX_QUESTIONS = 64
"""Questions of the server that one request may have open."""


class Call:
    """One request under way.

    Args:
        client: Whose it is.
        interaction: What its client can do; None: it is Fairlead's own.
        client_token: The progress token that the client has given.
        token: The one that the server is given in its place.
    """

    def __init__(
        self, client: str | None, interaction: Interaction | None, client_token: str | int | None, token: int
    ) -> None:
        self.client = client
        self.interaction = interaction
        self.client_token = client_token
        self.token = token if client_token is not None and interaction is not None else None
        self.scope = anyio.CancelScope()
        self.fault: UpstreamError | None = None
        self.questions: set[anyio.CancelScope] = set()
        self.inbox: Inbox | None = None

    def progress(self, params: Json) -> None:
        """Tell the client, under its own token."""
        interaction = self.interaction
        if interaction is not None:
            told = {**params, "progressToken": self.client_token}
            self._inbox().put(lambda: interaction.progress(told))

    def notify(self, method: str, params: Json | None) -> None:
        """Tell the client."""
        interaction = self.interaction
        if interaction is not None:
            self._inbox().put(lambda: interaction.notify(method, params))

    def fail(self, fault: UpstreamError) -> None:
        """End the wait for the answer."""
        self.fault = fault
        self.scope.cancel()

    def end(self) -> None:
        """Nothing more belongs to it."""
        for question in self.questions:
            question.cancel()
        if self.inbox is not None:
            self.inbox.close()

    def _inbox(self) -> Inbox:
        if self.inbox is None:
            self.inbox = Inbox(MAX_WAITING)
        return self.inbox


_current: ContextVar[Call | None] = ContextVar("current upstream call", default=None)


class Calls:
    """Those of one session.

    An HTTP wire carries the context in which a request was sent along with everything that comes on its response
    stream (`last_context` of the SDK's streams), which tells what belongs to it; a pipe has no such thing.
    """

    def __init__(self) -> None:
        self._calls: dict[Call, None] = {}
        self._by_token: dict[int, Call] = {}
        self._tokens = count(1)

    def of_clients(self) -> bool:
        """Whether any is a client's."""
        return any(call.client is not None for call in self._calls)

    @contextmanager
    def under_way(
        self, client: str | None, interaction: Interaction | None, client_token: str | int | None
    ) -> Iterator[Call]:
        """Count a request as under way while the block runs."""
        call = Call(client, interaction, client_token, next(self._tokens))
        self._calls[call] = None
        if call.token is not None:
            self._by_token[call.token] = call
        reset = _current.set(call)
        try:
            yield call
        finally:
            _current.reset(reset)
            self._calls.pop(call)
            if call.token is not None:
                self._by_token.pop(call.token)
            call.end()

    def of_context(self, context: Context | None) -> Call | None:
        """The request on whose stream something came; None: it came on no request's."""
        call = context.get(_current) if context is not None else None
        return call if call in self._calls else None

    def of_token(self, token: Any) -> Call | None:
        """The request that was given this progress token."""
        if isinstance(token, bool) or not isinstance(token, str | int):
            return None
        key = coerce_request_id(token)
        return self._by_token.get(key) if isinstance(key, int) else None

    def asked(self) -> Call:
        """The request that a question of the server belongs to; runs in the context that the question came with.

        Raises:
            MCPError: It can't be told, so nobody may be asked.
        """
        call = _current.get()
        if call is not None:
            if call in self._calls and call.interaction is not None:
                return call
            raise MCPError(INVALID_REQUEST, "The request that this belongs to has ended, or is no client's.")
        call, several = self.only_client()
        if several:
            raise MCPError(
                INVALID_REQUEST,
                "Requests of several clients are under way, and which of them this belongs to can't be told. "
                "With isolation PerSession each client has a server of its own.",
            )
        if call is None:
            raise MCPError(INVALID_REQUEST, "No client's request is under way, so there is nobody to ask.")
        return call

    def only_client(self) -> tuple[Call | None, bool]:
        """The latest request of the only client that has any under way, and whether requests of several are.

        On a pipe, what a server tells while it works for one client is that client's and no other's.
        """
        candidates = [call for call in self._calls if call.interaction is not None]
        several = len({call.client for call in candidates}) > 1
        return (candidates[-1] if candidates and not several else None), several

    def fail(self, fault: UpstreamError) -> None:
        """End the wait for all answers."""
        for call in list(self._calls):
            call.fail(fault)


def leave_call() -> None:
    """Make the current task, and those it starts, part of no request."""
    _current.set(None)
