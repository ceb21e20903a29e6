"""What a client does for an upstream server that works on its request: it is told of progress, and asked."""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field

import anyio
import mcp_types as types
from mcp.shared.exceptions import MCPError, NoBackChannelError
from mcp_types import LOG_LEVEL_META_KEY, METHOD_NOT_FOUND, REQUEST_TIMEOUT
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from fairlead_sidecar.protocol.call_clock import CallClock
from fairlead_sidecar.protocol.caller import Context
from fairlead_sidecar.protocol.outbox import LEVELS
from fairlead_sidecar.protocol.questions import TIMEOUT
from fairlead_sidecar.upstream.spec import Json

NEEDED = {"elicitation/create": "elicitation", "sampling/createMessage": "sampling", "roots/list": "roots"}
"""What a server may ask, and the capability of the client that it takes."""
LOG = "notifications/message"
PROGRESS = "notifications/progress"
SECONDS = 5.0
"""How long a client may take to accept a notification; it then misses it."""


def is_modern(ctx: Context) -> bool:
    """Whether the client speaks the protocol without sessions."""
    return ctx.protocol_version in MODERN_PROTOCOL_VERSIONS


def declared(ctx: Context) -> Json:
    """What the client can do, as it declared it."""
    capabilities = ctx.session.client_capabilities
    return capabilities.model_dump(mode="json", by_alias=True, exclude_none=True) if capabilities else {}


def reaches(level: object, least: object) -> bool:
    """Whether a log message of this level is to be told from `least` on; one without a right level always is."""
    return least in LEVELS and (level not in LEVELS or LEVELS.index(level) >= LEVELS.index(least))


@dataclass(frozen=True)
class Voice:
    """How what a server says sounds to the client: by the name of its server, with nothing in it that is secret."""

    server: str
    alone: bool
    """Whether the client sees this server alone."""
    mask: Callable[[Json], Json] = lambda value: value

    def log(self, params: Json) -> Json:
        """A log message, with the server before its logger's name."""
        if self.alone:
            return self.mask(params)
        logger = params.get("logger")
        return self.mask({**params, "logger": f"{self.server}/{logger}" if logger else self.server})


class Conversation:
    """One request's way to its client; `spec.Interaction` for a client of the handshake protocols.

    Args:
        level: From which level on the client wants log messages; None: not at all.
        clock: Stands still while the client is asked.
    """

    def __init__(self, ctx: Context, voice: Voice, level: str | None, clock: CallClock) -> None:
        self.capabilities = declared(ctx)
        self._voice = voice
        self._clock = clock
        self.attach(ctx, level)

    def attach(self, ctx: Context, level: str | None) -> None:
        """Go on with another request, which carries on the first one."""
        self._outbound = ctx.session._request_outbound  # noqa: SLF001 - the public ways take only what the SDK models
        self._level = level

    @property
    def may_outlive_request(self) -> bool:
        """Whether a question may be the request's answer, so that another request goes on with it."""
        return False

    async def progress(self, params: Json) -> None:
        """See `spec.Interaction`."""
        await self._tell(PROGRESS, self._voice.mask(params))

    async def notify(self, method: str, params: Json | None) -> None:
        """See `spec.Interaction`."""
        if method != LOG:
            await self._tell(method, None if params is None else self._voice.mask(params))
        elif params is not None and reaches(params.get("level"), self._level):
            await self._tell(LOG, self._voice.log(params))

    async def ask(self, method: str, params: Json | None) -> Json:
        """See `spec.Interaction`."""
        needed = NEEDED[method]
        if self.capabilities.get(needed) is None:
            raise MCPError(METHOD_NOT_FOUND, f"The client behind this request does not support {needed}.", method)
        with self._clock.paused():
            return await self._answer(method, None if params is None else self._voice.mask(params))

    async def _answer(self, method: str, params: Json | None) -> Json:
        try:
            return await self._outbound.send_raw_request(method, params, {"timeout": TIMEOUT})
        except NoBackChannelError:
            raise MCPError(METHOD_NOT_FOUND, "The client behind this request can't be asked.", method) from None

    async def _tell(self, method: str, params: Json | None) -> None:
        with contextlib.suppress(anyio.BrokenResourceError, anyio.ClosedResourceError, TimeoutError):
            async with asyncio.timeout(SECONDS):
                await self._outbound.notify(method, params)


@dataclass(eq=False)
class Question:
    """Something that a server asks, and the answer to come."""

    method: str
    params: Json | None
    answer: "asyncio.Future[Json]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    @property
    def request(self) -> Json:
        """The question as an input request."""
        return {"method": self.method} if self.params is None else {"method": self.method, "params": self.params}


class DeferredConversation(Conversation):
    """That of a client of the modern protocol, which takes questions only as an answer to its request."""

    def __init__(self, ctx: Context, voice: Voice, level: str | None, clock: CallClock) -> None:
        super().__init__(ctx, voice, level, clock)
        self.questions: dict[str, Question] = {}
        """Those that are not answered, by the name that the client knows them by."""
        self.on_asked: Callable[[], None] | None = None
        """Called when there is a question to answer."""
        self._count = 0

    @property
    def may_outlive_request(self) -> bool:
        """See the base class; a client that can answer nothing is asked nothing."""
        return any(self.capabilities.get(needed) is not None for needed in NEEDED.values())

    async def _answer(self, method: str, params: Json | None) -> Json:
        self._count += 1
        name, question = f"question-{self._count}", Question(method, params)
        self.questions[name] = question
        if self.on_asked is not None:
            self.on_asked()
        try:
            async with asyncio.timeout(TIMEOUT):
                return await question.answer
        except TimeoutError:
            raise MCPError(REQUEST_TIMEOUT, f"Nobody answered within {TIMEOUT:g} seconds.", method) from None
        finally:
            self.questions.pop(name, None)

    def give(self, answers: Json) -> None:
        """Hand over what the client answered."""
        for name, answer in answers.items():
            question = self.questions.pop(name, None)
            if question is not None and not question.answer.done():
                question.answer.set_result(answer)


def wanted_level(ctx: Context) -> types.LoggingLevel | None:
    """Modern protocol: from which level on the client wants the log messages of this request."""
    level = (ctx.meta or {}).get(LOG_LEVEL_META_KEY)
    return level if level in LEVELS else None
