"""What an HTTP answer that is no MCP means, in words for the person behind the client."""

import json
import re
import socket
import ssl
from collections.abc import Callable, Iterator

import httpx2

from fairlead_client.connect.url import account

Mask = Callable[[str], str]
"""Takes the token out of what an endpoint says."""
_LONGEST = 300


def is_json(response: httpx2.Response) -> bool:
    """Whether the body is JSON."""
    return _type(response) == "application/json"


def is_stream(response: httpx2.Response) -> bool:
    """Whether the body is a stream of events."""
    return _type(response) == "text/event-stream"


async def is_rpc(response: httpx2.Response) -> bool:
    """Whether the body is a JSON-RPC message, whatever the status says."""
    if not is_json(response):
        return False
    try:
        content = json.loads(await response.aread())
    except ValueError:
        return False
    return isinstance(content, dict) and "jsonrpc" in content


async def gateway(response: httpx2.Response, mask: Mask) -> str:
    """502, 503, 504."""
    explained = await explanation(response, mask)
    return f"HTTP {response.status_code} {response.reason_phrase}".strip() + (f": {explained}" if explained else "")


async def is_lost_session(response: httpx2.Response) -> bool:
    """Whether an answer within a session means that it is gone.

    404 by the protocol; 400 with such words from the many servers that grew from one example.
    """
    if response.status_code != 400:
        return response.status_code == 404
    return b"session" in (await response.aread()).lower()


def certificate_problem(error: BaseException) -> str:
    """Why the certificate of a server was not accepted; empty where something else was wrong."""
    return next((one.verify_message for one in _chain(error) if isinstance(one, ssl.SSLCertVerificationError)), "")


def spoken(error: httpx2.RequestError) -> str:
    """A failure of the connection."""
    if isinstance(error, httpx2.ConnectTimeout):
        return "it does not accept the connection in time"
    for cause in _chain(error):
        if isinstance(cause, socket.gaierror):
            return f"its name can't be resolved: {cause.strerror}"
        if isinstance(cause, ConnectionRefusedError):
            return "connection refused"
    return shown(str(error)) or type(error).__name__


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def shown(text: str) -> str:
    """A peer's own words, fit for a terminal and a log: one line of printable characters, cut."""
    clean = " ".join(re.sub(r"[^\x20-\x7e]+", " ", text).split())
    return clean if len(clean) <= _LONGEST else f"{clean[:_LONGEST]}…"


async def explanation(response: httpx2.Response, mask: Mask) -> str:
    """What the body says, where it is meant for programs: JSON with a `message`; HTML is for browsers."""
    if not is_json(response):
        return ""
    try:
        content = json.loads(await response.aread())
    except ValueError:
        return ""
    said = content.get("message") or content.get("error") if isinstance(content, dict) else None
    if isinstance(said, dict):
        said = said.get("message")
    return shown(mask(said)) if isinstance(said, str) else ""


def unauthorized(response: httpx2.Response, source: str | None, mask: Mask) -> str:
    """401: the token, or the lack of one."""
    match = re.search(r'error_description="([^"]*)"', response.headers.get("www-authenticate", ""))
    why = f": {shown(mask(match[1]))}" if match else ""
    if source is None:
        return (
            f"the endpoint asks for a token (HTTP 401{why}), and there is none: give it with --token-file, in "
            f"FAIRLEAD_TOKEN, or store it with `keyring set fairlead {account(str(response.request.url))}`"
        )
    return f"the endpoint refused the token from {source} (HTTP 401{why}): replace it there by one that is valid"


def refused(response: httpx2.Response, explained: str) -> str:
    """Another HTTP error."""
    status, url = response.status_code, account(str(response.request.url))
    detail = f"HTTP {status} {response.reason_phrase}".strip() + (f": {explained}" if explained else "")
    if 300 <= status < 400:
        return (
            f"{url} redirects to {shown(response.headers.get('location', ''))} ({detail}): use that URL if it is right"
        )
    if status in {404, 405}:
        return f"there is no MCP endpoint at {url} ({detail}): check the URL's path"
    if status == 403:
        return f"the endpoint denied it ({detail})"
    if status == 429:
        after = response.headers.get("retry-after")
        return f"the endpoint has had too many requests ({detail})" + (
            f": try again in {shown(after)} s" if after else ""
        )
    return f"the endpoint failed ({detail})"


def _type(response: httpx2.Response) -> str:
    kind: str = response.headers.get("content-type", "")
    return kind.partition(";")[0].strip().lower()
