"""Servers on HTTP that mean harm, or are badly broken: that costs their own calls, and shows none of their secrets."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse

from fairlead_sidecar.config import Header, SecretValue
from fairlead_sidecar.upstream.errors import NotResponding, UpstreamError
from tests.integration.ssh.running import StartLink
from tests.integration.sshd import Sshd
from tests.integration.upstream.http_servers import answering, http_server, serving, session_with

Answer = Callable[[Request], Response]
RESULT = {
    "protocolVersion": "2025-11-25",
    "capabilities": {"tools": {}},
    "serverInfo": {"name": "probe", "version": "1"},
}


async def failure(answer: Answer, sshd: Sshd, start_link: StartLink, kind: str = "stream", **server: Any) -> str:
    """What a session with such a server ends with, and at once."""
    link = start_link(sshd.sidecar_config()).link
    async with serving(answering(answer)) as port:
        with pytest.raises(UpstreamError) as raised:
            async with session_with(link, http_server(port, kind, **server), probe=False, start_timeout=60.0):
                pass
    assert not isinstance(raised.value, NotResponding)
    return raised.value.message


def events(text: str) -> Answer:
    return lambda _: Response(text, media_type="text/event-stream")


def refusing(status: int) -> Answer:
    return lambda request: PlainTextResponse(f"bad token {request.headers['authorization'].split()[1]}", status)


def refusing_the_handshake(request: Request) -> Response:
    message = f"unknown key {request.headers['authorization']}"
    return JSONResponse({"jsonrpc": "2.0", "id": 1, "error": {"code": -32000, "message": message}})


def rambling(request: Request) -> Response:
    return Response(f"your {request.headers['authorization']}", media_type="application/json")


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        (refusing(401), "bad token [redacted]"),
        (refusing(403), "bad token [redacted]"),
        (refusing(500), "bad token [redacted]"),
        (refusing_the_handshake, "unknown key [redacted]"),
        (rambling, "your [redacted]"),
    ],
)
async def test_a_secret_that_a_server_repeats_is_not_shown(
    answer: Answer, shown: str, sshd: Sshd, start_link: StartLink, tmp_path: Path
) -> None:
    # Longer than what is quoted of an answer, so that masking what is left would come too late.
    (tmp_path / "token").write_text(f"Bearer s3cr3t{'0123456789' * 30}\n")
    header = Header(name="Authorization", secret=SecretValue(file=tmp_path / "token", name="app/token"))
    message = await failure(answer, sshd, start_link, headers=(header,))
    assert shown in message
    assert "s3cr3t" not in message


async def test_a_secret_of_a_clients_own_file_is_not_shown_either(sshd: Sshd, start_link: StartLink) -> None:
    header = Header(name="Authorization", value="Bearer s3cr3t-0123456789")
    assert "bad token [redacted]" in await failure(refusing(401), sshd, start_link, headers=(header,))


async def test_what_a_server_says_against_the_handshake_is_quoted_and_cut(sshd: Sshd, start_link: StartLink) -> None:
    error = {"code": -32000, "message": "\x1b[31m" + "y" * 100_000}
    message = await failure(lambda _: JSONResponse({"jsonrpc": "2.0", "id": 1, "error": error}), sshd, start_link)
    assert "\\x1b[31m" in message
    assert len(message) < 500


@pytest.mark.parametrize(
    "event",
    [f"retry: {'9' * 5000}", f"retry: {'9' * 400}", "id: é\nretry: 1", "id: 1\nid: a\x01b\nretry: 1"],
    ids=["too-long-a-number", "too-large-a-number", "not-ascii", "control"],
)
async def test_what_an_event_says_of_its_stream_fails_only_its_request(
    event: str, sshd: Sshd, start_link: StartLink
) -> None:
    assert "without an answer" in await failure(events(f"{event}\n\n"), sshd, start_link)


async def test_a_session_that_no_header_can_name_is_refused(sshd: Sshd, start_link: StartLink) -> None:
    def answer(_: Request) -> Response:
        return JSONResponse({"jsonrpc": "2.0", "id": 1, "result": RESULT}, headers={"mcp-session-id": "é"})

    assert "no header" in await failure(answer, sshd, start_link)


@pytest.mark.parametrize("url", ["http://127.0.0.1:port/", f"/{'x' * 70_000}"])
async def test_a_broken_address_for_messages_is_refused(url: str, sshd: Sshd, start_link: StartLink) -> None:
    message = await failure(events(f"event: endpoint\ndata: {url}\n\n"), sshd, start_link, "sse")
    assert "which is no URL" in message
    assert len(message) < 500


async def test_another_servers_address_is_shown_cut(sshd: Sshd, start_link: StartLink) -> None:
    url = f"http://elsewhere.example/{'x' * 20_000}"
    message = await failure(events(f"event: endpoint\ndata: {url}\n\n"), sshd, start_link, "sse")
    assert "http://elsewhere.example/" in message
    assert len(message) < 1000


@pytest.mark.parametrize("media_type", ["text/event-stream", "application/json"])
async def test_compressed_answers_are_refused_and_hold_up_nothing(
    media_type: str, sshd: Sshd, start_link: StartLink
) -> None:
    bomb = gzip.compress(b"\n" * 60_000_000)
    with longest_pause() as pause:
        message = await failure(
            lambda _: Response(bomb, media_type=media_type, headers={"content-encoding": "gzip"}), sshd, start_link
        )
    assert "compressed" in message
    assert pause() < 2.0


async def test_the_body_of_a_redirect_is_not_read(sshd: Sshd, start_link: StartLink) -> None:
    ended = False

    async def long() -> AsyncIterator[bytes]:
        nonlocal ended
        for _ in range(1000):
            yield bytes(65536)
            await asyncio.sleep(0)
        ended = True

    def answer(request: Request) -> Response:
        return StreamingResponse(long(), 307, headers={"location": request.url.path})

    assert "redirects again and again" in await failure(answer, sshd, start_link)
    assert not ended


class longest_pause:  # noqa: N801 - a context manager, used like a function
    """For how long the event loop did nothing else, at most."""

    def __enter__(self) -> Callable[[], float]:
        self._longest = 0.0
        self._task = asyncio.get_running_loop().create_task(self._watch())
        return lambda: self._longest

    def __exit__(self, *_: object) -> None:
        self._task.cancel()

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            before = loop.time()
            await asyncio.sleep(0.01)
            self._longest = max(self._longest, loop.time() - before)
