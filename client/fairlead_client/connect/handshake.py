"""The handshake protocols (2024-11-05 to 2025-11-25) over HTTP: one session, begun again when the endpoint lost it."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import httpx2

from fairlead_client.connect import answers, messages
from fairlead_client.connect.endpoint import Cut, Endpoint, EndpointError, Refused
from fairlead_client.connect.exchange import Stream, exchange, repeated
from fairlead_client.connect.messages import Message
from fairlead_client.connect.session import INITIALIZED, SESSION_ID, Session

Deliver = Callable[[Message], Awaitable[None]]
SESSIONS_A_REQUEST = 3
Start = Callable[[Coroutine[Any, Any, None]], object]


class SessionLost(EndpointError):
    """The endpoint does not know the session any more, and with it nothing of what was under way."""


class Handshake:
    """The session with the endpoint, once the client has asked for one."""

    def __init__(self, endpoint: Endpoint, deliver: Deliver, start: Start, say: Callable[[str], None]) -> None:
        """No session yet.

        Args:
            endpoint: Where to.
            deliver: Takes what belongs to no request of the client.
            start: Runs something beside.
            say: Tells the person.
        """
        self._endpoint = endpoint
        self._deliver = deliver
        self._start = start
        self._say = say
        self._renewing = asyncio.Lock()
        self.session: Session | None = None

    async def begin(self, hello: Message, deliver: Deliver) -> None:
        """Pass the client's `initialize` on.

        Raises:
            EndpointError: There is no answer.
        """
        if self.session is not None:
            await self.end()
        session = Session(hello)

        async def first(part: Message) -> None:
            # Before the client has it: with the next thing it says it speaks within the session.
            if part.answers and session.agree(part):
                self.session = session
            await deliver(part)

        await self._say_hello(session, first)

    async def exchange(self, request: Message, deliver: Deliver, resumable: Callable[[], bool]) -> None:
        """Send requests within the session; once more in a new one, if the endpoint had lost it before they came.

        Raises:
            EndpointError: There is no answer.
        """

        for _ in range(SESSIONS_A_REQUEST):
            if await self._attempt(request, deliver, resumable):
                return
        msg = "the endpoint forgets every session at once: several of them behind one URL need sticky sessions"
        raise SessionLost(msg)

    async def _attempt(self, request: Message, deliver: Deliver, resumable: Callable[[], bool]) -> bool:
        """Send requests; False where the session was gone before they came, and another has been begun."""
        session = self.session
        headers = {} if session is None else session.headers
        began = False

        def note(_response: httpx2.Response) -> None:
            nonlocal began
            began = True

        async def pass_on(part: Message) -> None:
            if session is not None and part.answers and "result" in part.parts[0]:
                session.remember(request)
            await self._pass_on(session, part, deliver)

        try:
            await repeated(
                request,
                lambda: exchange(self._endpoint, request, headers, pass_on, began=note, resumable=resumable),
            )
        except Refused as error:
            if session is None or not _lost(session, error):
                raise
            await self._renew(session)
            if began and not request.repeatable:
                msg = "the endpoint was replaced while it was under way, and knows nothing of it any more"
                raise Cut(msg) from error
            return False
        return True

    async def tell(self, message: Message) -> None:
        """Send what gets no answer.

        Raises:
            EndpointError: It did not arrive.
        """
        session = self.session
        if session is None or not session.expects(message):
            return
        try:
            await self._post(session, message)
        except Refused as error:
            if not _lost(session, error):
                raise
            session = await self._renew(session)
            if message.method != INITIALIZED:
                # It was meant for the session that is gone.
                return
            await self._post(session, message)
        if message.method == INITIALIZED and not session.initialized:
            session.initialized = True
            self._start(self._listen(session))

    async def end(self) -> None:
        """End the session, if there is one.

        Raises:
            EndpointError: The endpoint is away.
        """
        session, self.session = self.session, None
        if session is not None and session.id is not None:
            async with self._endpoint.open("DELETE", session.headers):
                pass

    async def _say_hello(self, session: Session, deliver: Deliver) -> None:
        def began(response: httpx2.Response) -> None:
            session.id = response.headers.get(SESSION_ID)

        # Where the connection is cut, nothing is lost but a session that nobody knows of.
        await repeated(session.hello, lambda: exchange(self._endpoint, session.hello, {}, deliver, began=began))

    async def _post(self, session: Session, message: Message) -> None:
        async with self._endpoint.open("POST", session.headers, message.text.encode()) as response:
            if response.status_code >= 300:
                raise await self._endpoint.refusal(response)

    async def _pass_on(self, session: Session | None, part: Message, deliver: Deliver) -> None:
        if session is not None:
            session.asked.update(part.requests)
        await deliver(part)

    async def _listen(self, session: Session) -> None:
        """Pass on what the server says by itself, for as long as the session is the one in use."""
        stream = Stream()

        async def pass_on(part: Message) -> None:
            await self._pass_on(session, part, self._deliver)

        while self.session is session:
            headers = session.headers | ({"Last-Event-ID": stream.last_id} if stream.last_id else {})
            try:
                async with self._endpoint.open("GET", headers, persistent=True) as response:
                    if response.status_code < 300 and answers.is_stream(response):
                        await stream.read(response, pass_on, lambda: self.session is not session)
                    else:
                        error = await self._endpoint.refusal(response)
                        if _lost(session, error):
                            await self._renew(session)
                        elif error.status != 409:
                            # 405: the server has no such stream. Another one may still be closing (409).
                            return
            except Cut:
                pass
            except EndpointError as error:
                self._say(f"The endpoint can't tell anything by itself any more: {error}.")
                return
            await asyncio.sleep(stream.retry)

    async def _renew(self, lost: Session) -> Session:
        """Begin a session in place of one that the endpoint does not know any more, just as the client began that.

        Raises:
            EndpointError: The endpoint does not begin one.
        """
        async with self._renewing:
            if self.session is not lost:
                # Somebody else has noticed before, or the client has ended it.
                return self.session or lost
            session = lost.successor()
            refused: list[Message] = []

            async def first(part: Message) -> None:
                if part.answers and not session.agree(part):
                    refused.append(part)

            await self._say_hello(session, first)
            if refused:
                msg = f"the endpoint lost the session and begins no other: {answers.shown(refused[0].text)}"
                raise SessionLost(msg)
            self.session = session
            if session.initialized:
                await self._post(session, messages.notification(INITIALIZED))
                for request in session.repetitions():
                    await exchange(self._endpoint, request, session.headers, _ignore)
                self._start(self._listen(session))
            self._say("The endpoint had lost the session; another one was begun in its place.")
            if session.version != lost.version:
                self._say(f"It speaks {session.version} now, and not {lost.version} as agreed with the client.")
            for news in (*lost.farewells(), *session.news()):
                await self._deliver(news)
            return session


async def _ignore(_part: Message) -> None:
    """Nobody asked for it."""


def _lost(session: Session, error: Refused) -> bool:
    return error.status == 404 and session.id is not None
