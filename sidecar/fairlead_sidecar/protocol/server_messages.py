"""What upstream servers tell of their own accord, on its way to the sessions of the handshake protocols."""

import asyncio
import contextlib
from functools import partial

import anyio

from fairlead_sidecar.errors import FairleadError
from fairlead_sidecar.protocol.interaction import LOG, SECONDS, Voice, reaches
from fairlead_sidecar.protocol.notices import Notices, Session
from fairlead_sidecar.protocol.servers import CLIENT_KEY
from fairlead_sidecar.sidecar import Sidecar
from fairlead_sidecar.tools.redact import redactor
from fairlead_sidecar.upstream.spec import Json

FINISHED = "notifications/elicitation/complete"


class ServerMessages:
    """Passes on log messages, to each session from its level on, and news of elicitations."""

    def __init__(self, sidecar: Sidecar, notices: Notices) -> None:
        self._sidecar = sidecar
        self._notices = notices
        sidecar.upstreams.on_notification.append(self._notified)

    async def _notified(self, server: str, client: str | None, method: str, params: Json | None) -> None:
        active = self._sidecar.active
        if active is None or params is None or method not in {LOG, FINISHED}:
            return
        try:
            masks = redactor(active.config.policy.redact)
        except FairleadError:
            # Without what masks the policy's secret values, nothing of a server goes out.
            return
        for session in self._notices.sessions():
            if not self._concerns(session, server, client):
                continue
            if method == LOG and not reaches(params.get("level"), session.level):
                continue
            voice = Voice(server, session.server is not None, masks.structure)
            told = voice.log(params) if method == LOG else masks.structure(params)
            session.inbox.put(partial(_send, session, method, told))

    def _concerns(self, session: Session, server: str, client: str | None) -> bool:
        meant = client in {None, session.connection.state.get(CLIENT_KEY)}
        return meant and self._notices.hears(session, server)


async def _send(session: Session, method: str, params: Json) -> None:
    with contextlib.suppress(anyio.BrokenResourceError, anyio.ClosedResourceError, TimeoutError):
        async with asyncio.timeout(SECONDS):
            await session.connection.notify(method, params)
