"""What HTTP's statuses and failed exchanges mean for an MCP server, in words that say what to change."""

from collections.abc import Callable
from typing import Protocol

import httpx2
from mcp_types import METHOD_NOT_FOUND, JSONRPCError

from fairlead_sidecar.ssh.failures import quoted
from fairlead_sidecar.upstream.errors import (
    EndpointNotFound,
    Exited,
    NotResponding,
    ProtocolError,
    Unauthorized,
    UpstreamError,
)
from fairlead_sidecar.upstream.messages import parse


class Answer(Protocol):
    """A response, as far as this module needs it."""

    url: str
    status_code: int
    headers: dict[str, str]


_NO_ENDPOINT = frozenset({404, 405, 410})
_MOST_OF_URL = 512


class BrokenOff(Exited):
    """A response ended before its answer came; the rest may be had from the server."""


class SessionOver(Exited):
    """The server does not know the session any more: it was started again, or lets sessions expire."""


class Forbidden(Unauthorized):
    """The credential is known, and does not suffice for this request."""


def shown(url: httpx2.URL | str) -> str:
    """A URL as messages have it: without what may be secret in it, and cut, as a server can say any."""
    text = str(httpx2.URL(url).copy_with(userinfo=b"", query=None, fragment=None))
    return text if len(text) <= _MOST_OF_URL else f"{text[:_MOST_OF_URL]}…"


def is_compressed(response: Answer) -> bool:
    """Whether its body is not what it stands for."""
    return response.headers.get("content-encoding", "").strip().lower() not in ("", "identity")


def check_encoding(response: Answer) -> None:
    """Refuse what is compressed: nobody asked for it, and reading a few bytes of it could take minutes.

    Raises:
        ProtocolError: It is.
    """
    if is_compressed(response):
        raise ProtocolError(
            f"{shown(response.url)} sends compressed answers, which were not asked for.",
            hint="Turn compression off in the server, or in the proxy before it.",
        )


def meaning(
    response: Answer,
    body: bytes,
    location: httpx2.URL | None,
    *,
    in_session: bool,
    mask: Callable[[str], str] = str,
) -> JSONRPCError | UpstreamError:
    """What a response without success means: the server's own error where it has one.

    Args:
        response: Its status says most.
        body: The beginning of its body.
        location: Where it redirects to, where that was not followed.
        in_session: The request named a session.
        mask: Takes the secrets out of what the server says.
    """
    own = _own_error(response, body)
    if in_session and _session_over(response.status_code, own):
        return SessionOver(f"{shown(response.url)} does not know the session any more.")
    if own is None or response.status_code in (401, 403):
        return _refused(response, mask(body.decode(errors="replace")).strip(), location)
    return own


def _own_error(response: Answer, body: bytes) -> JSONRPCError | None:
    if content_type(response) != "application/json":
        return None
    try:
        message = parse(body)
    except ProtocolError:
        return None
    return message if isinstance(message, JSONRPCError) else None


def _session_over(status: int, own: JSONRPCError | None) -> bool:
    if status == 404:
        return own is None or own.error.code != METHOD_NOT_FOUND
    # Servers that follow the examples of the TypeScript SDK say it so.
    return status == 400 and own is not None and "session" in own.error.message.lower()


def _refused(response: Answer, text: str, location: httpx2.URL | None) -> UpstreamError:
    status, url = response.status_code, shown(response.url)
    said = f": {quoted(text)}" if text and not _is_page(response) else ""
    if location is not None:
        return EndpointNotFound(
            f"{url} redirects to {shown(location)}, which is not followed.",
            hint="Use that URL, if it is the server that is meant.",
        )
    if status in (401, 403):
        kind = Unauthorized if status == 401 else Forbidden
        return kind(f"{url} refused the request with HTTP {status}{said}.")
    if status in _NO_ENDPOINT:
        return EndpointNotFound(f"{url} answered with HTTP {status}: there is no MCP at this path.")
    if status == 421:
        return EndpointNotFound(
            f"{url} answered with HTTP {status}: it does not serve this host name{said}.",
            hint="Use the host name that the server expects in the URL, or allow this one in the server's settings.",
        )
    if status < 300:
        return no_mcp(response)
    return UpstreamError(f"{url} answered with HTTP {status}{said}.")


def no_mcp(response: Answer) -> UpstreamError:
    """A successful response that is neither JSON nor an event stream."""
    url, kind = shown(response.url), content_type(response)
    if response.status_code == 202:
        return ProtocolError(f"{url} accepted a request and gave no answer to it (HTTP 202).")
    if _is_page(response):
        return EndpointNotFound(f"{url} is a web page, not MCP.")
    return EndpointNotFound(f"{url} answered with {quoted(kind) if kind else 'nothing'}, which is not MCP.")


def not_taken(url: str) -> UpstreamError:
    """The server does not read."""
    return NotResponding(f"{shown(url)} did not take the request in time.")


def unsendable(url: str) -> UpstreamError:
    """A header of a request can't be one."""
    # Which one is not said: its value may be secret.
    return UpstreamError(f"A request to {shown(url)} can't be sent.", hint="Check the names of the configured headers.")


def not_http(url: str, why: str) -> UpstreamError:
    """What the server sends is no HTTP."""
    return ProtocolError(
        f"{shown(url)} does not speak HTTP as expected: {quoted(why)}.",
        hint="Check that the port belongs to the MCP server, and whether the URL begins with http:// or https://.",
    )


def broken_off(url: str) -> UpstreamError:
    """The connection had been made, and ended before its answer did."""
    return BrokenOff(f"{shown(url)} closed the connection before it had answered.")


def content_type(response: Answer) -> str:
    """Without parameters, in lower case."""
    value: str = response.headers.get("content-type", "")
    return value.partition(";")[0].strip().lower()


def _is_page(response: Answer) -> bool:
    return content_type(response) == "text/html"
