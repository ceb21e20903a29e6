"""When a token gives way to another one, and what is remembered of it afterwards. The time is always an argument."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, ValidationError

from fairlead_api.base import GROUP
from fairlead_api.mcptoken import McpTokenSpec
from fairlead_api.token_options import DEFAULT_OVERLAP, TokenFormat
from fairlead_operator.reconcile.objects import Token, expiration

ROTATE_ANNOTATION = f"{GROUP}/rotate"
"""Set by people: another value asks for another token."""
STATE_ANNOTATION = f"{GROUP}/rotation"
"""On a token's Secret: what is remembered, so that a restart finds it where the token is."""
MOST_FORMER = 8
"""Tokens of the past that may work beside the present one; with more, the oldest are refused before their time."""


class Cause(StrEnum):
    """Why a token gave way to another one, as a part of a sentence."""

    FIRST = "its Secret held none"
    INTERVAL = "spec.rotation.interval is over"
    REQUEST = "the annotation fairlead.dev/rotate asked for it"
    FORMAT = "spec.format is another one"
    HOSTS = "the URLs of its hosts are others"
    CLAIMS = "what it says of itself changed"


@dataclass(frozen=True)
class Claims:
    """What a JWT says and the McpToken decides (RFC 7519)."""

    issuer: str
    subject: str
    client: str
    """The McpToken, as `namespace/name`."""
    audiences: tuple[str, ...]
    expires: int
    """Seconds since 1970."""


def _countable(moment: datetime) -> datetime:
    if not 2000 <= moment.year < 3000:
        raise ValueError("no time at which anybody wrote this")
    return moment


_Moment = Annotated[AwareDatetime, AfterValidator(_countable)]
"""Far enough from the calendar's ends that intervals can be added, whoever has changed the Secret."""


class Former(BaseModel):
    """A token that gave way and still works for a while."""

    model_config = ConfigDict(frozen=True)

    id: str
    sha256: str | None
    """None: a JWT."""
    kid: str = ""
    """Of the key that signed a JWT."""
    expires: _Moment


class State(BaseModel):
    """What is remembered beside the token itself."""

    model_config = ConfigDict(frozen=True)

    since: _Moment | None = None
    """When the present token was written."""
    request: str = ""
    """The newest value of the annotation that was obeyed."""
    cause: str = ""
    former: tuple[Former, ...] = ()
    """The youngest first."""

    @classmethod
    def parse(cls, text: str | None) -> "State":
        """Read the annotation; one that can't be read, or is not there, remembers nothing."""
        try:
            return cls.model_validate_json(text or "{}")
        except ValidationError:
            return cls()

    def render(self) -> str:
        """The annotation's value."""
        return self.model_dump_json(exclude_defaults=True)


NOTHING = State()
"""Of a token that nothing is remembered of: an older version of the operator wrote it."""


@dataclass(frozen=True)
class Minted:
    """The tokens of one McpToken as its Secret has them; the text of none is kept."""

    id: str
    sha256: str | None
    """None: a JWT."""
    kid: str = ""
    """Of the key that signed a JWT."""
    claims: Claims | None = None
    """What a JWT says."""
    state: State = NOTHING

    def former(self, now: datetime) -> tuple[Former, ...]:
        """Those of the past that still work: never more than were written, whoever has changed the Secret since."""
        return tuple(some for some in self.state.former[:MOST_FORMER] if some.expires > now)


def first(made: Minted, token: Token, now: datetime) -> Minted:
    """A token that takes nobody's place."""
    return replace(made, state=State(since=_whole(now), request=requested(token), cause=Cause.FIRST.name))


def requested(token: Token) -> str:
    """The value of the annotation by which people ask for another token."""
    return token.metadata.annotations.get(ROTATE_ANNOTATION, "")


def trusted(minted: Minted | None, kids: Collection[str]) -> Minted | None:
    """The tokens without those whose key no longer exists; None where the present one is among these."""
    if minted is None or (minted.kid and minted.kid not in kids):
        return None
    former = tuple(some for some in minted.state.former if not some.kid or some.kid in kids)
    return replace(minted, state=minted.state.model_copy(update={"former": former}))


def cause(token: Token, spec: McpTokenSpec, minted: Minted, wanted: Claims | None, now: datetime) -> Cause | None:
    """Why another token is to be made now; None: the present one stays.

    Args:
        token: The McpToken.
        spec: Its spec.
        minted: What there is.
        wanted: What a JWT would say now; None with another format.
        now: The time.
    """
    if now >= expiration(token.created, spec):
        return None
    request = requested(token)
    if request and request != minted.state.request:
        return Cause.REQUEST
    if spec.suspended:
        return None
    if (minted.claims is None) != (spec.format is TokenFormat.OPAQUE):
        return Cause.FORMAT
    if minted.claims is not None and wanted is not None and minted.claims != wanted:
        return Cause.HOSTS if minted.claims.audiences != wanted.audiences else Cause.CLAIMS
    due = next_rotation(token, spec, minted)
    return Cause.INTERVAL if due is not None and now >= due else None


def next_rotation(token: Token, spec: McpTokenSpec, minted: Minted) -> datetime | None:
    """When the interval is over; None: it never is. However many were missed: one rotation makes up for all."""
    if spec.rotation is None or spec.rotation.interval is None or spec.suspended:
        return None
    due = (minted.state.since or token.created) + spec.rotation.interval
    return due if due < expiration(token.created, spec) else None


def succeed(token: Token, spec: McpTokenSpec, old: Minted, new: Minted, *, why: Cause, now: datetime) -> Minted:
    """The tokens once `new` has taken the place of `old`, which goes on for the overlap, at most to the end of all.

    While the McpToken is suspended nobody uses a token, so that none has to go on: what was rotated then never works
    again.
    """
    overlap = timedelta() if spec.suspended else _overlap(spec)
    until = min(now + overlap, expiration(token.created, spec))
    former = (
        Former(id=old.id, sha256=old.sha256, kid=old.kid, expires=until),
        *(some.model_copy(update={"expires": min(some.expires, until)}) for some in old.state.former),
    )
    kept = tuple(some for some in former if some.expires > now)[:MOST_FORMER]
    request = requested(token) or old.state.request
    return replace(new, state=State(since=_whole(now), request=request, cause=why.name, former=kept))


def wake(token: Token, spec: McpTokenSpec, minted: Minted | None, now: datetime) -> datetime | None:
    """When something changes by itself next: a rotation, the end of a former token, the end of all; None: never."""
    moments = [expiration(token.created, spec)]
    if minted is not None:
        due = next_rotation(token, spec, minted)
        moments += [some.expires for some in minted.former(now)] + ([due] if due is not None else [])
    return min((moment for moment in moments if moment > now), default=None)


def _overlap(spec: McpTokenSpec) -> timedelta:
    return spec.rotation.overlap if spec.rotation is not None else DEFAULT_OVERLAP


def _whole(now: datetime) -> datetime:
    return now.replace(microsecond=0)
