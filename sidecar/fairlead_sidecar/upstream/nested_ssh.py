"""MCP servers that are SSH servers of their own: a login inside the connection to the host."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncssh
from asyncssh.connection import SSHConnection

from fairlead_sidecar import errors
from fairlead_sidecar.config import Connection, KeyServer, SshServer
from fairlead_sidecar.errors import ConnectionLost, LinkError
from fairlead_sidecar.ssh.direct import Tunnel
from fairlead_sidecar.ssh.failures import quoted
from fairlead_sidecar.ssh.login import Login, Progress, log_in
from fairlead_sidecar.ssh.route import Hop, place_of, secret_hop, trusted_by
from fairlead_sidecar.ssh.totp import OneTimeCodes
from fairlead_sidecar.tools.redact import Redactor
from fairlead_sidecar.upstream.errors import (
    AuthenticationFailed,
    Exited,
    HostKeyMismatch,
    NotResponding,
    ProtocolError,
    SecretNotFound,
    StartFailed,
    UpstreamError,
)
from fairlead_sidecar.upstream.key_server import KeyServerClient
from fairlead_sidecar.upstream.line_wire import StdioWire
from fairlead_sidecar.upstream.nested_session import NestedSession
from fairlead_sidecar.upstream.spec import OpenWire
from fairlead_sidecar.upstream.stderr import StandardError
from fairlead_sidecar.upstream.tunnel import link_down

WINDOW = 1024 * 1024
"""Bytes that may be under way on the session's channel."""
_CLOSE_SECONDS = 2.0
_NOTHING_SECRET = Redactor(())
_REASONS: dict[type[LinkError], type[UpstreamError]] = {
    errors.AuthenticationFailed: AuthenticationFailed,
    errors.CredentialsInvalid: AuthenticationFailed,
    errors.CredentialsNotFound: SecretNotFound,
    errors.HostKeyMismatch: HostKeyMismatch,
    errors.HostUnreachable: NotResponding,
    errors.ProtocolFailure: ProtocolError,
}


def ssh_wire(server: SshServer, tunnel: Tunnel, *, name: str, settings: Connection) -> OpenWire:
    """What opens wires to `server`, through the link's `tunnel`.

    Args:
        server: Its address as seen from the host, credentials, trusted host keys, command.
        tunnel: `Link.tunnel`.
        name: What the log calls the server.
        settings: Timeouts and keep-alive of the connection.
    """
    codes = OneTimeCodes()
    place = place_of(server.target.address, server.target.port)

    @asynccontextmanager
    async def open_wire() -> AsyncIterator[StdioWire]:
        through = _Through(tunnel)
        stderr = StandardError(name, _NOTHING_SECRET)
        try:
            login = await _logged_in(server, through, settings, codes)
        except LinkError as error:
            raise _REASONS.get(type(error), UpstreamError)(error.message, hint=error.hint) from error
        try:
            session = await _session(login.connection, server, place, stderr, through)
            yield NestedWire(place, session, stderr)
        finally:
            login.connection.close()
            try:
                async with asyncio.timeout(_CLOSE_SECONDS):
                    await login.connection.wait_closed()
            except TimeoutError:
                login.connection.abort()
            stderr.end()

    return open_wire


class _Through:
    """The link, for one connection; knows whether it was the link that broke."""

    def __init__(self, tunnel: Tunnel) -> None:
        self.tunnel = tunnel
        """For other connections."""
        self._carrier: SSHConnection | None = None

    async def create_connection(
        self, session_factory: Any, remote_host: str, remote_port: int, /
    ) -> tuple[asyncssh.SSHTCPChannel[bytes], asyncssh.SSHTCPSession[bytes]]:
        try:
            channel, session = await self.tunnel.create_connection(session_factory, remote_host, remote_port)
        except LinkError as error:
            raise link_down(error) from error
        # A channel forgets it when it ends.
        self._carrier = channel.get_connection()
        return channel, session

    def lost(self) -> ConnectionLost | None:
        if self._carrier is None or not self._carrier.is_closed():
            return None
        return ConnectionLost("The connection to the host was lost.", hint="It is being made again.")


class NestedWire(StdioWire):
    """As that of a server that was started here, but for how it ends."""

    def __init__(self, place: str, session: NestedSession, stderr: StandardError) -> None:
        super().__init__(place, session, stderr, _NOTHING_SECRET)
        self._place = place
        self._session = session

    async def ended(self) -> None:
        """Its output has ended: find out why."""
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                end = await self._session.wait()
        except TimeoutError:
            how = "ended its output"
        except LinkError as error:
            self.lost(error)
            return
        else:
            how = "closed the connection"
            if end.signal or end.exit_code is not None:
                signal = f"signal {quoted(end.signal)}" if end.signal else ""
                how = f"ended the session with {signal or f'exit code {end.exit_code}'}"
        said = self._stderr.last_words
        self._fault = Exited(f"{self._place} {how}.{f' Its standard error ended with: «{said}».' if said else ''}")


async def _logged_in(server: SshServer, through: _Through, settings: Connection, codes: OneTimeCodes) -> Login:
    key_server: KeyServerClient | None = None
    if isinstance(server.host_key, KeyServer):
        key_server = KeyServerClient(server.host_key, through.tunnel.open)
        trusted = await key_server.host_key()
    else:
        trusted = trusted_by(server.host_key)
    # Reading keys may take tens of milliseconds of processor time.
    hop = await asyncio.to_thread(secret_hop, server.target, server.auth, trusted, is_target=True)
    try:
        return await log_in(settings, hop, through, Progress(hop.place), codes)
    except errors.AuthenticationFailed:
        # Only now: what is registered already need not be again, and the key server allows few requests.
        key = _own_key(hop)
        if key_server is None or key is None:
            raise
        await key_server.register(key)
    return await log_in(settings, hop, through, Progress(hop.place), codes)


def _own_key(hop: Hop) -> asyncssh.SSHKey | None:
    keys = [key for key in hop.keys if isinstance(key, asyncssh.SSHKey)]
    return keys[0] if keys else None


async def _session(
    connection: asyncssh.SSHClientConnection, server: SshServer, place: str, stderr: StandardError, through: _Through
) -> NestedSession:
    session = NestedSession(stderr.feed, through.lost)
    try:
        await connection.create_session(
            lambda: session,
            server.command or (),
            encoding=None,
            window=WINDOW,
            request_pty=False,
        )
    except (asyncssh.Error, OSError) as error:
        if (lost := through.lost()) is not None:
            raise link_down(lost) from error
        what = "a shell" if server.command is None else "its command"
        raise StartFailed(
            f"{place} gave no session for {what}: {quoted(str(error))}.",
            hint="A server that speaks MCP only serves it in its shell: leave `command` out; other servers need one.",
        ) from error
    return session
