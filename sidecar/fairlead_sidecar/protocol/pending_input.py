"""Calls of upstream servers that wait for an answer of their client, in the protocol era without sessions.

A client of that era is asked by the result of its request, and sends the request again with the answers and a state
that only this process can read. Where the server behind it speaks a handshake protocol, its own call waits meanwhile.
"""

import asyncio
import json
import os
import secrets
import time
from dataclasses import dataclass, field

from mcp.server.request_state import AESGCMRequestStateCodec, InvalidRequestState

from fairlead_sidecar.protocol.confirm import ForgedState
from fairlead_sidecar.protocol.interaction import Conversation
from fairlead_sidecar.protocol.questions import MAX_OF_OWNER, TIMEOUT, Subject
from fairlead_sidecar.upstream.spec import Json


@dataclass(eq=False)
class PendingCall:
    """One call of an upstream server."""

    subject: Subject
    conversation: Conversation
    task: "asyncio.Task[Json]"


@dataclass
class _Held:
    call: PendingCall
    expiry: asyncio.TimerHandle


@dataclass
class PendingInput:
    """Those that wait, and the states that stand for them.

    A call that nobody goes on with for `TIMEOUT` seconds is cancelled; so is an owner's oldest where it has more than
    `MAX_OF_OWNER`.
    """

    _codec: AESGCMRequestStateCodec = field(default_factory=lambda: AESGCMRequestStateCodec([os.urandom(32)]))
    _held: dict[str, dict[str, _Held]] = field(default_factory=dict)
    """By owner and number, oldest first."""

    def hold(self, call: PendingCall) -> str:
        """Keep a call until its client comes again with the state that this returns."""
        owner, number = call.subject.owner, secrets.token_hex(16)
        of_owner = self._held.setdefault(owner, {})
        while len(of_owner) >= MAX_OF_OWNER:
            self._drop(owner, next(iter(of_owner)))
        expiry = asyncio.get_running_loop().call_later(TIMEOUT, self._drop, owner, number)
        of_owner[number] = _Held(call, expiry)
        # One that ends meanwhile (its token was revoked, its server died) is still there to tell why.
        self._held[owner] = of_owner
        return self._seal(call.subject, {"number": number})

    def seal(self, subject: Subject, state: str) -> str:
        """A server's own state, so that only the same caller can go on with it, and only with the same request."""
        return self._seal(subject, {"state": state, "deadline": time.monotonic() + TIMEOUT})

    def take(self, state: str, subject: Subject) -> PendingCall | str | None:
        """What a state stands for: a call that waits, or a server's own state.

        None where it was for another request, was used already, or its time is over.

        Raises:
            ForgedState: The state was not made here.
        """
        try:
            claims = json.loads(self._codec.unseal(state))
        except InvalidRequestState:
            raise ForgedState from None
        if claims["subject"] != _listed(subject):
            return None
        if "number" not in claims:
            own: str = claims["state"]
            return own if time.monotonic() < claims["deadline"] else None
        held = self._forget(subject.owner, claims["number"])
        return None if held is None else held.call

    def _seal(self, subject: Subject, claims: Json) -> str:
        return self._codec.seal(json.dumps({"subject": _listed(subject), **claims}).encode())

    def _drop(self, owner: str, number: str) -> None:
        held = self._forget(owner, number)
        if held is not None:
            held.call.task.cancel()

    def _forget(self, owner: str, number: str) -> _Held | None:
        of_owner = self._held.get(owner, {})
        held = of_owner.pop(number, None)
        if held is not None:
            held.expiry.cancel()
        if not of_owner:
            self._held.pop(owner, None)
        return held


def _listed(subject: Subject) -> list[str]:
    return [subject.owner, subject.tool, subject.arguments_digest]
