"""How a session with an upstream server begins, and why it could not."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from fairlead_sidecar.upstream.errors import Exited, NotResponding, ProtocolError, UpstreamError
from fairlead_sidecar.upstream.session import UpstreamSession
from fairlead_sidecar.upstream.session_calls import leave_call
from fairlead_sidecar.upstream.session_setup import Setup
from fairlead_sidecar.upstream.spec import OpenWire


@asynccontextmanager
async def open_session(open_wire: OpenWire, setup: Setup) -> AsyncIterator[UpstreamSession]:
    """Connect, agree on a version, fetch the catalogue; end everything on leaving.

    Raises:
        UpstreamError: The server can't be reached, or does not answer as it should.
    """
    leave_call()
    async with AsyncExitStack() as stack:
        session: UpstreamSession | None = None
        try:
            async with asyncio.timeout(setup.start_timeout):
                session = UpstreamSession(await stack.enter_async_context(open_wire()), setup)
                await stack.enter_async_context(session.running())
                await session.negotiate()
        except TimeoutError:
            raise _late(session, setup.start_timeout) from None
        except Exited as error:
            # So ends only what answers over HTTP: a pipe that ends early has names of its own. Nothing ever worked.
            raise ProtocolError(
                error.message, hint="Check that the URL's port belongs to the MCP server, and whether it wants https."
            ) from None
        await session.fetch_all()
        yield session


def _late(session: UpstreamSession | None, seconds: float) -> UpstreamError:
    fault = session.wire_fault() if session is not None else None
    if fault is not None:
        return fault
    if session is not None and session.unreadable:
        return ProtocolError(f"No answer to the MCP handshake within {seconds:g} s, but output that is no MCP.")
    return NotResponding(f"No answer to the MCP handshake within {seconds:g} s.")
