"""Who sent a message, and what is in force for them now."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.shared.exceptions import MCPError
from starlette.requests import Request

from fairlead_sidecar.access.budget import LEASE_KEY, Lease
from fairlead_sidecar.access.grants import Caller, refused_address
from fairlead_sidecar.errors import AddressNotAllowed, FairleadError, TokenRevoked
from fairlead_sidecar.reload import Active
from fairlead_sidecar.sidecar import Sidecar

CALLER_KEY = "fairlead.caller"
"""Where the gate leaves the caller in the ASGI scope."""

SERVER_KEY = "fairlead.server"
"""Where the gate leaves the name of the upstream server whose own endpoint a message came to; None: all of them."""

Context = ServerRequestContext[Any, Request]


def room(ctx: Context) -> AbstractContextManager[object]:
    """Keeps the room of the message's body taken while something goes on with what it says; several may hold it."""
    if ctx.request is None:
        return nullcontext()
    lease: Lease = ctx.request.scope[LEASE_KEY]
    return lease


def alone(ctx: Context) -> str | None:
    """The upstream server that the client sees alone; None where it sees all that the host has."""
    return None if ctx.request is None else ctx.request.scope.get(SERVER_KEY)


@dataclass(frozen=True)
class Callers:
    """Tells the caller of each message."""

    sidecar: Sidecar
    local: Caller | None
    """Who it is when messages do not come over HTTP (stdio); None refuses them."""

    def who(self, ctx: Context) -> tuple[Active, Caller]:
        """The configuration in force and the caller as it now stands.

        Asked anew for each message: between a message's arrival and its turn its token may have been revoked.

        Raises:
            MCPError: The credential is no longer valid.
        """
        active = self.sidecar.active
        known = self.local if ctx.request is None else ctx.request.scope.get(CALLER_KEY)
        caller = active.grants.current(known) if active is not None and known is not None else None
        if active is None or caller is None or self.sidecar.draining:
            raise MCPError(code=types.INVALID_REQUEST, message="The credential is no longer valid.")
        return active, caller

    def current(self, caller: Caller) -> Caller | None:
        """The caller as it now stands; None where its credential is gone."""
        active = self.sidecar.active
        return None if active is None else active.grants.current(caller)

    def of_owner(self, caller: Caller) -> Caller | None:
        """What the caller's owner now stands for; a session outlives the rotation of its token."""
        active = self.sidecar.active
        return None if active is None else active.grants.of_owner(caller.owner)

    def revoked(self, caller: Caller | None) -> FairleadError | None:
        """Why the caller is let in no longer; None where it still is, or never was."""
        active = self.sidecar.active
        if caller is None or active is None or active.grants.current(caller) is not None:
            return None
        if active.grants.elsewhere(caller):
            return AddressNotAllowed(f"{refused_address(caller.address)} The call was cancelled.")
        return TokenRevoked("The token was revoked while the call ran; the call was cancelled.")
