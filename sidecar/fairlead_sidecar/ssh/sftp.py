"""The one SFTP session of a pool, shared by all who use it."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from weakref import WeakSet

import asyncssh
from asyncssh.constants import OPEN_REQUEST_SESSION_FAILED

from fairlead_sidecar.errors import FileError, TooBusy
from fairlead_sidecar.ssh.member import Member

OPEN_SECONDS = 5.0
"""Within which a server with few sessions has to give one."""
_TRY_AGAIN = 0.02
_abandoned: WeakSet[asyncssh.SFTPClient] = WeakSet()


def abandon(client: asyncssh.SFTPClient) -> None:
    """Let no further call use a session whose server answers nothing any more; the next one opens another session."""
    _abandoned.add(client)
    client.exit()


class SharedSftp:
    """Opened when first needed, kept open, opened anew when it broke."""

    def __init__(
        self, members: Sequence[Member], *, make_room: Callable[[], None], on_closed: Callable[[Member], None]
    ) -> None:
        """Prepare it.

        Args:
            members: The pool's connections, kept up to date by the pool.
            make_room: Called when no connection gives a session.
            on_closed: Called when the session ended and its place is free.
        """
        self._members = members
        self._make_room = make_room
        self._on_closed = on_closed
        self._client: asyncssh.SFTPClient | None = None
        self._opening: asyncio.Task[asyncssh.SFTPClient] | None = None
        self._watching: set[asyncio.Task[None]] = set()
        self._users = 0
        self.member: Member | None = None
        """The connection it runs on."""

    async def acquire(self) -> asyncssh.SFTPClient:
        """The session; `release` follows each use.

        Raises:
            FileError: The host offers no SFTP.
            TooBusy: The server gave no session for it.
            ConnectionError: There is no connection any more.
        """
        self._users += 1
        try:
            if self._client is not None and self._client in _abandoned:
                self._forget(self._client)
            if self._client is not None:
                return self._client
            if self._opening is None:
                self._opening = asyncio.get_running_loop().create_task(self._open())
            # A task of its own: a channel that is half open could not be closed again, and others may wait for it.
            return await asyncio.shield(self._opening)
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """One user less."""
        self._users -= 1

    def idle_on(self, member: Member) -> bool:
        """Whether its session on this connection is open and unused."""
        return member is self.member and self._users == 0

    def close_if_idle(self) -> None:
        """Give its session up if nobody uses it."""
        if self._client is not None and self._users == 0:
            self._client.exit()
            self._forget(self._client)

    async def _open(self) -> asyncssh.SFTPClient:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + OPEN_SECONDS
        try:
            while True:
                for member in sorted(self._members, key=lambda member: member.sessions):
                    client = await self._try(member)
                    if client is not None:
                        return client
                if not self._members:
                    raise ConnectionError
                if loop.time() > deadline:
                    raise TooBusy("The server has no free session for file transfer.")
                self._make_room()
                await asyncio.sleep(_TRY_AGAIN)
        finally:
            self._opening = None

    async def _try(self, member: Member) -> asyncssh.SFTPClient | None:
        member.sessions += 1
        try:
            client = await member.connection.start_sftp_client(path_errors="surrogateescape")
        except asyncssh.ChannelOpenError as error:
            member.sessions -= 1
            if error.code == OPEN_REQUEST_SESSION_FAILED and member in self._members:
                raise FileError(
                    "The host offers no SFTP.", hint="Enable `Subsystem sftp internal-sftp` in its sshd_config."
                ) from error
            return None
        except (asyncssh.Error, OSError):
            member.sessions -= 1
            return None
        self._client, self.member = client, member
        task = asyncio.get_running_loop().create_task(self._watch(client, member))
        self._watching.add(task)
        task.add_done_callback(self._watching.discard)
        return client

    async def _watch(self, client: asyncssh.SFTPClient, member: Member) -> None:
        with suppress(asyncssh.Error, OSError):
            await client.wait_closed()
        self._forget(client)
        member.sessions -= 1
        self._on_closed(member)

    def _forget(self, client: asyncssh.SFTPClient) -> None:
        if self._client is client:
            self._client = self.member = None
